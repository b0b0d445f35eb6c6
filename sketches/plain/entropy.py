"""How evenly is the stream spread over its items? Entropy by random projections, in plain Python."""

from __future__ import annotations

import math
from typing import Any

from sketches.core.skewed_stable import UNIT, ZOOMS, tables
from sketches.plain.hashing import GOLDEN, MASK, Hash, mix64

__all__ = ["Entropy"]


def between(table: Any, x: int) -> int:
    """Look up 32 bits as a fraction of 2**32: the upper 12 choose two neighbours, the lower 20 a point between them."""
    left, right = int(table[x >> 20]), int(table[(x >> 20) + 1])
    return left + ((right - left) * (x & 0xFFFFF) + (1 << 19) >> 20)


class Entropy:
    """Each sum adds the item's count times a random number R of its own for that item.

    R is such that E exp(t R) = t**t. So exp(sum of p R), over items with the shares p, has the expectation product of
    p**p = exp(-H), where H = -sum p log p is the entropy; the mean over the sums comes close to it.
    """

    def __init__(self, k: int = 1024, **hash_options: Any) -> None:
        self.sums = [0] * k  # of whole multiples of 1 / UNIT
        self.total = 0
        self.hash = Hash(**hash_options)
        self.angles, self.waits = tables()

    def _random(self, h: int, j: int) -> int:
        """Give the random number of an item's hash for sum j."""
        x = mix64(h + (j + 1) * GOLDEN & MASK)
        angle, wait = x >> 32, x & 0xFFFFFFFF
        zoom = 0
        while angle < 2**32 // 64 and zoom < ZOOMS - 1:  # the curve is steep there: look at a 64th of it
            angle *= 64
            zoom += 1
        return between(self.angles[zoom], angle) + between(self.waits, wait)

    def add(self, item: Any, count: int = 1) -> None:
        """Count one item."""
        h = self.hash(item)
        if h is not None:
            self.total += count
            self.sums = [value + count * self._random(h, j) for j, value in enumerate(self.sums)]

    def entropy(self) -> float:
        """Estimate the entropy in nats; the last term takes off the bias of a logarithm."""
        mean = sum(math.exp(value / UNIT / self.total) for value in self.sums) / len(self.sums)
        return -math.log(mean) - 1.5 / len(self.sums)

    def merge(self, other: Entropy) -> None:
        """Add another sketch."""
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.total += other.total
