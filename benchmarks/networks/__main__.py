"""Runs the benchmark: `python -m benchmarks.networks [--quick] [--job PATTERN …] [--page] [--output DIR]`.

Each job keeps its figures in a file of its own, DIR/JOB.json, from which the page is made,
of jobs that ran earlier, too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path

from benchmarks.networks.jobs import JOBS
from benchmarks.networks.page import write_page
from benchmarks.networks.worker import run


def main() -> None:
    """Run the jobs, print the goals, and write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few epochs and batches, of one seed: a few minutes")
    parser.add_argument(
        "--job", action="append", metavar="PATTERN", help=f"only these, e.g. 'lenet-5-*'; there are {', '.join(JOBS)}"
    )
    parser.add_argument("--page", action="store_true", help="run nothing; make the page of what there is")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="jobs at once; default: processors")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/networks, with --quick networks-quick")
    options = parser.parse_args()
    default = Path(__file__).parents[1] / "results" / f"networks{'-quick' if options.quick else ''}"
    output = options.output or default
    output.mkdir(parents=True, exist_ok=True)
    wanted = [] if options.page else chosen(options.job, options.quick)
    together = [name for name in wanted if not JOBS[name].alone]
    alone = [name for name in wanted if JOBS[name].alone]
    for names, processes in (together, max(1, min(options.processes, len(together)))), (alone, 1):
        threads = max(1, (os.cpu_count() or 1) // processes)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(run, name, options.quick, threads, output) for name in names]
            for future in as_completed(futures):
                print(future.result(), flush=True)
    print(write_page(output))


def chosen(patterns: Iterable[str] | None, quick: bool) -> list[str]:
    """Give the jobs that are asked for; a quick run without patterns leaves out those of other seeds than 0."""
    if patterns is None:
        return [name for name, job in JOBS.items() if not (quick and job.repeats)]
    found = [name for name in JOBS if any(fnmatch(name, pattern) for pattern in patterns)]
    if not found:
        raise SystemExit(f"no job is called {', '.join(patterns)}; there are {', '.join(JOBS)}")
    return found


if __name__ == "__main__":
    main()
