"""Seen before? 10⁶ items in a filter for 10⁶ at 1 %; half of those asked for are in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import one_by_one, ours
from benchmarks.speed.floor import floor
from benchmarks.speed.streams import Integers, Streams, users
from sketches import BinaryFuseFilter, BloomFilter

ERROR = 0.01
TWO_LINES, FUSE = "block, two lines at 0.01 %", "binary fuse at 1/256"
HASHED = "str that hold Python's hash, as after a first use"


def columns(streams: Streams, scale: Scale, kind: str) -> tuple[Any, Any]:
    """Give the members, and those asked for: as many strangers as members, shuffled."""
    n = min(scale.items, 10**6)
    ids = np.random.default_rng(4).permutation(3 * n // 2) if kind == "str" else streams.distinct(3 * n // 2)
    members, asked = ids[:n], np.concatenate((ids[n:], ids[: n // 2]))
    order = np.random.default_rng(5).permutation(len(asked))  # a branch on the answer must not be predictable
    as_column: Callable[[Integers], Any] = users if kind == "str" else np.ascontiguousarray
    return as_column(members), as_column(asked[order])


def share(found: Any, asked: int) -> str:
    """Say which share of strangers was taken for members."""
    return f"{(sum(found) - asked / 2) / (asked / 2):.2%} false positives"


def as_list(column: Any) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column.to_pylist()


def rbloom(n: int) -> Any:
    import rbloom as library

    return library.Bloom(n, ERROR)


def abloom(n: int) -> Any:
    import abloom as library

    return library.BloomFilter(n, ERROR)


def fastbloom(n: int) -> Any:
    import fastbloom_rs as library

    return library.BloomFilter(n, ERROR)


def probables(n: int) -> Any:
    import probables as library

    return library.BloomFilter(n, ERROR)


SIZES: dict[str, Callable[[Any], int]] = {
    "rbloom": lambda bloom: bloom.size_in_bits // 8,
    "abloom": lambda bloom: bloom.byte_count,
    "fastbloom-rs": lambda bloom: len(bloom.get_bytes()),
}


def inserts(kind: str, goal: float) -> Callable[[Streams, Scale], list[Contender]]:
    def build(streams: Streams, scale: Scale) -> list[Contender]:
        members, _ = columns(streams, scale, kind)
        n = len(members)
        objects = as_list(members)
        goals = (Goal("peer", goal),)

        def fresh(make: Callable[[int], Any]) -> Callable[[], Any]:
            # Python keeps the hash of a str in it: new ones, or peers that use it would not hash.
            return lambda: (make(n), as_list(members) if kind == "str" else objects)

        def peer(name: str, make: Callable[[int], Any], run: Callable[[Any], Any], setting: str) -> Contender:
            return Contender(name, "peer", n, fresh(make), run, lambda s: SIZES[name](s[0]), setting=setting)

        def again(make: Callable[[int], Any]) -> Callable[[], Any]:
            one_by_one(hash, objects)
            return lambda: (make(n), objects)

        hashed = [
            Contender(f"{name}, again", "peer", n, again(make), lambda s: s[0].update(s[1]), setting=HASHED)
            for name, make in (("rbloom", rbloom), ("abloom", abloom))
            if kind == "str"
        ]

        def probably(state: Any) -> None:
            for item in state[1][: scale.slow]:
                state[0].add(str(item))

        return [
            ours("ours, block", lambda: BloomFilter(n, ERROR), members, goals=goals),
            ours("ours, classic", lambda: BloomFilter(n, ERROR, "classic"), members),
            ours("ours, block, two lines at 0.01 %", lambda: BloomFilter(n, 1e-4), members),
            Contender("ours, binary fuse at 1/256", "ours", n, lambda: members, BinaryFuseFilter),
            peer("rbloom", rbloom, lambda s: s[0].update(s[1]), "update(list)"),
            peer("abloom", abloom, lambda s: s[0].update(s[1]), "update(list)"),
            *hashed,
            peer(
                "fastbloom-rs", fastbloom, lambda s: getattr(s[0], f"add_{kind}_batch")(s[1]), f"add_{kind}_batch(list)"
            ),
            Contender("pyprobables", "peer", scale.slow, fresh(probables), probably, setting="add(str)"),
            Contender("set.update(list)", "exact", n, lambda: (set(), objects), lambda s: s[0].update(s[1])),
            *floor(streams.folder, members, 1, len(BloomFilter(n, ERROR).words) // 8, stride=8),
        ]

    return build


def queries(kind: str, goal: float) -> Callable[[Streams, Scale], list[Contender]]:
    def build(streams: Streams, scale: Scale) -> list[Contender]:
        members, asked = columns(streams, scale, kind)
        n, objects, questions = len(members), as_list(members), as_list(asked)
        filters: dict[str, Any] = {}  # asked again and again: a query changes nothing

        def filled(name: str, make: Callable[[int], Any], add: str = "update") -> Callable[[], Any]:
            def prepare() -> Any:
                if name not in filters:
                    filters[name] = make(n)
                    getattr(filters[name], add)(objects)
                return filters[name], as_list(asked) if kind == "str" else questions

            return prepare

        def again(name: str, make: Callable[[int], Any]) -> Callable[[], Any]:
            one_by_one(hash, questions)
            return lambda: (filled(name, make)()[0], questions)

        def mine(layout: str) -> Any:
            if layout not in filters and layout == FUSE:
                filters[layout] = BinaryFuseFilter(members)
            elif layout not in filters:
                filters[layout] = BloomFilter(n, *((1e-4,) if layout == TWO_LINES else (ERROR, layout)))
                filters[layout].update(members)
            return filters[layout]

        def own(layout: str, goals: tuple[Goal, ...]) -> Contender:
            return Contender(
                f"ours, {layout}",
                "ours",
                len(asked),
                lambda: mine(layout),
                lambda bloom: bloom.contains(asked),
                size=lambda bloom: bloom.nbytes,
                error=lambda _, found: share(found, len(asked)),
                goals=goals,
            )

        def peer(
            name: str, prepare: Callable[[], Any], run: Callable[[Any], Any], setting: str, size: Any = None
        ) -> Contender:
            return Contender(
                name, "peer", len(asked), prepare, run, size, lambda _, found: share(found, len(asked)), setting=setting
            )

        def each(state: Any) -> list[bool]:
            bloom, items = state
            return [item in bloom for item in items]

        return [
            own("block", (Goal("peer", goal),)),
            own("classic", ()),
            own(TWO_LINES, ()),
            own(FUSE, ()),
            *(
                peer(
                    name, filled(name, make), each, "[x in bloom for x in list]", lambda s, name=name: SIZES[name](s[0])
                )
                for name, make in (("rbloom", rbloom), ("abloom", abloom))
            ),
            *(
                peer(f"{name}, again", again(name, make), each, HASHED)
                for name, make in (("rbloom", rbloom), ("abloom", abloom))
                if kind == "str"
            ),
            peer(
                "fastbloom-rs",
                filled("fastbloom-rs", fastbloom, f"add_{kind}_batch"),
                lambda s: getattr(s[0], f"contains_{kind}_batch")(s[1]),
                f"contains_{kind}_batch(list)",
                lambda s: SIZES["fastbloom-rs"](s[0]),
            ),
            Contender("x in set", "exact", len(asked), lambda: (set(objects), questions), each),
            *floor(streams.folder, asked, 1, len(mine("block").words) // 8, stride=8, write=False),
        ]

    return build


JOBS = {
    "bloom-insert": Job("Bloom filter, 10⁶ at 1 %: insert int64; peers are given a list", inserts("int", 12)),
    "bloom-query": Job("Bloom filter, 10⁶ at 1 %: query int64; peers are given a list", queries("int", 12)),
    "bloom-insert-strings": Job(
        "Bloom filter, 10⁶ at 1 %: insert Arrow strings; peers are given a list", inserts("str", 2)
    ),
    "bloom-query-strings": Job(
        "Bloom filter, 10⁶ at 1 %: query Arrow strings; peers are given a list", queries("str", 2)
    ),
}
