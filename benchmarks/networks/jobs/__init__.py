"""The jobs, by name: each is a process of its own, and keeps its figures in a file of its own."""

from benchmarks.networks.jobs import costs, lenet, structured, transformer
from benchmarks.networks.measure import Benchmark, Job

JOBS: dict[str, Job] = {**lenet.JOBS, **structured.JOBS, **transformer.JOBS, **costs.JOBS}

NETWORKS = Benchmark(
    "networks", __name__, "Networks", "Networks: pruning and statistics, beside peers and the literature"
)
