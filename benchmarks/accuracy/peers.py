"""The peers that count distinct items, each fed the fastest documented way. All are imported only when asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

PEERS = ("datasketches", "datasketch", "pyprobables", "bounter", "rbloom", "abloom", "fastbloom-rs", "crick")
MODULES = {"fastbloom-rs": "fastbloom_rs", "pyprobables": "probables"}


def one_by_one(add: Callable[..., Any], *columns: Iterable[Any]) -> None:
    """Call `add` for each item (and count), with no loop in Python."""
    deque(map(add, *columns), maxlen=0)


def missing(peer: str) -> str:
    """Give the remark about a peer that cannot be imported, or nothing."""
    try:
        import_module(MODULES.get(peer, peer))
    except ImportError as error:
        return f"{peer} is not measured: {error}"
    return ""


@dataclass(frozen=True)
class Cardinality:
    """One of a peer's sketches of distinct items.

    Parameters
    ----------
    make
        Makes a sketch of 2**precision registers.
    error, merged_error
        Its published standard error × sqrt(registers), of one stream and after merging.
    memory, written
        The bytes of its state where the library tells them, and as written.
    union
        Gives the sketch of two.
    """

    name: str
    peer: str
    make: Callable[[int], Any]
    count: Callable[[Any], float]
    error: float
    merged_error: float
    written: Callable[[Any], int]
    union: Callable[[Any, Any, int], Any]
    memory: Callable[[Any], int] | None = None
    slow: bool = False


def _hll(kind: str) -> Cardinality:
    import datasketches as library

    target = getattr(library, kind)

    def union(a: Any, b: Any, precision: int) -> Any:
        both = library.hll_union(precision)
        both.update(a)
        both.update(b)
        return both.get_result(target)

    return Cardinality(
        f"datasketches {kind}",
        "datasketches",
        lambda precision: library.hll_sketch(precision, target),
        lambda sketch: sketch.get_estimate(),
        0.8326,  # by the martingale estimator
        1.0390,
        lambda sketch: len(sketch.serialize_compact()),
        union,
        lambda sketch: len(sketch.serialize_updatable()),
    )


def _cpc() -> Cardinality:
    import datasketches as library

    def union(a: Any, b: Any, precision: int) -> Any:
        both = library.cpc_union(precision)
        both.update(a)
        both.update(b)
        return both.get_result()

    return Cardinality(
        "datasketches CPC",
        "datasketches",
        library.cpc_sketch,
        lambda sketch: sketch.get_estimate(),
        0.5887,
        0.6931,
        lambda sketch: len(sketch.serialize()),
        union,
    )


def _datasketch(kind: str) -> Cardinality:
    import datasketch as library

    def make(precision: int) -> Any:
        mask = (
            0xFFFFFFFF if kind == "HyperLogLog" else 0xFFFFFFFFFFFFFFFF
        )  # items are random: they are their own hashes
        return getattr(library, kind)(precision, hashfunc=lambda item: item & mask)

    def union(a: Any, b: Any, precision: int) -> Any:
        both = a.copy()
        both.merge(b)
        return both

    return Cardinality(
        f"datasketch {kind}",
        "datasketch",
        make,
        lambda sketch: sketch.count(),
        1.0390,
        1.0390,
        lambda sketch: sketch.bytesize(),
        union,
        lambda sketch: sketch.reg.nbytes,
        slow=True,
    )


def cardinality() -> tuple[list[Cardinality], list[str]]:
    """Give the sketches of all peers that are there, and remarks about the others."""
    remarks = {peer: missing(peer) for peer in ("datasketches", "datasketch")}
    found: list[Cardinality] = []
    if not remarks["datasketches"]:
        found += [_hll("HLL_8"), _hll("HLL_4"), _cpc()]
    if not remarks["datasketch"]:
        found += [_datasketch("HyperLogLog"), _datasketch("HyperLogLogPlusPlus")]
    return found, [remark for remark in remarks.values() if remark]
