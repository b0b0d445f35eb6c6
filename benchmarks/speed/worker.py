"""Times one job once, in a process of its own: `python -m benchmarks.speed.worker JOB SCALE ROUND FOLDER OUTPUT`.

pyperf runs, records and writes; a value is the seconds an item. The contenders take turns in the order of the job, and
in the reverse order in every other round.

Seconds are the processor's, summed over all threads of the process: on one thread they are the wall's, unless other
programs want the processor, and nobody gains by a second thread. Where several threads are to run, the wall's count.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import pyperf

from benchmarks.speed.contender import SCALES, Contender
from benchmarks.speed.feeds import MODULES, PEERS
from benchmarks.speed.jobs import JOBS
from benchmarks.speed.results import facts_of
from benchmarks.speed.streams import Streams


class Clock:
    """What pyperf calls to get seconds; it keeps the last state and result."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.now = time.perf_counter if contender.wall else time.process_time
        self.last: tuple[Any, Any] = None, None

    def __call__(self, loops: int) -> float:
        seconds = 0.0
        for _ in range(loops):
            self.last = None, None  # or two states would be in memory at once
            states = [self.contender.prepare() for _ in range(self.contender.repeats)]
            run = self.contender.run
            now = self.now
            start = now()
            for state in states:
                result = run(state)
            seconds += now() - start
            self.last = state, result
        return seconds


def is_missing_peer(error: ModuleNotFoundError) -> bool:
    return error.name in {MODULES.get(peer, peer) for peer in PEERS}


def main() -> None:
    """Time the job's contenders and write a pyperf suite."""
    job, scale, turn, folder, values, output = sys.argv[1:]
    contenders = JOBS[job].build(Streams(Path(folder)), SCALES[scale])
    runner = pyperf.Runner()
    runner.parse_args(["--worker", "--quiet", "--loops=1", "--warmups=0", f"--values={values}"])
    gc.disable()  # as timeit does
    benchmarks = []
    for contender in contenders[:: -1 if int(turn) % 2 else 1]:
        clock = Clock(contender)
        name = " | ".join((job, contender.name, contender.column))
        try:
            benchmark = runner.bench_time_func(
                name,
                clock,
                inner_loops=contender.items * contender.repeats,
                metadata={"timer": clock.now.__name__},
            )
        except ModuleNotFoundError as error:
            if not is_missing_peer(error):
                raise
            continue  # the report names the peers that are not installed
        if turn == "0":  # the answers are the same each time
            benchmark.update_metadata({"facts": json.dumps(facts_of(job, contender, *clock.last))})
        benchmarks.append(benchmark)
        gc.collect()
    if benchmarks:
        pyperf.BenchmarkSuite(benchmarks).dump(output)


if __name__ == "__main__":
    main()
