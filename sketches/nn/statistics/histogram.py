"""The values of a `Quantiles` as a histogram: what calibration, drift and plots read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sketches.quantiles import Quantiles

__all__ = ["Histogram", "histogram", "magnitudes"]

Floats = npt.NDArray[np.float64]


class Histogram(NamedTuple):
    """Bins in ascending order: bin i holds `counts[i]` values in ``[lower[i], upper[i]]``, and no value is elsewhere.

    Bins of a negative and a positive sign never overlap; zero has a bin of its own, of width 0.
    """

    lower: Floats
    upper: Floats
    counts: Floats

    @property
    def total(self) -> float:
        """How many values there are."""
        return float(self.counts.sum())


def histogram(values: Quantiles) -> Histogram:
    """Give the bins of the finite values; the outermost end at the extremes, which are exact.

    So where such a bin holds one value, that is known, and the bin has the width 0.
    """
    numbers, counts = values.bins()
    lower, upper = values.edges(numbers)
    finite = np.isfinite(lower)
    lower, upper, counts = lower[finite], upper[finite], counts[finite]
    if finite.all() and len(counts):
        lower[0], upper[-1] = values.minimum, values.maximum
        upper[0] = upper[0] if counts[0] > 1 else lower[0]
        lower[-1] = lower[-1] if counts[-1] > 1 else upper[-1]
    return Histogram(lower, upper, counts.astype(np.float64))


def magnitudes(values: Quantiles) -> Histogram:
    """Give the bins of the finite values' magnitudes; zeros are left out."""
    numbers, counts = values.bins()
    keys, places = np.unique(np.abs(numbers), return_inverse=True)
    lower, upper = values.edges(keys)
    used = np.isfinite(lower) & (keys > 0)
    merged = np.bincount(places, counts, len(keys)).astype(np.float64)
    found = Histogram(lower[used], upper[used], merged[used])
    if used[-1:].all() and len(found.upper):
        found.upper[-1] = max(-values.minimum, values.maximum)
    return found
