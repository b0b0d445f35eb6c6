"""The jobs, by name; those that take longest come first, since several run at once."""

from benchmarks.accuracy.jobs import distinct, distinct_bytes
from benchmarks.accuracy.measure import Job

JOBS: dict[str, Job] = {
    **distinct.JOBS,
    **distinct_bytes.JOBS,
}
