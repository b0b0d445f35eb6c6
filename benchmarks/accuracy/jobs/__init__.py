"""The jobs, by name; those that take longest come first, since several run at once."""

from benchmarks.accuracy.jobs import (
    bounds,
    counts,
    distinct,
    distinct_bytes,
    heavy_hitters,
    membership,
    moments,
    overlap,
    quantiles,
    subsets,
)
from benchmarks.accuracy.measure import Job

JOBS: dict[str, Job] = {
    **counts.JOBS,
    **distinct.JOBS,
    **distinct_bytes.JOBS,
    **heavy_hitters.JOBS,
    **quantiles.JOBS,
    **bounds.JOBS,
    **overlap.JOBS,
    **moments.JOBS,
    **membership.JOBS,
    **subsets.JOBS,
}
