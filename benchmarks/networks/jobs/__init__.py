"""The jobs, by name: each is a process of its own, and keeps its figures in a file of its own."""

from benchmarks.networks.jobs import costs, lenet, structured, transformer
from benchmarks.networks.measure import Job

JOBS: dict[str, Job] = {**lenet.JOBS, **structured.JOBS, **transformer.JOBS, **costs.JOBS}
