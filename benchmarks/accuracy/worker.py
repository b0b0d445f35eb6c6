"""Measures one job, in a process of its own."""

from __future__ import annotations

import time
import warnings

from benchmarks.accuracy.jobs import JOBS
from benchmarks.accuracy.measure import SCALES, Row


def run(job: str, scale: str) -> tuple[list[Row], list[str], float]:
    """Measure one job: its rows, its remarks and the seconds it took."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a peer's own, about its estimates
        found = list(JOBS[job].run(SCALES[scale]))
    rows = [each for each in found if isinstance(each, Row)]
    return rows, [each for each in found if isinstance(each, str)], time.perf_counter() - start
