"""How many in common? Errors and bounds of unions, intersections, differences and Jaccard indexes of two sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.accuracy.measure import Goal, Job, Row, Scale, mean, root_mean_square, share
from sketches import BloomFilter, FlajoletMartin

ERROR, STATED, COVERAGE = (
    "RMSE ÷ union",
    "error ÷ standard error stated, root mean square",
    "coverage of the 95 % bounds",
)
KINDS: dict[str, Callable[[int], Any]] = {
    "ours BloomFilter": lambda seed: BloomFilter(10_000, seed=seed),
    "ours FlajoletMartin": lambda seed: FlajoletMartin(10, seed=seed),
}
SETS = {"half in common": (6000, 6000, 4000), "a tenth in common": (5000, 6000, 1000), "disjoint": (5000, 5000, 0)}


def overlaps(scale: Scale) -> Iterator[Row | str]:
    for name, make in KINDS.items():
        if not hasattr(make(0), "overlap"):
            continue
        for stream, (first, second, common) in SETS.items():
            union = first + second - common
            truth = {
                "union": union,
                "intersection": common,
                "only_self": first - common,
                "only_other": second - common,
                "jaccard": common / union,
            }
            errors: dict[str, list[float]] = {field: [] for field in truth}
            held = dict.fromkeys(truth, 0)
            stated: dict[str, list[float]] = {field: [] for field in truth}
            for seed in range(scale.some):
                here, there = make(seed), make(seed)
                here.update(np.arange(first))
                there.update(np.arange(first - common, union))
                found = here.overlap(there)
                for field, exact in truth.items():
                    estimate = getattr(found, field)
                    errors[field].append(float(estimate) - exact)
                    stated[field].append(estimate.standard_error)
                    held[field] += estimate.lower <= exact <= estimate.upper
            for field in truth:
                facts = {"stream": f"{field}, {stream}", "n": union, "nbytes": here.nbytes}
                unit = 1 if field == "jaccard" else union
                yield Row(name, "ours", ERROR, root_mean_square(np.array(errors[field]) / unit), **facts)
                ratio = root_mean_square(errors[field]).scaled(1 / mean(stated[field]).value)
                yield Row(name, "ours", STATED, ratio, theory=1.0, **facts)
                goal = Goal(0.97, 0.94) if truth[field] else None  # nothing lies below 0: one bound cannot miss
                covered = share(held[field], scale.some)
                yield Row(name, "ours", COVERAGE, covered, theory=0.95, goal=goal, **facts)


JOBS = {
    "overlap": Job(
        "Overlap of two sets",
        "The error of a Jaccard index is its own, the others are divided by the size of the union. Where the truth is "
        "0, no lower bound can miss it.",
        overlaps,
    )
}
