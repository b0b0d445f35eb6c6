"""Lists of Python objects: what every sketch that hashes does with them, beside the fastest Bloom filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import one_by_one, ours
from benchmarks.speed.jobs.makers import HASHING
from benchmarks.speed.jobs.membership import HASHED, abloom, rbloom
from benchmarks.speed.streams import Streams


def lists(kind: str) -> Callable[[Streams, Scale], list[Contender]]:
    def build(streams: Streams, scale: Scale) -> list[Contender]:
        column = streams.zipf(scale.objects) if kind == "int" else streams.strings(scale.objects)

        def fresh() -> list[Any]:
            return column.tolist() if kind == "int" else column.to_pylist()

        items = fresh()

        def peer(name: str, make: Callable[[int], Any]) -> list[Contender]:
            def run(state: Any) -> None:
                state[0].update(state[1])

            def again() -> Any:
                one_by_one(hash, items)  # every str now knows its hash
                return make(10**6), items

            if kind == "int":
                return [Contender(name, "peer", len(items), again, run)]
            return [
                Contender(name, "peer", len(items), lambda: (make(10**6), fresh()), run, setting="new strings"),
                Contender(f"{name}, again", "peer", len(items), again, run, setting=HASHED),
            ]

        return [
            *(ours(f"ours {name}", make, items, goals=(Goal("peer", 2),)) for name, make in HASHING.items()),
            *peer("rbloom", rbloom),
            *peer("abloom", abloom),
            Contender("set.update(list)", "exact", len(items), lambda: (set(), fresh()), lambda s: s[0].update(s[1])),
        ]

    return build


JOBS = {
    "list-int": Job("update(list of int), Zipf", lists("int")),
    "list-str": Job("update(list of str), Zipf", lists("str")),
}
