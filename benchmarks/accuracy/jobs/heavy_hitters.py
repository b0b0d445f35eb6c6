"""Which are most frequent? The worst error of any item, and how many of the most frequent are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.accuracy.measure import Goal, Job, Role, Row, Scale, largest, mean
from benchmarks.accuracy.peers import missing, one_by_one
from benchmarks.accuracy.streams import Integers, Stream, available, stream
from sketches import LossyCounting, SpaceSaving

K = 192  # counters: three quarters of 2**8, as datasketches fills its tables
TOP = 20
WORST, BROKEN, RECALL = "worst error × (k + 1) ÷ N", "bounds broken", f"share of the top {TOP} found"
ABSENT = -(2**63) + 1  # a key that no stream has


@dataclass(frozen=True)
class Table:
    """A table of counters.

    Parameters
    ----------
    bounds
        Gives lower and upper bounds of the counts of keys.
    top
        Gives the keys of the largest counts.
    size
        The bytes, if the library tells them.
    counters
        The k that the worst error is multiplied by.
    deletes
        Whether half of the stream, at random, is deleted again when it is over.
    """

    name: str
    role: Role
    make: Callable[[int], Any]
    feed: Callable[[Any, Integers], None]
    bounds: Callable[[Any, Integers], tuple[Any, Any]]
    top: Callable[[Any], Integers]
    size: Callable[[Any], int] | None = None
    counters: int = K
    deletes: bool = False
    goal: Goal | None = None
    peer: str = ""
    setting: str = ""


OURS = [
    Table(
        "ours SpaceSaving",
        "ours",
        lambda seed: SpaceSaving(K, seed=seed),
        lambda sketch, items: sketch.update(items),
        lambda sketch, keys: sketch.bounds(keys),
        lambda sketch: sketch.top(TOP)["item"].astype(np.int64),
        lambda sketch: sketch.nbytes,
        goal=Goal(1.15),
        setting=f"{K} counters",
    ),
    Table(
        "ours SpaceSaving, deletions",
        "ours",
        lambda seed: SpaceSaving(K, deletions=True, seed=seed),
        lambda sketch, items: sketch.update(items),
        lambda sketch, keys: sketch.bounds(keys),
        lambda sketch: sketch.top(TOP)["item"].astype(np.int64),
        lambda sketch: sketch.nbytes,
        deletes=True,
        goal=Goal(1.15),
        setting=f"{K} counters; N inserted, half of them deleted",
    ),
    Table(
        "ours LossyCounting",
        "ours",
        lambda seed: LossyCounting(1 / (K + 1), seed=seed),
        lambda sketch, items: sketch.update(items),
        lambda sketch, keys: sketch.bounds(keys),
        lambda sketch: sketch.items_above((sketch.max_error + 1) / sketch.total)["item"][:TOP].astype(np.int64),
        lambda sketch: sketch.nbytes,
        setting=f"ε = 1/{K + 1}",
    ),
]


def peers() -> Iterator[Table]:
    def frequent(seed: int) -> Any:
        import datasketches as library

        return library.frequent_items_sketch(8)

    def found(sketch: Any) -> Integers:
        import datasketches as library

        rows = sketch.get_frequent_items(library.frequent_items_error_type.NO_FALSE_NEGATIVES, 0)
        return np.array([row[0] for row in sorted(rows, key=lambda row: -row[1])][:TOP], np.int64)

    def crick(seed: int) -> Any:
        import crick as library

        return library.SpaceSaving(K, np.int64)

    def crick_bounds(sketch: Any, keys: Integers) -> tuple[Any, Any]:
        table = sketch.topk(K)
        rows = {int(row["item"]): row for row in table}
        rest = int(table["count"].min()) if len(table) == K else 0  # no item without a counter occurred more often
        lower = [int(rows[k]["count"] - rows[k]["error"]) if k in rows else 0 for k in keys.tolist()]
        return lower, [int(rows[k]["count"]) if k in rows else rest for k in keys.tolist()]

    yield Table(
        "datasketches frequent_items",
        "peer",
        frequent,
        lambda sketch, items: one_by_one(sketch.update, items.tolist()),
        lambda sketch, keys: tuple(
            list(map(ask, keys.tolist())) for ask in (sketch.get_lower_bound, sketch.get_upper_bound)
        ),
        found,
        lambda sketch: 18 * 2**8,
        peer="datasketches",
        setting=f"2^8 slots, {K} counters; 18 bytes a slot",
    )
    yield Table(
        "crick SpaceSaving",
        "peer",
        crick,
        lambda sketch, items: sketch.update(items),
        crick_bounds,
        lambda sketch: sketch.topk(TOP)["item"],
        peer="crick",
        setting=f"{K} counters",
    )


def measured(table: Table, seed: int, data: Stream) -> tuple[float, int, float, int | None]:
    """Give the worst error × (k + 1) / N, the bounds that did not hold, the recall and the bytes."""
    sketch = table.make(seed)
    table.feed(sketch, data.items)
    left = data.counts
    if table.deletes:
        gone = np.random.default_rng(seed).permutation(data.items)[::2]
        sketch.update(gone, np.full(len(gone), -1))
        left = left - np.bincount(np.searchsorted(data.keys, gone), minlength=len(left))
    keys, truth = np.append(data.keys, ABSENT), np.append(left, 0)
    lower, upper = (np.asarray(bound, np.int64) for bound in table.bounds(sketch, keys))
    worst = max(int((upper - truth).max()), int((truth - lower).max()))
    # Of items that tie with the last of the top, any will do.
    least = np.sort(left)[-min(TOP, len(left))]
    counts = dict(zip(data.keys.tolist(), left.tolist(), strict=True))
    hits = sum(counts.get(int(key), 0) >= least for key in table.top(sketch))
    recall = hits / min(TOP, len(data.counts))
    broken = int(((lower > truth) | (upper < truth)).sum())
    return worst * (table.counters + 1) / len(data.items), broken, recall, table.size(sketch) if table.size else None


def heavy_hitters(scale: Scale) -> Iterator[Row | str]:
    others = list(peers())
    remarks = {each.peer: missing(each.peer) for each in others}
    yield from filter(None, remarks.values())
    names, absent = available()
    yield from absent
    for name in names:
        n = scale.items if name != "retail" else 10**6
        seeds = scale.few // 4 or 1
        streams = [stream(name, n, seed, K + 1 if name == "round robin" else None) for seed in range(seeds)]
        for table in (*OURS, *(each for each in others if not remarks[each.peer])):
            found = [measured(table, seed, data) for seed, data in enumerate(streams)]
            worst, broken, recall, sizes = zip(*found, strict=True)
            facts = {"stream": name, "n": len(streams[0].items), "nbytes": sizes[0], "setting": table.setting}
            limit = 1.0 if name == "round robin" else None
            yield Row(table.name, table.role, WORST, largest(worst), limit=limit, goal=table.goal, **facts)
            never = Goal(at_most=0) if table.role == "ours" else None
            yield Row(table.name, table.role, BROKEN, largest(broken), goal=never, **facts)
            if name not in (
                "uniform",
                "all distinct",
                "round robin",
            ):  # where the most frequent are no others than the rest
                yield Row(table.name, table.role, RECALL, mean(recall), **facts)


JOBS = {
    "heavy-hitters": Job(
        "Heavy hitters: worst errors",
        "How far any item's upper or lower bound lies from its count, over all items of the stream and one that is "
        "not in it, in units of N ÷ (k + 1): the largest of all replicas. In the round robin, "
        f"{K + 1} items take turns, and no table of k counters can be off by less than 1.",
        heavy_hitters,
    )
}
