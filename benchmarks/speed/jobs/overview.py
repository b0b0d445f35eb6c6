"""Every sketch in one table: one item a call, lists, arrays, Arrow strings, and queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.speed.contender import Contender, Job, Scale
from benchmarks.speed.jobs.makers import ALL
from benchmarks.speed.jobs.scalars import each
from benchmarks.speed.streams import Streams

# Asked of each sketch about many items at once; FlajoletMartin has but one answer, so that its time is that of one.
QUERIES: dict[str, Callable[[Any, Any], Any]] = {
    "FlajoletMartin": lambda sketch, items: sketch.count(),
    "BloomFilter": lambda sketch, items: sketch.contains(items),
    "CountMin": lambda sketch, items: sketch.estimate(items),
    "AMS": lambda sketch, items: sketch.estimate(items),
    "SpaceSaving": lambda sketch, items: sketch.estimate(items),
    "SubsetSum": lambda sketch, items: sketch.estimate(items),
    "LossyCounting": lambda sketch, items: sketch.estimate(items),
    "Quantiles": lambda sketch, items: sketch.cdf(items),
}


def overview(streams: Streams, scale: Scale) -> list[Contender]:
    keys, strings, numbers = streams.zipf(scale.items), streams.strings(scale.strings), streams.normal(scale.items)
    some = keys[: scale.objects]
    objects = some.tolist()
    found = []
    for name, make in ALL.items():
        kind = name.split(" ")[0]
        feeds = {"update(list)": objects, "update(int64)": keys, "update(Arrow strings)": strings}
        if kind == "Quantiles":
            feeds = {"update(list)": objects, "update(int64)": keys, "update(float32)": numbers}

        def timed(
            column: str, items: int, prepare: Callable[[], Any], run: Callable[[Any], Any], name: str = name
        ) -> None:
            found.append(Contender(f"ours {name}", "ours", items, prepare, run, column=column))

        def asked(make: Callable[[], Any] = make) -> Any:
            sketch = make()
            sketch.update(keys)
            return sketch

        timed("add", len(objects), lambda make=make: (make().add, objects), each)
        for column, items in feeds.items():
            timed(column, len(items), make, lambda sketch, items=items: sketch.update(items))
        ask = QUERIES[kind]
        timed("query", 1 if kind == "FlajoletMartin" else len(some), asked, lambda sketch, ask=ask: ask(sketch, some))
    return found


JOBS = {"overview": Job("All sketches, ns/item; Zipf (query of FlajoletMartin: one call)", overview)}
