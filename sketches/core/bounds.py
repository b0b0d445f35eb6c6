"""Accuracy to size and back: the formulas behind every constructor and every stated error, each with its source."""

from __future__ import annotations

import math
from functools import lru_cache
from numbers import Real
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = [
    "ams_error",
    "ams_mean_error",
    "ams_shape",
    "check_accuracy",
    "check_fraction",
    "check_integer",
    "count_min_epsilon",
    "count_min_shape",
    "counter_table_bytes",
    "entropy_error",
    "entropy_sums",
    "flajolet_martin_bias",
    "flajolet_martin_error",
    "flajolet_martin_precision",
    "flajolet_martin_shares",
    "gamma_quantile",
    "hurwitz_zeta",
    "lossy_counting_entries",
    "lossy_counting_width",
    "martingale_error",
    "poisson_quantile",
    "quantiles_error",
    "quantiles_mantissa_bits",
    "quantiles_nbytes",
    "space_saving_share",
    "subset_sum_bytes",
]


def check_fraction(name: str, value: float, least: float = 0.0) -> float:
    """Raise unless 0 < value < 1, and value >= least, a power of two if it is not 0."""
    accepted = f"a number in [2**{math.frexp(least)[1] - 1}, 1)" if least else "a number in (0, 1)"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; {accepted} is accepted")
    if not (0 < value < 1 and value >= least):
        raise ValueError(f"{name} is {value}; {accepted} is accepted")
    return float(value)


def check_accuracy(name: str, value: float, least: float, where: str) -> float:
    """Raise unless least <= value < 1; `where` says what `least` depends on."""
    accepted = f"at {where}, a number from {least:.2g} to 1, exclusive, is accepted"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; {accepted}")
    if not least <= value < 1:
        raise ValueError(f"{name} is {value}; {accepted}")
    return float(value)


def check_integer(name: str, value: int, low: int, high: int) -> int:
    """Raise unless low <= value <= high."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}; an integer in [{low}, {high}] is accepted")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; an integer in [{low}, {high}] is accepted")
    return value.__index__()


# Count-Min (Cormode and Muthukrishnan 2005, Theorem 1): a row's excess has expectation at most N / width, so by Markov
# P(excess > epsilon N) <= 1 / (width epsilon) in one row and the power depth of it in the least of all rows.

COUNT_MIN_MOST_WIDTH = 2**40


def count_min_epsilon(width: int, depth: int, delta: float) -> float:
    """Give epsilon such that estimate <= truth + epsilon * N with probability 1 - delta: delta^(-1/depth) / width."""
    return math.pow(delta, -1 / depth) / width


def count_min_shape(epsilon: float, delta: float) -> tuple[int, int]:
    """Give the (width, depth) of fewest counters with estimate <= truth + epsilon * N at probability 1 - delta."""
    least = count_min_epsilon(COUNT_MIN_MOST_WIDTH, 16, delta)
    epsilon = check_accuracy("epsilon", epsilon, least, f"delta = {delta}")
    widths = [(delta ** (-1 / depth) / epsilon, depth) for depth in range(1, 17)]
    shapes = [(math.ceil(width), depth) for width, depth in widths if width <= COUNT_MIN_MOST_WIDTH]
    return min(shapes, key=math.prod)


# Flajolet-Martin (O. Ertl, "ExaLogLog", EDBT 2025): registers of 2**resolution values an octave and a
# window of d values. Values grow by b = 2**(2**-resolution), and x = b**-d / (b - 1) is what lies below the window.


def _flajolet_martin_shape(resolution: int, window: int) -> tuple[float, float]:
    b = 2.0 ** (2.0**-resolution)
    return math.log(b), b**-window / (b - 1)


def flajolet_martin_error(precision: int, resolution: int, window: int) -> float:
    """Give the relative standard error of a large count: sqrt(ln b / (2**precision * zeta(2, 1 + x)))."""
    log_b, x = _flajolet_martin_shape(resolution, window)
    return math.sqrt(log_b / (2**precision * hurwitz_zeta(2, 1 + x)))


def martingale_error(precision: int, resolution: int, window: int) -> float:
    """Give the same where changes of the state are counted: sqrt(ln b * (1 + b**-d / (b - 1)) / 2 / 2**precision)."""
    log_b, x = _flajolet_martin_shape(resolution, window)
    return math.sqrt(log_b * (1 + x) / (1 << precision) / 2)


def flajolet_martin_shares(precision: int, resolution: int) -> npt.NDArray[np.float64]:
    """Give the share of a register's items that have each value: 2**-min(zeros + 1 + resolution, 64 - precision)."""
    zeros = np.arange((65 - precision - resolution) << resolution) >> resolution
    shares: npt.NDArray[np.float64] = 2.0 ** -np.minimum(zeros + 1 + resolution, 64 - precision)
    return shares


