"""Seen before? Bits a key against the false-positive rate that is reached, and the least that any set could take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.accuracy.measure import Goal, Job, Plot, Role, Row, Scale, Value, share
from benchmarks.accuracy.peers import missing, one_by_one
from benchmarks.accuracy.streams import Integers
from sketches import BinaryFuseFilter, BloomFilter

BITS, RATE, LOST = "bits a key", "false-positive rate ÷ the one promised", "members not found"
ERRORS = (0.01, 1 / 256, 1e-4)
GOALS = {0.01: Goal(10.2), 1e-4: Goal(20)}


@dataclass(frozen=True)
class Filter:
    """A filter.

    Parameters
    ----------
    make
        Makes one of so many members at an error, filled.
    ask
        Says how many of some keys it takes for members.
    bits
        Its bits.
    slow
        Whether it takes one key a call.
    errors
        Those at which it can be made.
    """

    name: str
    role: Role
    make: Callable[[Integers, float], Any]
    ask: Callable[[Any, Integers], int]
    bits: Callable[[Any], int]
    goals: dict[float, Goal]
    slow: bool = False
    errors: tuple[float, ...] = ERRORS
    peer: str = ""
    setting: str = ""


def bloom(layout: str) -> Filter:
    def make(members: Integers, error: float) -> Any:
        found = BloomFilter(len(members), error, layout)
        found.update(members)
        return found

    return Filter(
        f"ours BloomFilter, {layout}",
        "ours",
        make,
        lambda sketch, keys: int(sketch.contains(keys).sum()),
        lambda sketch: 8 * sketch.nbytes,
        GOALS if layout == "block" else {},
    )


def fuse(bits: int, goal: Goal | None = None) -> Filter:
    return Filter(
        f"ours BinaryFuseFilter, {bits} bits",
        "ours",
        lambda members, error: BinaryFuseFilter(members, bits),
        lambda sketch, keys: int(sketch.contains(keys).sum()),
        lambda sketch: 8 * sketch.nbytes,
        {2.0**-bits: goal} if goal else {},
        errors=(2.0**-bits,),
        setting="of a set known in advance",
    )


OURS = [bloom("block"), bloom("classic"), fuse(8, Goal(9.1)), fuse(16)]


def peers() -> Iterator[Filter]:
    def rbloom(members: Integers, error: float) -> Any:
        import rbloom as library

        found = library.Bloom(len(members), error)
        found.update(members.tolist())
        return found

    def abloom(members: Integers, error: float) -> Any:
        import abloom as library

        found = library.BloomFilter(len(members), error)
        found.update(members.tolist())
        return found

    def fastbloom(members: Integers, error: float) -> Any:
        import fastbloom_rs as library

        found = library.BloomFilter(len(members), error)
        found.add_int_batch(members.tolist())
        return found

    def probables(kind: str) -> Callable[[Integers, float], Any]:
        def make(members: Integers, error: float) -> Any:
            import probables as library

            if kind == "CuckooFilter":  # its own default load: 4 slots a bucket, most of them filled
                found = library.CuckooFilter.init_error_rate(error, capacity=int(len(members) / 4 / 0.95))
            else:
                found = getattr(library, kind)(len(members), error)
            one_by_one(found.add, map(str, members.tolist()))
            return found

        return make

    def each(sketch: Any, keys: Integers) -> int:
        return sum(key in sketch for key in keys.tolist())

    yield Filter("rbloom", "peer", rbloom, each, lambda sketch: sketch.size_in_bits, {}, peer="rbloom")
    yield Filter("abloom", "peer", abloom, each, lambda sketch: 8 * sketch.byte_count, {}, peer="abloom")
    yield Filter(
        "fastbloom-rs",
        "peer",
        fastbloom,
        lambda sketch, keys: sum(sketch.contains_int_batch(keys.tolist())),
        lambda sketch: 8 * len(sketch.get_bytes()),
        {},
        peer="fastbloom-rs",
    )
    yield Filter(
        "pyprobables BloomFilter",
        "peer",
        probables("BloomFilter"),
        lambda sketch, keys: sum(str(key) in sketch for key in keys.tolist()),
        lambda sketch: sketch.number_bits,
        {},
        slow=True,
        peer="pyprobables",
    )


def measured(each: Filter, error: float, scale: Scale) -> Iterator[Row]:
    n = scale.objects // 10 if each.slow else scale.items
    asked = scale.objects if each.slow else int(min(10 * scale.items, 10**7 if each.role == "ours" else 10**6))
    random = np.random.default_rng(1)
    # Members are even, strangers odd: none is both.
    members = np.unique(random.integers(-(2**62), 2**62, n) * 2)
    filled = each.make(members, error)
    positive = 0
    for start in range(0, asked, 10**6):
        strangers = random.integers(-(2**62), 2**62, min(10**6, asked - start)) * 2 + 1
        positive += each.ask(filled, strangers)
    rate = share(positive, asked, 1)
    facts = {"stream": f"rate {error:.2g}", "n": n, "nbytes": each.bits(filled) / 8, "setting": each.setting}
    yield Row(each.name, each.role, RATE, rate.scaled(1 / error), theory=1.0, **facts)
    bits = each.bits(filled) / len(members)
    if positive:
        value = Value(bits, bits, bits, 1)
        limit = -math.log2(rate.value)
        yield Row(each.name, each.role, BITS, value, limit=limit, goal=each.goals.get(error), **facts)
    lost = len(members) - each.ask(filled, members)
    never = Goal(at_most=0) if each.role == "ours" else None
    yield Row(each.name, each.role, LOST, Value(lost, lost, lost, 1), goal=never, **facts)


def membership(scale: Scale) -> Iterator[Row | str]:
    others = list(peers())
    remarks = {each.peer: missing(each.peer) for each in others}
    yield from filter(None, remarks.values())
    for each in (*OURS, *(peer for peer in others if not remarks[peer.peer])):
        for error in each.errors:
            yield from measured(each, error, scale)


JOBS = {
    "membership": Job(
        "Membership: bits a key",
        "The limit is log2(1 ÷ rate), of the rate that was measured on keys that are not members: no set can tell them "
        "apart with less. One filter each; the interval is that of the share of strangers taken for members.",
        membership,
        (Plot(BITS, "limit", linear=True),),
    )
}
