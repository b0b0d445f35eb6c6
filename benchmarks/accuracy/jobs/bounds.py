"""Do the bounds tell the truth? How often those of single counts, ranks and entropies hold, on every stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.measure import Goal, Job, Row, Scale, largest, mean, share
from benchmarks.accuracy.streams import Integers, Stream, available, stream
from sketches import AMS, CountMin, Entropy, Quantiles

COVERAGE, BROKEN = "coverage of the 95 % bounds", "bounds broken that always hold"
ASKED = 300
NEVER, TRUE = Goal(at_most=0), Goal(0.97, 0.94)

Bounds = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def bounds_of(sketch: Any, keys: Integers) -> Bounds:
    """Ask for all at once where that can be done, else one by one."""
    if hasattr(sketch, "bounds"):
        lower, upper = sketch.bounds(keys)
        return lower, upper
    found = [sketch[key] for key in keys.tolist()]
    return np.array([each.lower for each in found]), np.array([each.upper for each in found])


COUNTERS: dict[str, tuple[Callable[[int], Any], bool]] = {  # and whether the upper bound always holds
    "ours CountMin": (lambda seed: CountMin(width=1024, seed=seed), True),
    "ours CountMin, conservative": (lambda seed: CountMin(width=1024, seed=seed, conservative=True), True),
    "ours AMS": (lambda seed: AMS(seed=seed), False),
}


def counts(name: str, data: Stream, sketches: int) -> Iterator[Row]:
    """Give the share of items, chosen at random among the different ones, whose bounds hold."""
    for contender, (make, one_sided) in COUNTERS.items():
        shares, broken = [], []
        for seed in range(sketches):
            asked = np.random.default_rng(seed).permutation(len(data.keys))[:ASKED]
            sketch = make(seed)
            sketch.update(data.keys, data.counts)
            lower, upper = bounds_of(sketch, data.keys[asked])
            truth = data.counts[asked]
            shares.append(float(((lower <= truth) & (truth <= upper)).mean()))
            broken.append(int((truth > upper).sum()))
        facts = {"stream": name, "n": len(data.items), "nbytes": sketch.nbytes}
        yield Row(contender, "ours", COVERAGE, mean(shares), theory=0.95, goal=TRUE, **facts)
        if one_sided:
            yield Row(contender, "ours", BROKEN, largest(broken), goal=NEVER, **facts)


def entropy(name: str, data: Stream, sketches: int) -> Iterator[Row]:
    p = data.counts / data.counts.sum()
    truth, held = float(-(p * np.log(p)).sum()), 0
    for seed in range(sketches):
        sketch = Entropy(64, seed=seed)
        sketch.update(data.keys, data.counts)
        found = sketch.entropy()
        held += found.lower <= truth <= found.upper
    facts = {"stream": name, "n": len(data.items), "nbytes": sketch.nbytes}
    yield Row("ours Entropy", "ours", COVERAGE, share(held, sketches), theory=0.95, goal=TRUE, **facts)


def quantiles(name: str, data: Stream) -> Iterator[Row]:
    sketch, q = Quantiles(), np.linspace(0, 1, 1001)
    sketch.update(data.items)
    ordered = np.sort(data.items.astype(float))
    truth = ordered[np.maximum(np.ceil(q * len(ordered)).astype(int) - 1, 0)]
    found = [sketch.quantile(float(each)) for each in q]
    broken = sum(not each.lower <= x <= each.upper for each, x in zip(found, truth, strict=True))
    facts = {"stream": name, "n": len(data.items), "nbytes": sketch.nbytes}
    yield Row("ours Quantiles", "ours", BROKEN, largest([broken]), goal=NEVER, **facts)


def bounds(scale: Scale) -> Iterator[Row | str]:
    names, absent = available()
    yield from absent
    for name in names:
        data = stream(name, scale.objects, 0)
        yield from counts(name, data, scale.some // 10)
        yield from entropy(
            name, Stream(data.items[:1000], *np.unique(data.items[:1000], return_counts=True)), scale.some
        )
        yield from quantiles(name, data)


JOBS = {
    "bounds": Job(
        "Bounds: do they hold as often as they say?",
        f"Of {ASKED} items chosen at random among the different ones, in sketches with as many seeds as there are "
        "replicas. Bounds that hold more often than 97 % of the time are wider than they need be; the upper ones of "
        "CountMin always hold.",
        bounds,
    )
}
