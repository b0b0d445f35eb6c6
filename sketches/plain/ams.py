"""How skewed, how alike? Fast-AMS in plain Python."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

from sketches.plain.hashing import Hash

__all__ = ["AMS"]

P = 2**61 - 1  # a prime


class AMS:
    """Rows of counters; every item adds to, or takes from, one counter in each row.

    A counter holds the sum of s(x) f(x) over its items x, with random signs s. Squared, it is the sum of all f(x)² plus
    cross terms s(x) s(y) f(x) f(y), which are positive as often as negative: the squares of a row add up to the second
    moment on average. That their spread is small as well needs signs that are independent in fours, such as the
    values of a random polynomial of degree 3.
    """

    def __init__(self, width: int = 1024, depth: int = 5, **hash_options: Any) -> None:
        self.width = width
        self.rows = [[0] * width for _ in range(depth)]
        self.hash = Hash(**hash_options)
        self.polynomials = [[(self.hash(("AMS", row, i)) or 0) % P for i in range(4)] for row in range(depth)]

    def _places(self, item: Any) -> list[tuple[int, int]]:
        """Choose the column and the sign of an item in every row; nothing for a null."""
        x = self.hash(item)
        if x is None:
            return []
        places = []
        for a, b, c, d in self.polynomials:
            value = (((a * x + b) * x + c) * x + d) % P
            places.append(((value >> 1) * self.width >> 60, -1 if value & 1 else 1))
        return places

    def add(self, item: Any, count: int = 1) -> None:
        """Count one item."""
        for row, (column, sign) in zip(self.rows, self._places(item), strict=False):
            row[column] += sign * count

    def __getitem__(self, item: Any) -> float:
        """Estimate an item's count: its counters, with its signs, hold the count plus noise of mean 0."""
        return median(sign * row[column] for row, (column, sign) in zip(self.rows, self._places(item), strict=True))

    def second_moment(self, method: str = "median") -> float:
        """Estimate the sum of the squares of all counts."""
        sums = [sum(counter**2 for counter in row) for row in self.rows]
        return median(sums) if method == "median" else fmean(sums)

    def merge(self, other: AMS) -> None:
        """Add another table."""
        self.rows = [
            [a + b for a, b in zip(mine, theirs, strict=True)]
            for mine, theirs in zip(self.rows, other.rows, strict=True)
        ]