def flajolet_martin_bias(rate: float, precision: int, resolution: int, window: int) -> float:
    """Give the share by which the most likely number of items a register exceeds the true one, `rate`, on average.

    To first order a rate exceeds the truth by -(2 dI/dr + E[third derivative]) / (2 I**2), with the log-likelihood's
    expected derivatives and I, minus the second one (D. R. Cox and E. J. Snell, "A general definition of residuals",
    1968, and Bartlett's identities). A register knows whether it saw a value unless it has one more than `window` above
    it; of such it has none with probability exp(-r T), T being the sum of their shares. So I is the sum of
    exp(-r T) f with f = q**2 / (exp(r q) - 1), and the numerator turns out to be that of exp(-r T) f (2 T + q). For
    large rates it is ln b (1 + 2x) ζ(3, 1 + x) / ζ(2, 1 + x)**2 / 2**precision, Ertl's constant.
    """
    q = flajolet_martin_shares(precision, resolution)
    tails = np.cumsum(q[::-1])[::-1]
    beyond = np.zeros(len(q))
    beyond[: max(0, len(q) - window - 1)] = tails[window + 1 :]
    information = np.exp(-rate * (beyond + q)) * q * q / -np.expm1(-rate * q)
    return float(information @ (2 * beyond + q) / (2 * information.sum() ** 2 * rate)) / (1 << precision)


def flajolet_martin_precision(error: float, resolution: int, window: int) -> int:
    """Give the smallest precision of 4 … 18 whose relative standard error is at most `error`."""
    for precision in range(4, 19):
        if flajolet_martin_error(precision, resolution, window) <= error:
            return precision
    least = flajolet_martin_error(18, resolution, window)
    raise ValueError(f"error is {error}; this kind reaches {least:.2g} at best")


def hurwitz_zeta(s: int, q: float) -> float:
    """Give the sum of (q + i)**-s over i = 0, 1, …: 40 terms, then Euler and Maclaurin's formula for the tail."""
    a = q + 40
    head = math.fsum((q + i) ** -s for i in range(40))
    tail = a ** (1 - s) / (s - 1) + a**-s / 2 + s * a ** (-s - 1) / 12
    return head + tail - s * (s + 1) * (s + 2) * a ** (-s - 3) / 720


def poisson_quantile(mean: float, probability: float) -> int:
    """Give the least k that a Poisson number of that mean (below 700) exceeds with at most 1 - probability."""
    k, term = 0, math.exp(-mean)
    cumulated = term
    while cumulated < probability and term > 0:
        k += 1
        term *= mean / k
        cumulated += term
    return k


# Quantiles: a bin holds the float64 numbers that agree in sign, exponent and the first m mantissa bits. In the octave
# [2^e, 2^(e+1)) bins are 2^(e-m) wide, and the middle of a bin is at most half of that from any x >= 2^e in it.

MOST_MANTISSA_BITS = 16


def quantiles_error(mantissa_bits: int) -> float:
    """Give the largest |middle of the bin - x| / |x|: 2^-(mantissa_bits + 1)."""
    return 2.0 ** -(mantissa_bits + 1)


def quantiles_mantissa_bits(relative_error: float) -> int:
    """Give the fewest mantissa bits whose error is at most `relative_error`."""
    least = quantiles_error(MOST_MANTISSA_BITS)
    return -math.frexp(check_fraction("relative_error", relative_error, least))[1]  # 2^(-bits - 1) <= relative_error


def quantiles_nbytes(mantissa_bits: int, octaves: int) -> int:
    """Give the bytes of a table for both signs and so many octaves of magnitudes, with zero, infinities and NaN."""
    return 8 * (2 * octaves * (1 << mantissa_bits) + 4)


# SpaceSaving and LossyCounting: the proofs stand where the entries are dropped, in cython_ext/include/counter_table.h.


def counter_table_bytes(capacity: int) -> int:
    """Give the memory of a counter table with that many slots, without the items: 36 bytes a slot, and the index."""
    return 36 * capacity + 4 * (1 << (3 * capacity - 1).bit_length())


def subset_sum_bytes(capacity: int) -> int:
    """Give the memory of SubsetSum's table with that many slots, without the items: a variance more for each."""
    return counter_table_bytes(capacity) + 8 * capacity


