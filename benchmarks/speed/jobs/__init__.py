"""The jobs, by name."""

from benchmarks.speed.contender import Job
from benchmarks.speed.jobs import (
    combine,
    counts,
    distinct,
    growth,
    heavy_hitters,
    lists,
    membership,
    overview,
    quantiles,
    scalars,
)

JOBS: dict[str, Job] = {
    **distinct.JOBS,
    **counts.JOBS,
    **membership.JOBS,
    **heavy_hitters.JOBS,
    **quantiles.JOBS,
    **scalars.JOBS,
    **lists.JOBS,
    **combine.JOBS,
    **growth.JOBS,
    **overview.JOBS,
}
