"""How skewed? The first sketch of all (Alon, Matias and Szegedy 1996), in plain Python."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

from sketches.plain.ams import P
from sketches.plain.hashing import Hash

__all__ = ["TugOfWar"]


class TugOfWar:
    """Counters at which all items pull, each to its own side.

    A random sign decides to which side an item pulls a counter. Squared, the counter is the second moment, the sum of
    all f(x)², plus cross terms that cancel on average; its variance is at most twice the square of that. The mean of
    `size` counters divides the variance by `size`; the median of `groups` such means is hardly ever far off.

    Every item moves every counter. `AMS` gets the same accuracy from one counter a group: its items share `width` of
    them instead.
    """

    def __init__(self, groups: int = 5, size: int = 64, **hash_options: Any) -> None:
        self.counters = [[0] * size for _ in range(groups)]
        self.hash = Hash(**hash_options)

    def _sign(self, x: int, group: int, number: int) -> int:
        value = 0
        for i in range(4):  # a polynomial of degree 3 with random coefficients: independent in fours
            value = (value * x + (self.hash(("tug of war", group, number, i)) or 0)) % P
        return -1 if value & 1 else 1

    def add(self, item: Any, count: int = 1) -> None:
        """Let one item pull at all counters."""
        x = self.hash(item)
        if x is None:
            return
        for group, counters in enumerate(self.counters):
            for number in range(len(counters)):
                counters[number] += self._sign(x, group, number) * count

    def second_moment(self) -> float:
        """Estimate the sum of the squares of all counts."""
        return median(fmean(counter**2 for counter in counters) for counters in self.counters)
