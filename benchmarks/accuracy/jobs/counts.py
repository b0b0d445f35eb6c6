"""How often does x occur? The mean error over all different items, at equal bytes, beside a plain Count-Min's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.accuracy.measure import Goal, Job, Plot, Role, Row, Scale, Value, mean
from benchmarks.accuracy.peers import missing, one_by_one
from benchmarks.accuracy.streams import Integers, Stream, available, counted, stream
from sketches import AMS, CountMin

ERROR, RATIO = "mean |error| of an item ÷ N", "mean |error| ÷ that of a plain Count-Min"
REFERENCE = "plain Count-Min"
ASKED = 20_000  # of the different items, chosen at random
DEPTH = 4
PLACE = "Zipf 1.0", 2**16  # where the goals are judged


@dataclass(frozen=True)
class Counter:
    """A sketch that counts.

    Parameters
    ----------
    make
        Makes one of so many counters; `seed` is for those that take one.
    feed, ask
        Adds a stream; estimates the counts of keys.
    width
        A counter's bytes. Of those that grow (0), as many are taken as fill the bytes when the stream is over.
    linear
        Whether order is nothing to it, so that counts may be fed instead of items.
    """

    name: str
    role: Role
    make: Callable[[int, int], Any]
    feed: Callable[[Any, Stream], None]
    ask: Callable[[Any, Integers], Any]
    width: int = 8
    linear: bool = True
    goal: Goal | None = None
    peer: str = ""
    setting: str = ""


def feed_counts(sketch: Any, data: Stream) -> None:
    sketch.update(data.keys, data.counts)


def ours(name: str, kind: Any, goal: Goal | None = None, threshold: bool = False, **options: Any) -> Counter:
    """Give one of ours; a conservative one is fed one item after the other."""
    depth = 5 if kind is AMS else DEPTH
    linear = not options.get("conservative", False)
    asking = {"threshold": True} if threshold else {}
    return Counter(
        name,
        "ours",
        lambda counters, seed: kind(counters // depth, depth, seed=seed, **options),
        feed_counts if linear else lambda sketch, data: sketch.update(data.items),
        lambda sketch, keys: sketch.estimate(keys, **asking),
        0,
        linear,
        goal,
    )


OURS = [
    Counter(
        REFERENCE,
        "exact",
        lambda counters, seed: CountMin(counters // DEPTH, DEPTH, seed=seed),
        feed_counts,
        lambda sketch, keys: sketch.estimate(keys),
        setting="the unit: 8-byte counters",
    ),
    ours("ours CountMin", CountMin),
    ours("ours CountMin, conservative", CountMin, Goal(0.6), conservative=True),
    ours("ours AMS", AMS),
    ours("ours AMS, threshold", AMS, Goal(0.1), threshold=True),
]


def peers() -> Iterator[Counter]:
    """Give those that are there."""

    def datasketches(counters: int, seed: int) -> Any:
        import datasketches as library

        return library.count_min_sketch(DEPTH, counters // DEPTH, seed)

    def probables(kind: str) -> Callable[[int, int], Any]:
        def make(counters: int, seed: int) -> Any:
            import probables as library

            return getattr(library, kind)(width=counters // DEPTH, depth=DEPTH)

        return make

    def bounter(counters: int, seed: int) -> Any:
        import bounter as library

        return library.CountMinSketch(width=counters // DEPTH, depth=DEPTH)

    def as_text(keys: Integers) -> list[str]:
        return list(map(str, keys.tolist()))

    yield Counter(
        "datasketches count_min",
        "peer",
        datasketches,
        lambda sketch, data: one_by_one(sketch.update, data.keys.tolist(), data.counts.tolist()),
        lambda sketch, keys: list(map(sketch.get_estimate, keys.tolist())),
        peer="datasketches",
    )
    for kind in ("CountMinSketch", "CountMeanMinSketch"):
        yield Counter(
            f"pyprobables {kind}",
            "peer",
            probables(kind),
            lambda sketch, data: one_by_one(sketch.add, as_text(data.keys), data.counts.tolist()),
            lambda sketch, keys: list(map(sketch.check, as_text(keys))),
            width=4,
            peer="pyprobables",
            setting="4-byte counters",
        )
    yield Counter(
        "bounter CountMinSketch",
        "peer",
        bounter,
        lambda sketch, data: sketch.update(as_text(data.items)),
        lambda sketch, keys: [sketch[key] for key in as_text(keys)],
        width=4,
        linear=False,
        peer="bounter",
        setting="conservative, 4-byte counters; 64 KiB of another sketch not counted",
    )


def counters_of(each: Counter, nbytes: int, data: Stream) -> int:
    """Give how many counters take so many bytes when the stream is over."""
    if each.width:
        return nbytes // each.width
    counters = nbytes // 8
    for _ in range(6):  # more counters are smaller ones, so that this ascends
        sketch = each.make(counters, 0)
        each.feed(sketch, data)
        more = int(counters * nbytes / sketch.nbytes)
        if more <= counters * 1.01:
            break
        counters = more
    while True:  # but may overshoot
        sketch = each.make(counters, 0)
        each.feed(sketch, data)
        if sketch.nbytes <= nbytes:
            return counters
        counters = int(counters * 0.97)


def errors(contenders: list[Counter], sizes: dict[str, int], data: Stream, seed: int) -> dict[str, float]:
    """Give each one's mean absolute error on one stream."""
    asked = np.random.default_rng(seed).permutation(len(data.keys))[:ASKED]
    keys, truth = data.keys[asked], data.counts[asked]
    found = {}
    for each in contenders:
        sketch = each.make(sizes[each.name], seed)
        each.feed(sketch, data)
        found[each.name] = float(np.abs(np.asarray(each.ask(sketch, keys), float) - truth).mean())
    return found


