"""Runs the jobs of a benchmark, each in a process of its own, and makes its page."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path

from benchmarks.networks.measure import Benchmark, Job
from benchmarks.networks.page import write_page
from benchmarks.networks.worker import run


def main(benchmark: Benchmark, about: str | None) -> None:
    """Read the command line of a benchmark, run its jobs, and write the page."""
    jobs = benchmark.jobs()
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{benchmark.name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few epochs and batches, of one seed: a few minutes")
    parser.add_argument("--job", action="append", metavar="PATTERN", help=f"only these, of {', '.join(jobs)}")
    parser.add_argument("--page", action="store_true", help="run nothing; make the page of what there is")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="jobs at once; default: processors")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results, with --quick another")
    options = parser.parse_args()
    default = Path(__file__).parents[1] / "results" / f"{benchmark.name}{'-quick' if options.quick else ''}"
    output = options.output or default
    output.mkdir(parents=True, exist_ok=True)
    wanted = [] if options.page else chosen(jobs, options.job, options.quick)
    together = [name for name in wanted if not jobs[name].alone]
    alone = [name for name in wanted if jobs[name].alone]
    for names, processes in (together, max(1, min(options.processes, len(together)))), (alone, 1):
        threads = max(1, (os.cpu_count() or 1) // processes)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(run, benchmark, name, options.quick, threads, output) for name in names]
            for future in as_completed(futures):
                print(future.result(), flush=True)
    print(write_page(benchmark, output))


def chosen(jobs: dict[str, Job], patterns: Iterable[str] | None, quick: bool) -> list[str]:
    """Give the jobs that are asked for; a quick run without patterns leaves out those of other seeds than 0."""
    if patterns is None:
        return [name for name, job in jobs.items() if not (quick and job.repeats)]
    found = [name for name in jobs if any(fnmatch(name, pattern) for pattern in patterns)]
    if not found:
        raise SystemExit(f"no job is called {', '.join(patterns)}; there are {', '.join(jobs)}")
    return found
