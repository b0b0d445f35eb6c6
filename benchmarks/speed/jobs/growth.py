"""What an item costs as streams grow, as tables outgrow the caches, and on several threads."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import duckdb, ours, polars
from benchmarks.speed.floor import floor
from benchmarks.speed.jobs.makers import ALL
from benchmarks.speed.streams import Streams
from sketches import BloomFilter, CountMin, FlajoletMartin

TOLERANCE = 1.05  # "flat or falling" with the noise of a clock
DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(n: int) -> str:
    """Write a power of ten."""
    return "10" + str(round(np.log10(n))).translate(DIGITS)


def flat(name: str, n: int, scale: Scale) -> tuple[Goal, ...]:
    """Ask the longest stream to cost no more an item than that of 10⁵, and no more memory."""
    if n != scale.lengths[-1] or n <= 10**5:
        return ()
    against = f"{name} | {power(10**5)}"
    return Goal(against, at_most=TOLERANCE), Goal(against, at_most=TOLERANCE, quantity="bytes")


def sketches_at(streams: Streams, scale: Scale, n: int, where: dict[str, Any], *kinds: str) -> list[Contender]:
    """Give our sketches of some kinds on a stream of length n."""
    return [
        ours(
            f"ours {name}",
            make,
            streams.normal(n) if "Quantiles" in name else streams.zipf(n),
            goals=flat(f"ours {name}", n, scale),
            **where,
        )
        for name, make in ALL.items()
        if name.split()[0] in kinds
    ]


def column_of(n: int) -> dict[str, Any]:
    """Give the place of a stream's length in tables and plots, and more runs a value where it is short."""
    return {"column": power(n), "x": n, "repeats": max(1, 10**5 // n)}


def distinct_lengths(streams: Streams, scale: Scale) -> list[Contender]:
    found = []
    for n in scale.lengths:
        keys, where = streams.zipf(n), column_of(n)
        found += sketches_at(streams, scale, n, where, "FlajoletMartin")
        found.append(polars("approx_n_unique", keys, lambda series: series.approx_n_unique(), role="peer", **where))
        found.append(duckdb("approx_count_distinct(x)", keys, **where))
        found += floor(streams.folder, keys, **where)
    return found


def lengths(streams: Streams, scale: Scale) -> list[Contender]:
    kinds = {name.split()[0] for name in ALL} - {"FlajoletMartin"}
    return [contender for n in scale.lengths for contender in sketches_at(streams, scale, n, column_of(n), *kinds)]


def warm(make: Callable[[], Any], items: Any) -> Callable[[], Any]:
    """Give a sketch that has seen the items before, so that its memory is not new; new memory has its own cost."""

    @cache
    def prepare() -> Any:
        sketch = make()
        sketch.update(items)
        return sketch

    return prepare


def count_min_sizes(streams: Streams, scale: Scale) -> list[Contender]:
    items = streams.distinct(max(scale.items // 4, 10**4))
    found = []
    for bits in range(5, 23 if scale.items > 10**6 else 19, 2 if scale.items > 10**6 else 4):
        size = 32 << bits
        where: Any = {"column": kibibytes(size), "x": size}
        found.append(ours("ours", warm(lambda bits=bits: CountMin(width=1 << bits), items), items, **where))
        found.extend(floor(streams.folder, items, 4, 1 << bits, fresh=False, **where))
    return found


def bloom_sizes(streams: Streams, scale: Scale) -> list[Contender]:
    items = streams.distinct(max(scale.items // 4, 10**4))
    found = []
    for capacity in (10**k for k in range(3, 9 if scale.items > 10**6 else 7)):
        blocks = len(BloomFilter(capacity, 0.01).words) // 8
        where: Any = {"column": kibibytes(64 * blocks), "x": 64 * blocks}
        found.append(ours("ours", warm(lambda capacity=capacity: BloomFilter(capacity, 0.01), items), items, **where))
        found.extend(floor(streams.folder, items, 1, blocks, stride=8, fresh=False, **where))
    return found


def kibibytes(size: int) -> str:
    return f"{size / 1024:,.0f} KiB" if size < 2**20 else f"{size / 2**20:,.0f} MiB"


def threads(streams: Streams, scale: Scale) -> list[Contender]:
    if "threads" not in inspect.signature(FlajoletMartin.update).parameters:
        return []  # this version has no such parameter
    items = streams.distinct(scale.many or scale.items)
    names = ("FlajoletMartin ell, 2¹²", "BloomFilter block, 10⁶ at 1 %", "CountMin 4×4096", "AMS 5×4096")
    found = []
    for count in range(1, (os.cpu_count() or 1) + 1):
        for name in names:
            goals = (Goal(f"ours {name} | 1", faster=1.8),) if count == 2 else ()
            found.append(on_threads(f"ours {name}", ALL[name], items, count, goals))
    return found


def on_threads(name: str, make: Callable[[], Any], items: Any, count: int, goals: tuple[Goal, ...]) -> Contender:
    return Contender(
        name,
        "ours",
        len(items),
        make,
        lambda sketch: sketch.update(items, threads=count),
        goals=goals,
        column=str(count),
        x=count,
        wall=True,
    )


JOBS = {
    "growth-distinct": Job("Distinct: cost against the stream's length; int64, Zipf", distinct_lengths, "items"),
    "growth": Job("Others: cost against the stream's length; int64, Zipf (Quantiles: float32)", lengths, "items"),
    "size-count-min": Job(
        "Cost against the table's size: Count-Min of 4 rows; all-distinct int64", count_min_sizes, "bytes"
    ),
    "size-bloom": Job("Cost against the table's size: Bloom filter; all-distinct int64", bloom_sizes, "bytes"),
    "threads": Job("Cost against threads; all-distinct int64", threads, "threads"),
}
