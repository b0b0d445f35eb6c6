"""One item a call, in a Python loop, whose own cost is in every figure; the floor is that loop with nothing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.speed.contender import Contender, Goal, Job, Role, Scale
from benchmarks.speed.jobs.makers import ALL
from benchmarks.speed.jobs.membership import abloom, rbloom
from benchmarks.speed.streams import Streams

DATASKETCHES: dict[str, Callable[[Any], Any]] = {
    "hll_sketch": lambda library: library.hll_sketch(12, library.HLL_8),
    "cpc_sketch": lambda library: library.cpc_sketch(12),
    "count_min_sketch": lambda library: library.count_min_sketch(4, 4096),
    "frequent_items_sketch": lambda library: library.frequent_items_sketch(11),
    "kll_floats_sketch": lambda library: library.kll_floats_sketch(200),
}
SAME = {  # the peers that answer the same question
    "FlajoletMartin": ("datasketches hll_sketch", "datasketches cpc_sketch"),
    "BloomFilter": ("rbloom", "abloom"),
    "CountMin": ("datasketches count_min_sketch",),
    "AMS": (),
    "SpaceSaving": ("datasketches frequent_items_sketch",),
    "SubsetSum": (),
    "LossyCounting": ("datasketches frequent_items_sketch",),
    "Quantiles": ("datasketches kll_floats_sketch",),
}


def each(state: Any) -> None:
    add, items = state
    for item in items:
        add(item)


def nothing(items: Any) -> None:
    for _ in items:
        pass


def scalars(streams: Streams, scale: Scale) -> list[Contender]:
    items = streams.zipf(scale.objects).tolist()

    def adding(name: str, role: Role, make: Callable[[], Any], method: str, **facts: Any) -> Contender:
        return Contender(name, role, len(items), lambda: (getattr(make(), method), items), each, **facts)

    def made(make: Callable[[Any], Any]) -> Callable[[], Any]:
        def prepare() -> Any:
            import datasketches

            return make(datasketches)

        return prepare

    def own(name: str, make: Callable[[], Any]) -> Contender:
        rivals = SAME[name.split()[0]]
        theirs = [rival for rival in rivals if rival.startswith("datasketches")] or ["datasketches hll_sketch"]
        goals = (Goal(theirs[0], faster=1.3),)  # where they have no such sketch, their fastest
        return adding(f"ours {name}", "ours", make, "add", goals=goals, rivals=rivals)

    return [
        *(own(name, make) for name, make in ALL.items()),
        *(adding(f"datasketches {name}", "peer", made(make), "update") for name, make in DATASKETCHES.items()),
        adding("rbloom", "peer", lambda: rbloom(10**6), "add"),
        adding("abloom", "peer", lambda: abloom(10**6), "add"),
        adding("set", "exact", set, "add"),
        Contender("floor: empty loop", "floor", len(items), lambda: items, nothing),
    ]


JOBS = {"add": Job("add(int), one call an item; Zipf", scalars)}
