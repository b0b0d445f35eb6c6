"""``python -m sketches.demo``: the same as ``sketches demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from sketches.demo import run


def main() -> None:
    """Run the demo; an output that cannot be written is one line and a status of 2."""
    parser = argparse.ArgumentParser(prog="python -m sketches.demo", description="Run the demo and write its report.")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="the report (default: report.html)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    options = parser.parse_args()
    try:
        run(options.output, Console(), options.seed)
    except OSError as error:
        sys.exit(f"sketches: {error.filename or options.output}: {error.strerror or error}")


if __name__ == "__main__":
    main()
