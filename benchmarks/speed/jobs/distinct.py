"""How many distinct?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import datasketches, duckdb, one_by_one, ours, polars
from benchmarks.speed.floor import floor
from benchmarks.speed.streams import Integers, Streams, unscramble
from sketches import FlajoletMartin


def off(truth: int, read: Callable[[Any, Any], float]) -> Callable[[Any, Any], str]:
    """Say how far the estimate that `read` finds is off."""
    return lambda state, result: f"{read(state, result) / truth - 1:+.2%}"


def flajolet_martin(kind: str, items: Any, truth: int, goal: float) -> Contender:
    sketch = FlajoletMartin(kind=kind)
    return ours(
        f"ours {kind}",
        lambda: FlajoletMartin(kind=kind),
        items,
        error=off(truth, lambda sketch, _: sketch.count()),
        setting=f"2¹² registers, standard error {sketch.relative_error:.2%}",
        goals=(Goal("peer", faster=goal),),
    )


def peers(items: Any, objects: list[Any], truth: int, truth_of_objects: int) -> list[Contender]:
    """Give those that all kinds of items share; `objects` are the first of the items, for one call each."""
    estimate = off(truth_of_objects, lambda sketch, _: sketch.get_estimate())
    some = f"first {len(objects):,} items, one a call"

    def hll_plus_plus() -> Any:
        import datasketch

        return datasketch.HyperLogLogPlusPlus(12)

    slow = [str(item).encode() for item in objects[: len(objects) // 10]]
    return [
        polars("approx_n_unique", items, lambda s: s.approx_n_unique(), role="peer", error=off(truth, lambda _, n: n)),
        duckdb("approx_count_distinct(x)", items, error=off(truth, lambda _, n: n)),
        datasketches(
            "hll_sketch",
            lambda library: library.hll_sketch(12, library.HLL_8),
            objects,
            size=lambda sketch: len(sketch.serialize_updatable()),
            error=estimate,
            setting=f"2¹² registers; {some}",
        ),
        datasketches(
            "cpc_sketch",
            lambda library: library.cpc_sketch(12),
            objects,
            size=lambda sketch: len(sketch.serialize()),
            error=estimate,
            setting=f"2¹²; {some}; bytes are those written",
        ),
        Contender(
            "datasketch HyperLogLogPlusPlus",
            "peer",
            len(slow),
            hll_plus_plus,
            lambda sketch: one_by_one(sketch.update, slow),
            size=lambda sketch: sketch.bytesize(),
            setting=f"2¹² registers; first {len(slow):,} items as bytes, one a call",
        ),
        polars("n_unique", items, lambda s: s.n_unique(), role="exact"),
        Contender("set(list)", "exact", len(objects), lambda: objects, set, setting=f"first {len(objects):,} items"),
    ]


def integers(stream: str, length: str, goal: float, goal_hll: float) -> Callable[[Streams, Scale], list[Contender]]:
    """Give the contenders at int64."""

    def build(streams: Streams, scale: Scale) -> list[Contender]:
        n = getattr(scale, length)
        if n is None:
            return []
        items: Integers = getattr(streams, stream)(n)
        first = items[: scale.objects]
        if stream == "zipf":
            truth, truth_of_first = (int(np.count_nonzero(np.bincount(unscramble(i)))) for i in (items, first))
        else:
            truth, truth_of_first = n, len(first)
        return [
            flajolet_martin("ell", items, truth, goal),
            flajolet_martin("hll", items, truth, goal_hll),
            *peers(items, first.tolist(), truth, truth_of_first),
            Contender(
                "np.unique", "exact", len(first), lambda: first, np.unique, setting=f"first {len(first):,} items"
            ),
            *floor(streams.folder, items),
        ]

    return build


def strings(streams: Streams, scale: Scale) -> list[Contender]:
    """Give the contenders at Arrow strings."""
    items = streams.strings(scale.strings)
    ranks = unscramble(streams.zipf(scale.strings))
    truth, truth_of_first = (int(np.count_nonzero(np.bincount(r))) for r in (ranks, ranks[: scale.objects]))
    return [
        flajolet_martin("ell", items, truth, 1.5),
        flajolet_martin("hll", items, truth, 1.5),
        *peers(items, items[: scale.objects].to_pylist(), truth, truth_of_first),
        *floor(streams.folder, items),
    ]


JOBS = {
    "distinct": Job("Distinct: all-distinct int64", integers("distinct", "items", 2.5, 3)),
    "distinct-zipf": Job("Distinct: int64, Zipf 1.1 over 10⁶ keys", integers("zipf", "items", 2.5, 3)),
    "distinct-many": Job("Distinct: all-distinct int64, the long stream", integers("distinct", "many", 3, 3)),
    "distinct-strings": Job("Distinct: Arrow strings `user-<rank>`, Zipf 1.1", strings),
}
