"""A large matrix in few numbers: hashed weights in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sketches.plain.hashing import Hash

__all__ = ["HashedWeights"]


class HashedWeights:
    """A virtual matrix whose every weight is ± one of a few stored values.

    Which value, and which sign, is decided by a hash of the weight's position, so neither needs to be stored. Weights
    that share a value are tied: their gradients add up. The random signs make what strangers contribute to a value
    cancel on average, and that is why tying unrelated weights works at all.
    """

    def __init__(self, shape: tuple[int, ...], size: int, seed: int = 0) -> None:
        self.shape = shape
        self.values = [0.0] * size
        self.hash = Hash(seed)

    def place(self, index: int) -> tuple[int, int]:
        """Give the bucket and the sign of a flat index."""
        h = self.hash(index) or 0
        return h * len(self.values) >> 64, -1 if h & 1 else 1  # high bits, lowest bit

    def matrix(self) -> list[float]:
        """Give all weights, row by row."""
        places = map(self.place, range(math.prod(self.shape)))
        return [sign * self.values[bucket] for bucket, sign in places]

    def gradient(self, dense: Sequence[float]) -> list[float]:
        """Sum up what every weight passes on to its value, given row by row."""
        sums = [0.0] * len(self.values)
        for index, slope in enumerate(dense):
            bucket, sign = self.place(index)
            sums[bucket] += sign * slope
        return sums

    def fit(self, dense: Sequence[float]) -> None:
        """Set every value to the mean of its weights, signs undone: the least squared error."""
        counts = [0] * len(self.values)
        for index in range(len(dense)):
            counts[self.place(index)[0]] += 1
        self.values = [total / max(1, n) for total, n in zip(self.gradient(dense), counts, strict=True)]
