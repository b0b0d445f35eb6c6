"""In how many directions do a layer's activations vary? Frequent Directions, of deviations from the mean.

Rows stream by; a small matrix B keeps what matters of their scatter matrix S = Σ (x - μ)(x - μ)ᵀ. Whenever B is full,
all its squared singular values are lowered by the ℓ-th largest, which frees at least half of its rows (Liberty, "Simple
and deterministic matrix sketching", KDD 2013; Ghashami, Liberty, Phillips and Woodruff, SIAM J. Comput. 45, 2016).
Twin: `sketches.plain.frequent_directions`.

Deviations from a mean that is still moving: the scatter of two parts, of n and m rows and means p and q, is the sum of
theirs plus n m / (n + m) (p - q)(p - q)ᵀ (Chan, Golub and LeVeque, 1983). So a batch is taken in as deviations from its
own mean, and one more row; nothing is subtracted from a sum, and nothing cancels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.directions import centred, joined, shrink
from sketches.core.estimate import Estimate
from sketches.core.wire import require

__all__ = ["Directions"]

LARGEST = 2.0**63  # rows with larger numbers are left out, so that no square and no sum of squares overflows
FEW = 128  # rows or units up to which eigenvectors are not left to LAPACK, whose threads would spin on for long

Floats = npt.NDArray[np.float64]
Narrow = npt.NDArray[np.float32]


class Directions:
    """The scatter of some rows, and its spectrum between bounds.

    With λ₁ ≥ λ₂ ≥ … the eigenvalues of S, l₁ ≥ l₂ ≥ … those of BᵀB: ``l <= λ <= l + shrunk`` for each, within the
    rounding of float32 beside λ₁, and ``shrunk <= (λ_{k+1} + λ_{k+2} + …) / (size - k)`` for every k < size. The sum of
    all λ, `energy`, is exact. Rows of fewer than `size` units are never shrunk: then l = λ.

    Attributes
    ----------
    size
        ℓ; memory is ``8 * size * units`` bytes for B, ``8 * units`` for the mean.
    buffer, filled
        B, float32 (at most 2 * size, units), and how many of its rows are in use.
    count, mean
        How many rows were seen, and their mean.
    energy, shrunk
        The trace of S, and the sum of what squared singular values were lowered by.
    """

    __slots__ = ("buffer", "count", "energy", "filled", "mean", "shrunk", "size")

    def __init__(self, size: int, units: int) -> None:
        self.size = size
        self.buffer: Narrow = np.empty((0, units), np.float32)
        self.filled = 0
        self.count = 0
        self.mean: Floats = np.zeros(units)
        self.energy = 0.0
        self.shrunk = 0.0

    @property
    def nbytes(self) -> int:
        """The memory of the state, in bytes."""
        return self.buffer.nbytes + self.mean.nbytes

    @property
    def rows(self) -> Narrow:
        """The rows of B that are in use."""
        return self.buffer[: self.filled]

    def restore(self, count: int, mean: Floats, rows: Narrow, energy: float, shrunk: float) -> None:
        """Take over a state as it was written; `check` tells whether it can be one."""
        require(len(rows) <= 2 * self.size, f"{len(rows)} directions, not at most {2 * self.size}")
        self.count, self.mean, self.energy, self.shrunk = count, mean, energy, shrunk
        self.buffer = rows.copy()
        self.filled = len(rows)

    def observe(self, rows: Narrow) -> None:
        """Take in float32 rows (rows, units); those with NaN, or a number beyond 2**63, are left out."""
        mean, count, deviations, energy = centred(np.ascontiguousarray(rows), LARGEST)
        self._add(deviations, energy)
        self._join(mean, count)

    def merge(self, other: Directions) -> None:
        """Take in what `other` has seen."""
        self._add(other.rows.copy(), other.energy)
        self.shrunk += other.shrunk
        self._join(other.mean, other.count)

    def _join(self, mean: Floats, count: int) -> None:
        """Take in that so many rows of another mean were added."""
        if self.count and count:
            self.mean, between, energy = joined(self.mean, self.count, mean, count)
            self._add(between, energy)
        elif count:
            self.mean = mean.copy()
        self.count += count

    def _add(self, rows: Narrow, energy: float) -> None:
        """Append rows, none of them 0, to B, shrinking it where it is full."""
        self.energy += energy
        start = 0
        while start < len(rows):
            if self.filled == 2 * self.size:
                self._shrink()
            needed = min(self.filled + len(rows) - start, 2 * self.size)
            if needed > len(self.buffer):
                more = min(max(needed, 2 * len(self.buffer)), 2 * self.size) - len(self.buffer)
                self.buffer = np.vstack([self.buffer, np.zeros((more, self.buffer.shape[1]), np.float32)])
            part = rows[start : start + len(self.buffer) - self.filled]
            self.buffer[self.filled : self.filled + len(part)] = part
            self.filled += len(part)
            start += len(part)

    def _shrink(self) -> None:
        left, taken = shrink(self.rows, self.size) if min(self.rows.shape) <= FEW else (-1, 0.0)
        self.filled, lowered = (left, taken) if left >= 0 else _shrink_many(self.rows, self.size)
        self.shrunk += lowered

    def spectrum(self) -> Floats:
        """Give the eigenvalues of BᵀB, largest first, at most as many as S can have that are not zero."""
        rows = self.rows.astype(np.float64)
        squares = np.linalg.eigvalsh(rows @ rows.T if rows.shape[1] > len(rows) else rows.T @ rows)
        largest: Floats = np.maximum(squares[::-1], 0)[: self._most()]
        return largest

    def _most(self) -> int:
        return max(min(len(self.mean), self.count - 1), 0)

    def _shares(self) -> tuple[Floats, float, float]:
        """Give l / energy for all λ that may not be zero, and what one and all of them may have more, at most."""
        known = np.zeros(self._most())
        found = self.spectrum()
        known[: len(found)] = found
        if not self.shrunk:
            return known / (known.sum() or 1.0), 0.0, 0.0
        missing = max(self.energy - float(known.sum()), 0.0)
        each = max(self.shrunk, missing / len(known))  # the second only where something was rounded
        total = float(known.sum()) + missing
        return known / total, each / total, missing / total

    def effective_rank(self) -> Estimate:
        """Give exp(-Σ p log p), p = λ / Σλ (Roy and Vetterli, "The effective rank", EUSIPCO 2007), with certain bounds.

        Of all spectra between l and l + shrunk with the known sum, the entropy is least where the largest eigenvalues
        have all they can, and largest where the least ones are filled to one level: the first majorises all of them,
        and is majorised by all of them the second. 0 where nothing varies.
        """
        known, each, missing = self._shares()
        if not known.any():
            return Estimate(0.0, lower=0.0, upper=0.0)
        steep = known + np.clip(missing - each * np.arange(len(known)), 0, each)
        even = known + missing / len(known)
        low, high = 0.0, 1.0
        for _ in range(64):
            level = (low + high) / 2
            low, high = (level, high) if np.clip(level, known, known + each).sum() < 1 else (low, level)
        lower, value, upper = (_exp_entropy(shares) for shares in (steep, even, np.clip(high, known, known + each)))
        return Estimate(value, lower=min(lower, value), upper=max(upper, value))

    def stable_rank(self) -> Estimate:
        """Give Σλ / λ₁ with certain bounds; 0 where nothing varies."""
        known, each, missing = self._shares()
        if not known.any():
            return Estimate(0.0, lower=0.0, upper=0.0)
        least, most = float(known[0]), float(known[0] + min(each, missing))
        return Estimate(2 / (least + most), lower=1 / most, upper=1 / max(least, 1 / len(known)))

    def check(self, samples: int) -> None:
        """Raise ``FormatError`` unless rows of so many samples can have this state."""
        require(0 <= self.count <= samples, f"directions of {self.count} rows of {samples} samples")
        require((np.abs(self.mean) <= LARGEST).all(), "a mean of directions is NaN or too large")
        require(
            self.rows.any(axis=1).all() and (np.abs(self.rows) <= 2.0**110).all(), "a direction is zero or too large"
        )
        require(self.count or self.mean.any() == 0, "directions of no rows have a mean")
        require(self.count > 1 or not (self.filled or self.energy or self.shrunk), "directions without rows")
        require(0 <= self.shrunk <= self.energy <= 2.0**220, "directions have an impossible energy")


def _shrink_many(rows: Narrow, size: int) -> tuple[int, float]:
    """Do what the compiled `shrink` does, by LAPACK."""
    wide, exact = rows.shape[1] > len(rows), rows.astype(np.float64)
    squares, vectors = np.linalg.eigh(exact @ exact.T if wide else exact.T @ exact)
    taken = max(float(squares[-size]), 0.0) if len(squares) >= size else 0.0
    kept = squares > taken
    left = squares[kept] - taken
    if wide:
        lowered = (vectors[:, kept] * np.sqrt(left / squares[kept])).astype(np.float32).T @ rows
    else:
        lowered = (vectors[:, kept] * np.sqrt(left)).T.astype(np.float32)
    lowered = lowered[lowered.any(axis=1)]
    rows[: len(lowered)] = lowered
    return len(lowered), taken


def _exp_entropy(shares: Any) -> float:
    shares = shares[shares > 0]
    shares = shares / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
