"""Runs the benchmark: `python -m benchmarks.speed [--quick] [--job NAME …] [--output DIR]`.

Each round of each job is a process of its own, so that every contender is timed at several moments and memory layouts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import pyperf
from rich.console import Console

from benchmarks.speed.feeds import PEERS
from benchmarks.speed.jobs import JOBS
from benchmarks.speed.page import html_page, print_tables
from benchmarks.speed.results import rows_of

# Before anything of these libraries is imported; the job `threads` says itself how many it takes.
ONE_THREAD = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    """Run, print the tables, and write speed.json (pyperf's), table.json and index.html."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter streams and fewer rounds: a few minutes")
    parser.add_argument("--job", action="append", choices=JOBS, help="only this one; may be given several times")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results")
    options = parser.parse_args()
    rounds, values = (2, 2) if options.quick else (3, 3)
    scale = "quick" if options.quick else "full"
    console = Console()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        suite = None
        for job in options.job or JOBS:
            for turn in range(rounds):
                console.print(f"{job}: round {turn + 1} of {rounds}", style="dim")
                found = run_worker(job, scale, turn, folder, values)
                if found is None:
                    break
                if suite is None:
                    suite = found
                else:
                    suite.add_runs(found)
    if suite is None:
        sys.exit("nothing was timed: the jobs ask for more than this scale or version has")
    rows = rows_of(measured(suite))
    about = describe(suite, scale, rounds * values)
    options.output.mkdir(parents=True, exist_ok=True)
    suite.dump(str(options.output / "speed.json"), replace=True)
    (options.output / "table.json").write_text(
        json.dumps({"about": about, "rows": [asdict(row) for row in rows]}, indent=1, ensure_ascii=False)
    )
    (options.output / "index.html").write_text(html_page(rows, about))
    print_tables(rows, Console(width=200) if not console.is_terminal else console)
    console.print(f"Written: {options.output / 'index.html'}")


def run_worker(job: str, scale: str, turn: int, folder: str, values: int) -> pyperf.BenchmarkSuite | None:
    """Time a job once; None if there was nothing to time."""
    output = Path(folder) / f"{job}-{turn}.json"
    command = [sys.executable, "-m", "benchmarks.speed.worker", job, scale, str(turn), folder, str(values), str(output)]
    subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD}, stdout=subprocess.DEVNULL)  # noqa: S603
    return pyperf.BenchmarkSuite.load(str(output)) if output.exists() else None


def measured(suite: pyperf.BenchmarkSuite) -> Iterator[tuple[dict[str, Any], float]]:
    """Give the facts and the least time, in ns an item, of each contender."""
    for benchmark in suite:
        yield json.loads(benchmark.get_runs()[0].get_metadata()["facts"]), min(benchmark.get_values()) * 1e9


def describe(suite: pyperf.BenchmarkSuite, scale: str, times: int) -> dict[str, str]:
    """Say where and with what the run was made."""
    loads = [float(run.get_metadata().get("load_avg_1min", 0)) for benchmark in suite for run in benchmark.get_runs()]
    known = suite.get_benchmarks()[0].get_runs()[0].get_metadata()
    about = {
        name: str(known[name])
        for name in ("cpu_model_name", "cpu_count", "platform", "python_version", "date")
        if name in known
    }
    about["scale"], about["repeats"] = scale, f"least of {times}"
    about["load average"] = f"{min(loads):.1f} to {max(loads):.1f}; above 1.5 others used the machine"
    for package in ("numpy", *PEERS):
        try:
            about[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            about[package] = "not installed"
    return about


if __name__ == "__main__":
    main()
