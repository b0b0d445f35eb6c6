"""How often does x occur, and how skewed is the stream? int64, Zipf 1.1 over 10⁶ keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import datasketches, one_by_one, ours, polars
from benchmarks.speed.floor import floor
from benchmarks.speed.streams import Integers, Streams, counts_of, scramble
from sketches import AMS, CountMin

Estimates = Callable[[Any, Integers], Iterable[float]]


def excess(items: Integers, estimates: Estimates) -> Callable[[Any, Any], str]:
    """Say how much too large the counts of 1,000 keys of the stream are on average."""

    def say(sketch: Any, _: Any) -> str:
        truth = counts_of(items)
        ranks = np.random.default_rng(3).permutation(np.flatnonzero(truth))[:1000]
        found = np.fromiter(estimates(sketch, scramble(ranks)), np.float64)
        return f"mean excess {np.mean(found - truth[ranks]) / len(items):.1e} of N"

    return say


def count_min(width: int, conservative: bool = False, *goals: Goal) -> Callable[[Streams, Scale], list[Contender]]:
    """Give the contenders at a Count-Min table of four rows."""

    def build(streams: Streams, scale: Scale) -> list[Contender]:
        items = streams.zipf(scale.items)
        first = items[: scale.objects]
        slow = [str(item) for item in items[: scale.slow].tolist()]

        def probables() -> Any:
            from probables import CountMinSketch

            return CountMinSketch(width=width, depth=4)

        peers = [
            datasketches(
                "count_min_sketch",
                lambda library: library.count_min_sketch(4, width),
                first.tolist(),
                size=lambda sketch: sketch.get_serialized_size_bytes(),
                error=excess(first, lambda sketch, keys: map(sketch.get_estimate, keys.tolist())),
                setting=f"first {len(first):,} items, one a call",
            ),
            Contender(
                "pyprobables CountMinSketch",
                "peer",
                len(slow),
                probables,
                lambda sketch: one_by_one(sketch.add, slow),
                size=lambda sketch: 4 * sketch.width * sketch.depth,
                setting=f"first {len(slow):,} items as str, one a call; 4-byte counters",
            ),
        ]
        return [
            ours(
                "ours, conservative" if conservative else "ours",
                lambda: CountMin(width=width, conservative=conservative),
                items,
                error=excess(items, lambda sketch, keys: sketch.estimate(keys).tolist()),
                goals=goals,
            ),
            *([] if conservative else [*peers, *exact_counts(items, first)]),
            *floor(streams.folder, items, 4, width),
        ]

    return build


def exact_counts(items: Integers, first: Integers) -> list[Contender]:
    """Count every key."""
    objects = first.tolist()
    return [
        Contender("np.unique, counts", "exact", len(items), lambda: items, lambda i: np.unique(i, return_counts=True)),
        polars("value_counts", items, lambda series: series.value_counts(), role="exact"),
        Contender(
            "Counter(list)", "exact", len(objects), lambda: objects, Counter, setting=f"first {len(first):,} items"
        ),
    ]


def ams(streams: Streams, scale: Scale) -> list[Contender]:
    """Give the contenders at the second moment, which no peer answers."""
    items = streams.zipf(scale.items)
    truth = float(np.sum(counts_of(items).astype(np.float64) ** 2))

    def second_moment(values: Integers) -> float:
        return float(np.sum(np.unique(values, return_counts=True)[1].astype(np.float64) ** 2))

    return [
        ours(
            "ours",
            lambda: AMS(width=4096, depth=5),
            items,
            error=lambda sketch, _: f"{sketch.second_moment() / truth - 1:+.2%}",
            setting="signs and buckets 4-wise independent",
            goals=(Goal("floor", at_most=2),),
        ),
        Contender("np.unique, squares", "exact", len(items), lambda: items, second_moment),
        *floor(streams.folder, items, 5, 4096),
    ]


JOBS = {
    "count-min": Job(
        "Count-Min 4×4096: int64, Zipf", count_min(4096, False, Goal("peer", 18), Goal("floor", at_most=1.3))
    ),
    "count-min-large": Job(
        "Count-Min 4×2²⁰, outside the caches: int64, Zipf", count_min(2**20, False, Goal("floor", at_most=1.3))
    ),
    "conservative": Job(
        "Conservative Count-Min 4×4096 beside the floor of the plain one",
        count_min(4096, True, Goal("floor", at_most=3)),
    ),
    "ams": Job("AMS 5×4096, second moment: int64, Zipf", ams),
}
