"""How far off hashed counters are, told by the counters themselves.

An item shares its counter with others at random, and the counters that it does not have hold what others sum to at
random: so the counters of a row are draws from the distribution of an item's error in that row (which the item's own
counter hardly changes, 1 of `width`).

Likewise for sums of products. In a row ``sum A[c] B[c]`` differs from ``sum f(x) g(x)`` by the products of those pairs
of different items that share a counter, each with probability ``1 / width``. Pair counters otherwise, c with k - c
modulo the width, and each pair of items meets with the same probability, with both its products and its signs: for
every k, ``sum A[c] B[k - c]`` is a draw from the distribution of that error, if those one or two c that meet
themselves are replaced by what two different counters' product is on average. All draws are one convolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import bounds

__all__ = ["exceeded_by", "mean_excess", "median_excess", "product_errors", "turned"]

Floats = npt.NDArray[np.float64]

MOST_DRAWS = 2**16
LEAST_DRAWS = 5  # of errors beyond a bound, for the counters to tell where it is


def exceeded_by(values: npt.NDArray[Any], share: float) -> float:
    """Give the least of the values that at most this share of them exceed."""
    flat = values.reshape(-1)
    at = max(0, flat.size - 1 - int(share * flat.size))
    return float(np.partition(flat, at)[at])


def product_errors(first: Floats, second: Floats) -> Floats:
    """Draw, for each row of two tables, `width` errors of the sum of products."""
    width = first.shape[1]
    spectrum = np.fft.rfft(first)
    spectrum *= spectrum if second is first else np.fft.rfft(second)
    sums: Floats = np.fft.irfft(spectrum, width)
    alone = first * second
    both = first.sum(axis=1, keepdims=True) * second.sum(axis=1, keepdims=True) - alone.sum(axis=1, keepdims=True)
    alone -= both / max(1, width * (width - 1))
    twice = 2 * np.arange(width) % width
    half = (width + 1) // 2  # twice is even up to half; from there on it repeats, or for an odd width goes on
    sums[:, twice[:half]] -= alone[:, :half]
    sums[:, twice[half:]] -= alone[:, half:]
    # Where no items met, rounding is all there is; the truth may be as far from a sum of floats.
    rounding = 2.0**-44 * np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.where(np.abs(sums) < rounding[:, None], np.copysign(rounding[:, None], sums), sums)


def turned(errors: Floats) -> Floats:
    """Put draws of the rows together: an array (rows, draws) of independent rows, with more draws than each has."""
    rows, width = errors.shape
    turns = max(1, min(8, MOST_DRAWS // width))
    return np.concatenate(
        [
            np.stack([np.roll(errors[row], row * turn * width // (rows * turns)) for row in range(rows)])
            for turn in range(turns)
        ],
        axis=1,
    )


def median_excess(errors: npt.NDArray[Any], delta: float) -> float | None:
    """Give what the median of the rows' errors exceeds in absolute value with probability delta; None: too few draws.

    Errors are as often positive as negative. The median exceeds t if more than half of the rows do, each with the
    probability that half of their absolute errors do.
    """
    share = 2 * bounds.ams_row_failure(len(errors), delta / 2)
    return exceeded_by(np.abs(errors), share) if errors.size * share >= LEAST_DRAWS else None


def mean_excess(errors: Floats, delta: float) -> float | None:
    """Give the same for the mean of the rows."""
    means = turned(errors).mean(axis=0)
    return exceeded_by(np.abs(means), delta) if means.size * delta >= 2 * LEAST_DRAWS else None
