"""The command `sketches`: profile a file in one pass; show, merge and query saved sketches."""

import sys

__all__ = ["main"]

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def main() -> None:
    """Run the command; without the packages of the extra `cli`, say how to install them."""
    try:
        from sketches.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("typer", "rich", "pyarrow"):
            raise
        sys.exit(f"sketches: this command needs {error.name}; run: pip install 'stream-sketches[cli]'")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()
