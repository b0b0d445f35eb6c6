"""Measures one job, in a process of its own."""

from __future__ import annotations

import time
import warnings

from benchmarks.accuracy.jobs import JOBS
from benchmarks.accuracy.measure import SCALES, Row


def run(job: str, scale: str) -> tuple[list[Row], list[str], float]:
    """Measure one job: its rows, its remarks and the processor's seconds it took."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a peer's own, about its estimates
        found = list(JOBS[job].run(SCALES[scale]))
    rows = [each for each in found if isinstance(each, Row)]
    return rows, [each for each in found if isinstance(each, str)], time.process_time() - start