def rows_of(
    contenders: list[Counter], name: str, n: int, nbytes: int, found: dict[str, list[float]], goals: bool
) -> Iterator[Row]:
    reference = np.array(found[REFERENCE])
    for each in contenders:
        values = np.array(found[each.name])
        facts = {"stream": name, "n": n, "nbytes": nbytes, "setting": each.setting}
        yield Row(each.name, each.role, ERROR, mean(values / n), **facts)
        ratios: Value = mean(values / reference[: len(values)])
        yield Row(each.name, each.role, RATIO, ratios, goal=each.goal if goals else None, **facts)


@cache
def streams_of(name: str, n: int, seed: int) -> Stream:
    return stream(name, n, seed)


def measured(
    contenders: list[Counter], make: Callable[[int], Stream], name: str, nbytes: int, seeds: int, few: int
) -> Iterator[Row]:
    """Give the rows of one stream and size; peers get `few` replicas."""
    first = make(0)
    sizes = {each.name: counters_of(each, nbytes, first) for each in contenders}
    found: dict[str, list[float]] = {each.name: [] for each in contenders}
    for seed in range(seeds):
        turn = [each for each in contenders if each.role != "peer" or seed < few]
        for each, error in errors(turn, sizes, make(seed), seed).items():
            found[each].append(error)
    yield from rows_of(contenders, name, int(first.counts.sum()), nbytes, found, (name, nbytes) == PLACE)


def counts(scale: Scale) -> Iterator[Row | str]:
    others = list(peers())
    remarks = {each.peer: missing(each.peer) for each in others}
    yield from filter(None, remarks.values())
    contenders = [*OURS, *(each for each in others if not remarks[each.peer])]
    names, absent = available()
    yield from absent
    few = max(2, scale.few // 10)  # where a replica is long
    for name in names:
        sizes = (2**14, 2**16, 2**18) if name == PLACE[0] else (PLACE[1],)
        for nbytes in sizes:
            seeds = max(2, scale.few // 4)
            make = partial(streams_of, name, scale.items)
            yield from measured(contenders, make, name, nbytes, seeds, few)
        streams_of.cache_clear()
    linear = [each for each in OURS if each.linear]
    for n in (10**5, 10**6, 10**7, 10**8, 10**9):
        if n <= scale.longest:
            make = partial(counted, "Zipf 1.0", n)
            yield from measured(linear, make, "Zipf 1.0, counts only", PLACE[1], few, few)


JOBS = {
    "counts": Job(
        "Point counts: error at equal bytes",
        "The mean over all different items of the absolute error; a plain Count-Min has 4 rows of 8-byte "
        f"counters, in as many bytes and on the same stream. Of {ASKED:,} items chosen at random.",
        counts,
        (Plot(RATIO, "nbytes", only="Zipf 1.0"), Plot(ERROR, "n", only="Zipf 1.0, counts only")),
    )
}
