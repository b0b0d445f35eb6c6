"""Which are most frequent? int64, Zipf 1.1 over 10⁶ keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import datasketches, duckdb, one_by_one, ours
from benchmarks.speed.floor import floor
from benchmarks.speed.jobs.counts import exact_counts
from benchmarks.speed.streams import Integers, Streams, counts_of, scramble
from sketches import LossyCounting, SpaceSaving

TOP = 50


def found(items: Integers, top: Callable[[Any, Any], list[Any]]) -> Callable[[Any, Any], str]:
    """Say how many of the most frequent keys are among as many that were found."""

    def say(state: Any, result: Any) -> str:
        truth = scramble(np.argsort(-counts_of(items), kind="stable")[:TOP])
        return f"{len({*truth.tolist()} & {*top(state, result)[:TOP]})} of the top {TOP}"

    return say


def heavy_hitters(streams: Streams, scale: Scale) -> list[Contender]:
    items = streams.zipf(scale.items)
    first, fewer = items[: scale.objects], items[: scale.objects // 10]
    slow = [str(item) for item in items[: scale.slow].tolist()]

    def frequent(sketch: Any, _: Any) -> list[Any]:
        import datasketches as library

        return [row[0] for row in sketch.get_frequent_items(library.frequent_items_error_type.NO_FALSE_NEGATIVES)]

    def crick() -> Any:
        import crick as library

        return library.SpaceSaving(1000, np.int64)

    def probables() -> Any:
        from probables import HeavyHitters

        return HeavyHitters(num_hitters=1000, width=4096, depth=4)

    full = SpaceSaving(1000)
    full.update(first)
    return [
        ours(
            "ours SpaceSaving",
            lambda: SpaceSaving(1000),
            items,
            error=found(items, lambda sketch, _: sketch.top(TOP)["item"].tolist()),
            setting="k = 1000, error ≤ 8/7000 of N",
            goals=(Goal("peer", 5),),
        ),
        ours(
            "ours LossyCounting",
            lambda: LossyCounting(0.001),
            items,
            error=found(items, lambda sketch, _: sketch.items_above(0.0011)["item"].tolist()),
            setting="error ≤ N/1000",
            goals=(Goal("ours SpaceSaving", at_most=1.5),),
        ),
        duckdb("approx_top_k(x, 1000)", items, error=found(items, lambda _, top: top)),
        datasketches(
            "frequent_items_sketch",
            lambda library: library.frequent_items_sketch(11),
            first.tolist(),
            size=lambda sketch: 18 * 2**11,
            error=found(first, frequent),
            setting=f"1,536 counters, error ≤ 1.7 N/1000; first {len(first):,} items, one a call; bytes: 18 a slot",
        ),
        Contender(
            "crick SpaceSaving",
            "peer",
            len(fewer),
            crick,
            lambda sketch: sketch.update(fewer),
            error=found(fewer, lambda sketch, _: sketch.topk(TOP)["item"].tolist()),
            setting=f"capacity 1000; first {len(fewer):,} items as an array",
        ),
        Contender(
            "pyprobables HeavyHitters",
            "peer",
            len(slow),
            probables,
            lambda sketch: one_by_one(sketch.add, slow),
            setting=f"1000 hitters, 4×4096; first {len(slow):,} items as str, one a call",
        ),
        *exact_counts(items, first),
        *floor(streams.folder, items, 1, full.nbytes // 8),
    ]


JOBS = {"heavy-hitters": Job("Heavy hitters: int64, Zipf", heavy_hitters)}
