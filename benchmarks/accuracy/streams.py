"""The streams, each made anew for every replica: other keys, and where there is chance, other chances."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.speed.streams import scramble

Integers = npt.NDArray[np.int64]

KEYS = 10**6  # different items that there may be
DATA = Path(os.environ.get("SKETCHES_DATA", Path(__file__).parents[3] / "shared" / "data"))
RETAIL = DATA / "streams" / "retail.txt.gz"


class Stream(NamedTuple):
    """Items, and how often each of the different ones (`keys`) occurs."""

    items: Integers
    keys: Integers
    counts: Integers

    @property
    def moment(self) -> float:
        """F2, the sum of the squares of the counts."""
        return float((self.counts.astype(float) ** 2).sum())


@cache
def shares(exponent: float) -> npt.NDArray[np.float64]:
    """Give the probabilities of the ranks: ~ rank ** -exponent."""
    weights = np.arange(1, KEYS + 1) ** -exponent
    return weights / weights.sum()


def zipf(exponent: float) -> Callable[[int, np.random.Generator], Integers]:
    """Give a maker of n ranks."""

    def make(n: int, random: np.random.Generator) -> Integers:
        cumulated = np.cumsum(shares(exponent))
        return np.searchsorted(cumulated, random.random(n) * cumulated[-1])

    return make


@cache
def retail() -> Integers:
    """Give the items of the baskets of a Belgian shop, one after the other (T. Brijs et al., KDD 1999)."""
    with gzip.open(RETAIL, "rt") as file:
        return np.array(file.read().split(), np.int64)


def sorted_zipf(n: int, random: np.random.Generator) -> Integers:
    """Give a stream in which each item's occurrences lie together, the rarest first."""
    return np.sort(zipf(1.0)(n, random))[::-1]


RANKS: dict[str, Callable[[int, np.random.Generator], Integers]] = {
    "Zipf 0.8": zipf(0.8),
    "Zipf 1.0": zipf(1.0),
    "Zipf 1.2": zipf(1.2),
    "uniform": lambda n, random: random.integers(0, KEYS, n),
    "all distinct": lambda n, random: np.arange(n),
    "sorted": sorted_zipf,
    "round robin": lambda n, random: np.arange(n) % 1000,
    "retail": lambda n, random: retail()[:n],
}


def available(names: tuple[str, ...] = tuple(RANKS)) -> tuple[list[str], list[str]]:
    """Give the streams that can be made, and remarks about the others."""
    if RETAIL.exists() or "retail" not in names:
        return list(names), []
    return [name for name in names if name != "retail"], ["The stream retail is skipped: its file is not there."]


def stream(name: str, n: int, seed: int, turns: int | None = None) -> Stream:
    """Make a stream of n items; `turns`: how many items take turns in the round robin."""
    random = np.random.default_rng([n, seed, *name.encode()])
    ranks = RANKS[name](n, random) if turns is None else np.arange(n) % turns
    items = scramble(np.ascontiguousarray(ranks) + seed * 2**32)
    return Stream(items, *np.unique(items, return_counts=True))


def counted(name: str, n: int, seed: int) -> Stream:
    """Make the counts alone of a Zipf stream of n items, of any length: for sketches to which order is nothing."""
    random = np.random.default_rng([n, seed, *name.encode(), 1])
    counts = random.multinomial(n, shares(float(name.split()[1])))
    ranks = np.flatnonzero(counts)
    return Stream(np.empty(0, np.int64), scramble(ranks + seed * 2**32), counts[ranks])
