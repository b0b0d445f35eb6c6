"""Exact quantiles of numbers at rest, in bounded memory: a few passes of a selection by radix.

The first pass counts numbers in the bins of a sketch, which tells for each rank the bin it falls into, and how many
come before. The second gathers the numbers of these bins alone, if they are few enough. If not, one in between finds
the range of each bin's numbers, which often lie close together or are all the same; more count them by the next bits of
their order, which makes every interval 4,096 times narrower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext import selection
from sketches.core.items import blocks, number_block

__all__ = ["SHIFT", "chunks", "select"]

SHIFT = 42  # bits of a float64 below those by which the first pass counts: sign, exponent and 10 of the mantissa
BITS = 12  # by which a pass in between narrows
MOST_GATHERED = 2**22  # numbers, 32 MiB
MOST_COUNTERS = 2**21
MOST_DIRECT = 2**22

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def chunks(source: Any) -> Callable[[], Iterator[Any]]:
    """Give a function that begins a pass over all chunks: what a source gives that is a function, or the source."""
    if callable(source):
        return lambda: iter(source())
    if isinstance(source, Iterator):
        raise TypeError(
            f"numbers is a {type(source).__name__}, which can be read only once; pass an array, or a function that"
            " gives an iterable of arrays each time it is called"
        )
    return lambda: iter((source,))


def select(
    passes: Callable[[], Iterable[Any]], first: Floats, counts: Integers, places: Integers, ranks: Integers
) -> Floats:
    """Give the numbers of some ranks, each inside an interval known to hold it.

    Parameters
    ----------
    passes
        Begins a pass.
    first, counts
        The least number of each interval, ascending, and how many numbers are in it.
    places, ranks
        For each number asked for: its interval, and its rank in there, from 1.
    """
    prefixes, shift, found = np.empty(len(first), np.int64), SHIFT, np.empty(len(ranks))
    unknown = np.arange(len(ranks))
    selection.orders(first, prefixes)
    prefixes >>= shift
    if counts.sum() > MOST_GATHERED:
        least, most = _ranges(passes, prefixes, counts)
        selection.numbers(least[places], found)
        kept = least < most
        unknown = np.flatnonzero(kept[places])
        places, ranks = (np.cumsum(kept) - 1)[places[unknown]], ranks[unknown]
        least, most, counts = least[kept], most[kept], counts[kept]
        shift = int((least ^ most).max(initial=0)).bit_length()  # behind these bits all numbers of an interval agree
        prefixes = least >> shift
    while counts.sum() > MOST_GATHERED and shift:
        bits = min(BITS, shift, max(1, (MOST_COUNTERS // len(prefixes)).bit_length()))
        table, direct = np.zeros((len(prefixes), 1 << bits), np.int64), _direct(prefixes)
        for numbers in _numbers(passes):
            selection.count(numbers, prefixes, direct, shift, bits, table)
        _check((table.sum(axis=1) == counts).all())
        through, before = np.cumsum(table), (np.cumsum(counts) - counts)[places]
        cells = np.searchsorted(through, before + ranks)  # numbered through all rows
        counts = table.ravel()
        ranks = before + ranks - (through - counts)[cells]
        wanted, places = np.unique(cells, return_inverse=True)
        prefixes, counts = prefixes[wanted >> bits] << bits | wanted & (1 << bits) - 1, counts[wanted]
        shift -= bits
    if not shift:
        same = np.empty(len(prefixes))
        selection.numbers(prefixes, same)
        found[unknown] = same[places]
        return found
    gathered, filled, direct = np.empty(counts.sum() + 1), 0, _direct(prefixes)
    for numbers in _numbers(passes):
        filled = selection.gather(numbers, prefixes, direct, shift, gathered, filled)
    _check(filled == counts.sum())
    kth = (np.cumsum(counts) - counts)[places] + ranks - 1
    gathered = gathered[:filled]
    gathered.partition(np.unique(kth))
    found[unknown] = gathered[kth]
    return found


def _ranges(passes: Callable[[], Iterable[Any]], prefixes: Integers, counts: Integers) -> tuple[Integers, Integers]:
    """Give the least and the largest number in each interval, as integers of their order."""
    least, most = np.full(len(prefixes), 2**63 - 1), np.full(len(prefixes), -(2**63))
    met, direct = 0, _direct(prefixes)
    for numbers in _numbers(passes):
        met += selection.widen(numbers, prefixes, direct, SHIFT, least, most)
    _check(met == counts.sum() and (least <= most).all())
    return least, most


def _numbers(passes: Callable[[], Iterable[Any]]) -> Iterator[npt.NDArray[Any]]:
    for chunk in passes():
        for block in blocks(chunk, in_place=(np.float32, np.float64)):
            yield number_block(block).numbers


def _direct(prefixes: Integers) -> npt.NDArray[np.int32] | None:
    span = int(prefixes[-1]) - int(prefixes[0]) + 1
    if span > MOST_DIRECT:
        return None
    direct = np.full(span, -1, np.int32)
    direct[prefixes - prefixes[0]] = np.arange(len(prefixes))
    return direct


def _check(condition: object) -> None:
    if not condition:
        raise RuntimeError("the numbers are not the same in every pass")
