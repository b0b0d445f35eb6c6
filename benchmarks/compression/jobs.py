"""The jobs, by name."""

from benchmarks.compression import deep, hashed
from benchmarks.networks.measure import Benchmark, Job

JOBS: dict[str, Job] = {**deep.JOBS, **hashed.JOBS}

COMPRESSION = Benchmark(
    "compression", __name__, "Compression", "Networks in few bytes, beside the literature: error against bytes"
)