def space_saving_share(k: int) -> float:
    """Give the share of the total by which a count may be off: 1 / (k - max(1, floor(k/8)) + 1)."""
    return 1 / (k - max(1, k // 8) + 1)


def lossy_counting_width(epsilon: float) -> int:
    """Give the bucket width ceil(1 / epsilon) (Manku and Motwani 2002, section 4.2)."""
    width = math.ceil(1 / epsilon)  # the division may have been rounded, up or down
    return width - 1 if 1 / (width - 1) <= epsilon else width if 1 / width <= epsilon else width + 1


def lossy_counting_entries(epsilon: float, total: int) -> float:
    """Give the most entries of LossyCounting: width * (1 + ln(1 + total / width)).

    With B buckets, the last one unfinished, it is width * (1 + 1/2 + ... + 1/B) (Manku and Motwani 2002, theorem 4.2),
    and B is at most 1 + total / width.
    """
    width = lossy_counting_width(epsilon)
    return width * (1 + math.log1p(total / width))


# AMS. A row's sum of squares has expectation F2 and variance (2 / w)(F2^2 - F4) (Alon, Matias and Szegedy 1996
# for one bucket, Thorup and Zhang 2004 for w); its inner product has a variance of at most 2 F2 G2 / w, and its signed
# count of an item (F2 - f^2) / w (Charikar, Chen and Farach-Colton 2002).

AMS_MOST_WIDTH = 2**32


@lru_cache(maxsize=256)
def ams_row_failure(depth: int, delta: float) -> float:
    """Give q such that more than half of `depth` rows fail with probability delta if each fails with probability q."""
    low, high = 0.0, 1.0
    for _ in range(60):
        q = (low + high) / 2
        most = sum(math.comb(depth, r) * q**r * (1 - q) ** (depth - r) for r in range((depth + 1) // 2, depth + 1))
        low, high = (q, high) if most <= delta else (low, q)
    return low


def ams_error(width: int, depth: int, delta: float, variance: float = 2.0) -> float:
    """Give epsilon such that the median of rows is off by more than that with probability delta or less.

    By Chebyshev a row of variance v / width is off by epsilon with probability at most q = v / (width epsilon^2), and
    the median only if more than half of the rows are.
    """
    return math.sqrt(variance / (width * ams_row_failure(depth, delta)))


def ams_mean_error(width: int, depth: int, delta: float) -> float:
    """Give the same for the mean of rows, by Chebyshev: epsilon = sqrt(2 / (width depth delta))."""
    return math.sqrt(2 / (width * depth * delta))


def ams_shape(error: float, delta: float) -> tuple[int, int]:
    """Give the (width, depth) of fewest counters, of odd depth, with `ams_error` at most `error`."""
    least = min(ams_error(AMS_MOST_WIDTH, depth, delta) for depth in range(1, 16, 2))
    error = check_accuracy("error", error, least, f"confidence {1 - delta:.6g}")
    widths = [(2 / ams_row_failure(depth, delta) / error / error, depth) for depth in range(1, 16, 2)]
    shapes = [(math.ceil(width), depth) for width, depth in widths if width <= AMS_MOST_WIDTH]
    return min(shapes, key=math.prod)


# Entropy (Clifford and Cosma 2013): with E exp(t R) = t^t, exp(sum p R) has the expectation exp(-H) and the second
# moment prod (2p)^(2p) = 4 exp(-2H), so that the mean of k of them has the relative variance 3 / k. Their third
# central moment, 27 - 3 * 4 + 2 = 17, gives the mean a skewness of 17 / 3^1.5 / sqrt(k) = 3.27 / sqrt(k); a gamma
# distribution of the same mean and variance has 2 sqrt(3 / k) = 3.46 / sqrt(k), and is what the bounds take it for.


def entropy_error(k: int) -> float:
    """Give the standard error of the estimate from k sums, in nats: sqrt(3 / k)."""
    return math.sqrt(3 / k)


def entropy_sums(error: float, least: int, most: int) -> int:
    """Give the fewest of least … most sums whose standard error is at most `error` nats."""
    k = math.ceil(3 / error**2)
    if k > most:
        raise ValueError(f"error is {error}; at least {entropy_error(most):.2g} is accepted")
    return max(k, least)


def gamma_quantile(shape: float, tail: float, upper: bool) -> float:
    """Give the quantile at `tail` (or at 1 - tail, if `upper`) of a gamma distribution of mean 1, for a shape above 4.

    By E. B. Wilson and M. M. Hilferty, "The distribution of chi-square" (PNAS 17, 1931), its cube root is nearly
    normal.
    """
    normal = NormalDist().inv_cdf(tail) * (-1 if upper else 1)
    return float(max(1 - 1 / (9 * shape) + normal / (3 * math.sqrt(shape)), 1e-3) ** 3)
