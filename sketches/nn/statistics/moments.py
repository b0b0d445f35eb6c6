"""Exact statistics of the columns of a stream of matrices, batch by batch, in memory that does not grow.

Means and squared deviations of two parts combine into those of the whole (Chan, Golub and LeVeque, "Algorithms for
computing the sample variance", American Statistician 37, 1983, equation 2.1): with counts a and b, means p and q, the
mean is (a p + b q) / (a + b), and the squared deviations add, plus (p - q)² a b / (a + b). Nothing is ever subtracted
from a large sum, so nothing cancels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core.wire import require

__all__ = ["COUNTS", "VALUES", "Moments"]

COUNTS = ("count", "nans", "infinities", "zeros", "fires", "beyond")
VALUES = ("mean", "squares", "minimum", "maximum")

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Moments:
    """For each of some units: how many values, and their exact moments and extremes.

    Attributes
    ----------
    counts
        int64 of shape (6, units): finite values, NaNs, infinities, zeros, values above zero, and values at or beyond
        the limits, if there are any.
    values
        float64 of shape (4, units), over the finite values: mean, sum of squared deviations from it (infinite where
        it exceeds float64), minimum and maximum (inf and -inf where there is no finite value).
    """

    __slots__ = ("counts", "values")
    SIZE = 8 * (len(COUNTS) + len(VALUES))  # bytes a unit

    def __init__(self, units: int) -> None:
        self.counts: Integers = np.zeros((len(COUNTS), units), np.int64)
        self.values: Floats = np.zeros((len(VALUES), units))
        self.values[2:] = [[np.inf], [-np.inf]]

    @classmethod
    def within(cls, memory: npt.NDArray[np.uint8], number: int) -> list[Moments]:
        """Give so many moments, still to be written, in so many bytes: `SIZE` for each unit of each."""
        parts = memory.view(np.int64).reshape(number, len(COUNTS) + len(VALUES), -1)
        counts, values = parts[:, : len(COUNTS)], parts.view(np.float64)[:, len(COUNTS) :]
        return [cls._of(*arrays) for arrays in zip(counts, values, strict=True)]

    @classmethod
    def _of(cls, counts: Integers, values: Floats) -> Moments:
        moments = cls.__new__(cls)
        moments.counts, moments.values = counts, values
        return moments

    def __getattr__(self, name: str) -> Any:
        if name in COUNTS:
            return self.counts[COUNTS.index(name)]
        if name in VALUES:
            return self.values[VALUES.index(name)]
        raise AttributeError(name)

    @property
    def nbytes(self) -> int:
        """The memory of the state, in bytes: `SIZE` a unit."""
        return self.counts.nbytes + self.values.nbytes

    def columns(self, start: int, stop: int) -> Moments:
        """Give the moments of units [start, stop), in the same memory."""
        return self._of(self.counts[:, start:stop], self.values[:, start:stop])

    def observe(self, block: Floats, limits: tuple[float, float] | None) -> None:
        """Add the rows of a float64 matrix."""
        rows, finite = len(block), np.isfinite(block)
        whole = bool(finite.all())
        count: Any = rows if whole else np.count_nonzero(finite, axis=0)
        nans: Any = 0 if whole else np.count_nonzero(np.isnan(block), axis=0)
        zeros = rows - np.count_nonzero(block, axis=0)
        beyond: Any = 0 if limits is None else np.count_nonzero((block <= limits[0]) | (block >= limits[1]), axis=0)
        counts = count, nans, rows - count - nans, zeros, np.count_nonzero(block > 0, axis=0), beyond
        used = block if whole else np.where(finite, block, 0.0)
        minimum = (block if whole else np.where(finite, block, np.inf)).min(axis=0, initial=np.inf)
        maximum = (block if whole else np.where(finite, block, -np.inf)).max(axis=0, initial=-np.inf)
        with np.errstate(over="ignore", invalid="ignore"):
            if rows == 1:
                self._add(counts, (used[0], 0.0, minimum, maximum))
                return
            share = np.maximum(count, 1)
            mean = used.sum(axis=0) / share
            if not np.isfinite(mean).all():  # the sum overflowed, the mean cannot
                mean = np.where(np.isfinite(mean), mean, (used / share).sum(axis=0))
            _confine(mean, minimum, maximum, count)  # so that equal values have no deviations
            deviations = used - mean
            if not whole:
                deviations[~finite] = 0.0
            squares = np.einsum("ij,ij->j", deviations, deviations)
            # The mean was rounded, so the deviations have one, too; it is taken off (the paper's corrected two-pass
            # algorithm), but not where something overflowed.
            slip = deviations.sum(axis=0) / share
            corrected = squares - slip * slip * count
            squares = np.where(corrected >= 0, corrected, squares)
            mean = np.where(np.isfinite(slip), mean + slip, mean)
            self._add(counts, (mean, squares, minimum, maximum))

    def add(self, counts: Integers, values: Floats) -> None:
        """Add the counts and values of other moments."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._add(counts, values)

    def _add(self, counts: Any, values: Any) -> None:
        """Add other moments: six counts and four values, each an array or one number for all units."""
        ours, theirs = self.counts[0], counts[0]
        total = np.maximum(ours + theirs, 1)
        right = theirs / total
        apart = values[0] - self.values[0]
        between = apart * apart * (ours * right)
        between[np.isnan(between)] = 0.0  # infinity, but one of the counts is 0
        mean = self.values[0] + apart * right  # a step from our mean loses the least
        if not np.isfinite(apart).all():  # where it overflows, weighted means do not
            weighted = self.values[0] * (ours / total) + values[0] * right
            mean = np.where(np.isfinite(apart), mean, weighted)
        self.values[1] += values[1] + between
        for known, new in zip(self.counts, counts, strict=True):
            known += new
        np.minimum(self.values[2], values[2], out=self.values[2])
        np.maximum(self.values[3], values[3], out=self.values[3])
        self.values[2:] += 0.0  # no -0.0
        _confine(mean, self.values[2], self.values[3], self.counts[0])
        self.values[0] = mean

    def check(self, samples: int) -> None:
        """Raise ``FormatError`` unless so many samples can have this state."""
        count, nans, infinities, zeros, fires, beyond = self.counts
        mean, squares, minimum, maximum = self.values
        require((count <= samples).all() and (nans <= samples - count).all(), "more activations than samples")
        require((infinities == samples - count - nans).all(), "a unit has not as many activations as there are samples")
        require(
            (zeros <= count).all() and (fires <= samples - nans - zeros).all(), "more zeros or firings than samples"
        )
        require((beyond <= samples - nans).all(), "more activations are beyond the limits than there are")
        require(not np.isnan(self.values).any() and (squares >= 0).all(), "a moment is NaN or negative")
        seen, empty = count > 0, np.array([[0.0], [0.0], [np.inf], [-np.inf]])
        require((self.values[:, ~seen] == empty).all(), "a unit without activations has moments")
        low, middle, high = minimum[seen], mean[seen], maximum[seen]
        require((np.isfinite(low) & np.isfinite(high)).all(), "an extreme is infinite")
        require(((low <= middle) & (middle <= high)).all(), "a mean is outside the extremes")


def _confine(mean: Floats, minimum: Floats, maximum: Floats, count: Any) -> None:
    """Put means between the extremes: rounding may not take them beyond, let alone to infinity. Without values: 0."""
    np.maximum(mean, minimum, out=mean)
    np.minimum(mean, maximum, out=mean)
    mean[np.broadcast_to(count == 0, mean.shape)] = 0.0
