"""How much does this group add up to? Errors and bounds of sums over groups of items chosen afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np

from benchmarks.accuracy.measure import Goal, Job, Row, Scale, mean, root_mean_square, share
from benchmarks.accuracy.streams import Integers, Stream, available, stream
from sketches import SubsetSum

K = 256
ERROR, BIAS = "RMSE ÷ √(threshold · T)", "bias ÷ √(threshold · T)"
STATED, COVERAGE = "RMSE ÷ standard error stated", "coverage of the 95 % bounds"


def groups(data: Stream) -> dict[str, Integers]:
    """Give groups that the sketch cannot have known of: by chance, and the rarer half of the stream."""
    random = np.random.default_rng(0).permutation(data.keys)
    ascending = np.argsort(data.counts, kind="stable")
    rare = np.cumsum(data.counts[ascending]) <= data.counts.sum() / 2
    return {"a tenth of the items": random[: len(random) // 10], "the rarer half": data.keys[ascending[rare]]}


def subsets(scale: Scale) -> Iterator[Row | str]:
    names, absent = available()
    yield from absent
    for name in names:
        data = stream(name, scale.objects, 0)
        sketches = []
        for seed in range(scale.some // 2):  # the hash is all the chance there is
            sketch = SubsetSum(K, seed=seed)
            sketch.update(data.items)
            sketches.append(sketch)
        for group, keys in groups(data).items():
            truth = int(data.counts[np.isin(data.keys, keys)].sum())
            errors, stated, held = [], [], 0
            for sketch in sketches:
                found = sketch.subset_sum(keys)
                errors.append((found - truth) / sqrt(sketch.threshold * truth))
                stated.append(found.standard_error / sqrt(sketch.threshold * truth))
                held += found.lower <= truth <= found.upper
            facts = {"stream": f"{group}, {name}", "n": len(data.items), "nbytes": sketch.nbytes}
            rmse = root_mean_square(errors)
            yield Row("ours SubsetSum", "ours", ERROR, rmse, theory=1.0, **facts)
            yield Row("ours SubsetSum", "ours", BIAS, mean(errors), **facts)
            uncertain = any(stated)  # else group or rest is counted exactly, and so is the other
            if uncertain:
                ratio = rmse.scaled(1 / root_mean_square(stated).value)
                yield Row("ours SubsetSum", "ours", STATED, ratio, theory=1.0, **facts)
            covered = share(held, len(errors))
            goal = Goal(0.97, 0.94) if uncertain else None
            yield Row("ours SubsetSum", "ours", COVERAGE, covered, theory=0.95, goal=goal, **facts)


JOBS = {
    "subsets": Job(
        "Sums over groups of items",
        f"T is what a group adds up to, in tables of {K} counters. Theory says that the error is at most the root of "
        "threshold · T; it is less where the group, or the rest, has items that are counted exactly.",
        subsets,
    )
}
