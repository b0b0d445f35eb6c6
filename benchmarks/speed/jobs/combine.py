"""Merging 1,000 sketches, and writing and reading one 1,000 times; beside the same kind in DataSketches."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import one_by_one
from benchmarks.speed.jobs.makers import ALL
from benchmarks.speed.jobs.scalars import DATASKETCHES
from benchmarks.speed.streams import Streams

SKETCHES = 1000
KINDS = {  # ours, and theirs of the same kind
    "FlajoletMartin ell, 2¹²": "cpc_sketch",
    "FlajoletMartin hll, 2¹²": "hll_sketch",
    "CountMin 4×4096": "count_min_sketch",
    "SpaceSaving k=1000": "frequent_items_sketch",
    "Quantiles 2⁻⁸": "kll_floats_sketch",
}


def filled(mine: str, items: Any) -> Any:
    sketch = ALL[mine]()
    sketch.update(items)
    return sketch


def filled_theirs(theirs: str, items: Any) -> Any:
    import datasketches

    sketch = DATASKETCHES[theirs](datasketches)
    if theirs == "kll_floats_sketch":
        sketch.update(items.astype(np.float32))
    else:
        one_by_one(sketch.update, items.tolist())
    return sketch


def merge(mine: str, theirs: str) -> Callable[[Streams, Scale], list[Contender]]:
    def build(streams: Streams, scale: Scale) -> list[Contender]:
        count = SKETCHES if scale.parts > 100 else 10
        stream = streams.normal(count * scale.parts) if "Quantiles" in mine else streams.zipf(count * scale.parts)
        streamed = np.split(stream, count)

        @cache
        def parts() -> list[Any]:
            return [filled(mine, items) for items in streamed]

        @cache
        def parts_of_theirs() -> list[Any]:
            return [filled_theirs(theirs, items) for items in streamed]

        def their_target() -> tuple[Callable[[Any], Any], list[Any]]:
            import datasketches

            if theirs in ("hll_sketch", "cpc_sketch"):  # merged by a union
                union = {"hll_sketch": datasketches.hll_union, "cpc_sketch": datasketches.cpc_union}[theirs](12)
                return union.update, parts_of_theirs()
            return DATASKETCHES[theirs](datasketches).merge, parts_of_theirs()

        def run(state: tuple[Callable[[Any], Any], list[Any]]) -> None:
            one_by_one(*state)

        def run_at_once(state: tuple[Callable[..., Any], list[Any]]) -> None:
            target_merge, others = state
            target_merge(*others)

        setting = f"{count:,} sketches of {scale.parts:,} items; time is that of one"
        ours = [
            Contender(
                f"ours {mine}, {how}",
                "ours",
                count,
                lambda: (ALL[mine]().merge, parts()),
                call,
                size=lambda _: parts()[0].nbytes,
                setting=setting,
                goals=(Goal("peer", 3),),
            )
            for how, call in (("one by one", run), ("merge(*all)", run_at_once))
        ]
        return [*ours, Contender(f"datasketches {theirs}", "peer", count, their_target, run, setting=setting)]

    return build


def round_trip(mine: str, theirs: str) -> Callable[[Streams, Scale], list[Contender]]:
    def build(streams: Streams, scale: Scale) -> list[Contender]:
        items = streams.normal(scale.objects) if "Quantiles" in mine else streams.zipf(scale.objects)

        @cache
        def sketch() -> Any:
            return filled(mine, items)

        @cache
        def their_sketch() -> Any:
            return filled_theirs(theirs, items)

        def serde() -> tuple[Any, ...]:
            import datasketches

            return (datasketches.PyLongsSerDe(),) if theirs == "frequent_items_sketch" else ()

        def writer(sketch: Any) -> Callable[..., bytes]:
            return sketch.serialize_compact if hasattr(sketch, "serialize_compact") else sketch.serialize

        def run(sketch: Any) -> None:
            for _ in range(SKETCHES):
                type(sketch).from_bytes(sketch.to_bytes())

        def run_theirs(sketch: Any) -> None:
            arguments = serde()
            write = writer(sketch)
            for _ in range(SKETCHES):
                type(sketch).deserialize(write(*arguments), *arguments)

        return [
            Contender(
                f"ours {mine}",
                "ours",
                SKETCHES,
                sketch,
                run,
                size=lambda sketch: len(sketch.to_bytes()),
                setting=f"time is that of one of {SKETCHES:,}; bytes are those written",
                goals=(Goal("peer", 3),),
            ),
            Contender(
                f"datasketches {theirs}",
                "peer",
                SKETCHES,
                their_sketch,
                run_theirs,
                size=lambda sketch: len(writer(sketch)(*serde())),
                setting=f"time is that of one of {SKETCHES:,}; bytes are those written",
            ),
        ]

    return build


JOBS = {
    f"{what}-{theirs.split('_')[0]}": Job(f"{title}: {mine}", make(mine, theirs))
    for what, title, make in (
        ("merge", "Merge of 1,000 sketches (ns a sketch)", merge),
        ("bytes", "to_bytes and from_bytes (ns a round trip)", round_trip),
    )
    for mine, theirs in KINDS.items()
}
