"""How often does x occur? The mean error over all different items, at equal bytes, beside a plain Count-Min's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.accuracy.measure import Goal, Job, Plot, Role, Row, Scale, Value, mean
from benchmarks.accuracy.peers import missing, one_by_one
from benchmarks.accuracy.streams import Integers, Stream, available, counted, stream
from sketches import AMS, CountMin

ERROR, RATIO = "mean |error| of an item ÷ N", "mean |error| ÷ that of a plain Count-Min"
REFERENCE = "ours CountMin"
ASKED = 20_000  # of the different items, chosen at random
DEPTH = 4
PLACE = "Zipf 1.0", 2**16  # where the goals are judged


@dataclass(frozen=True)
class Counter:
    """A sketch that counts.

    Parameters
    ----------
    make
        Makes one of so many bytes; `seed` is for those that take one.
    feed, ask
        Adds a stream; estimates the counts of keys.
    linear
        Whether order is nothing to it, so that counts may be fed instead of items.
    """

    name: str
    role: Role
    make: Callable[[int, int], Any]
    feed: Callable[[Any, Stream], None]
    ask: Callable[[Any, Integers], Any]
    linear: bool = True
    goal: Goal | None = None
    peer: str = ""
    setting: str = ""


def feed_counts(sketch: Any, data: Stream) -> None:
    sketch.update(data.keys, data.counts)


OURS = [
    Counter(
        REFERENCE,
        "ours",
        lambda nbytes, seed: CountMin.for_memory(nbytes, depth=DEPTH, seed=seed),
        feed_counts,
        lambda sketch, keys: sketch.estimate(keys),
    ),
    Counter(
        "ours CountMin, conservative",
        "ours",
        lambda nbytes, seed: CountMin.for_memory(nbytes, depth=DEPTH, seed=seed, conservative=True),
        lambda sketch, data: sketch.update(data.items),
        lambda sketch, keys: sketch.estimate(keys),
        linear=False,
        goal=Goal(0.6),
    ),
    Counter(
        "ours AMS",
        "ours",
        lambda nbytes, seed: AMS.for_memory(nbytes, seed=seed),
        feed_counts,
        lambda sketch, keys: sketch.estimate(keys),
    ),
    Counter(
        "ours AMS, threshold",
        "ours",
        lambda nbytes, seed: AMS.for_memory(nbytes, seed=seed),
        feed_counts,
        lambda sketch, keys: sketch.estimate(keys, threshold=True),
        goal=Goal(0.1),
    ),
]


def peers() -> Iterator[Counter]:
    """Give those that are there."""

    def datasketches(nbytes: int, seed: int) -> Any:
        import datasketches as library

        return library.count_min_sketch(DEPTH, nbytes // (8 * DEPTH), seed)

    def probables(kind: str) -> Callable[[int, int], Any]:
        def make(nbytes: int, seed: int) -> Any:
            import probables as library

            return getattr(library, kind)(width=nbytes // (4 * DEPTH), depth=DEPTH)

        return make

    def bounter(nbytes: int, seed: int) -> Any:
        import bounter as library

        return library.CountMinSketch(width=nbytes // (4 * DEPTH), depth=DEPTH)

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
            peer="pyprobables",
            setting="4-byte counters",
        )
    yield Counter(
        "bounter CountMinSketch",
        "peer",
        bounter,
        lambda sketch, data: sketch.update(as_text(data.items)),
        lambda sketch, keys: [sketch[key] for key in as_text(keys)],
        linear=False,
        peer="bounter",
        setting="conservative, 4-byte counters; 64 KiB of another sketch not counted",
    )


def errors(contenders: list[Counter], nbytes: int, data: Stream, seed: int) -> dict[str, float]:
    """Give each one's mean absolute error on one stream."""
    asked = np.random.default_rng(seed).permutation(len(data.keys))[:ASKED]
    keys, truth = data.keys[asked], data.counts[asked]
    found = {}
    for each in contenders:
        sketch = each.make(nbytes, seed)
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


def counts(scale: Scale) -> Iterator[Row | str]:
    others = list(peers())
    remarks = {each.peer: missing(each.peer) for each in others}
    yield from filter(None, remarks.values())
    others = [each for each in others if not remarks[each.peer]]
    names, absent = available()
    yield from absent
    few = max(3, scale.few // 10)  # of peers fed one item a call
    sizes = (2**14, 2**16, 2**18)
    for name in names:
        for nbytes in sizes if name == PLACE[0] else (PLACE[1],):
            found: dict[str, list[float]] = {each.name: [] for each in (*OURS, *others)}
            for seed in range(scale.few // 2 or 1):
                data = streams_of(name, scale.items, seed)
                contenders = [*OURS, *(others if seed < few else ())]
                for each, error in errors(contenders, nbytes, data, seed).items():
                    found[each].append(error)
            goals = (name, nbytes) == PLACE
            yield from rows_of([*OURS, *others], name, len(data.items), nbytes, found, goals)
        streams_of.cache_clear()
    linear = [each for each in OURS if each.linear]
    for n in (10**5, 10**6, 10**7, 10**8, 10**9):
        if n <= scale.longest:
            found = {each.name: [] for each in linear}
            for seed in range(few):
                for each, error in errors(linear, PLACE[1], counted("Zipf 1.0", n, seed), seed).items():
                    found[each].append(error)
            yield from rows_of(linear, "Zipf 1.0, counts only", n, PLACE[1], found, False)


JOBS = {
    "counts": Job(
        "Point counts: error at equal bytes",
        "The mean over all different items of the absolute error; a plain Count-Min is one of 4 rows of 8-byte "
        f"counters, in as many bytes and on the same stream. Of {ASKED:,} items chosen at random.",
        counts,
        (Plot(RATIO, "nbytes", only="Zipf 1.0"), Plot(ERROR, "n", only="Zipf 1.0, counts only")),
    )
}
