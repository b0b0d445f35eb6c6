"""The jobs, by name."""

from benchmarks.compression import bloomier, deep, hashed, lossless, recode, slim, sparse, speed, weightless
from benchmarks.networks.measure import Benchmark, Job

JOBS: dict[str, Job] = {
    **deep.JOBS,
    **slim.JOBS,
    **weightless.JOBS,
    **recode.JOBS,
    **lossless.JOBS,
    **hashed.JOBS,
    **bloomier.JOBS,
    **speed.JOBS,
    **sparse.JOBS,
}

COMPRESSION = Benchmark(
    "compression", __name__, "Compression", "Networks in few bytes, beside the literature: error against bytes"
)
