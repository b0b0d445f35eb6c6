"""The most likely numbers of items, given what FlajoletMartin's registers or tokens have seen.

O. Ertl, "ExaLogLog: Space-efficient and practical approximate distinct counting up to the exa-scale", EDBT 2025.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.core.estimate import Estimate
from sketches.core.registers import TOKEN_BITS

__all__ = ["count_registers", "count_tokens", "hidden_count", "lognormal_factor", "most_likely", "normal_count"]


def most_likely(
    seen: npt.NDArray[np.int64], unseen: npt.NDArray[np.int64], precision: int, resolution: int
) -> tuple[float, float]:
    """Give the most likely number of items a register, and the Fisher information about it.

    Of r items at one register, r * q have value k, where q = 2**-min(zeros + 1 + resolution, 64 - precision). If r is
    the mean of a Poisson number, the register has seen k with probability 1 - exp(-r q), independently of all other
    values, and the likelihood's derivative is 0 where sum(seen * q / (exp(r q) - 1)) = sum(unseen * q) (Ertl 2025).

    Parameters
    ----------
    seen, unseen
        For k = 1, 2, …: how many registers have seen k, and how many know that they have not.
    precision, resolution
        log2 of the number of registers and of the values an octave.
    """
    q = bounds.flajolet_martin_shares(precision, resolution)
    target = float(unseen @ q)
    if target == 0:
        return math.inf, 0.0
    if not seen.any():
        return 0.0, math.inf
    q, seen = q[seen > 0], seen[seen > 0]
    # 1/x - 1/2 < 1/(exp(x) - 1), so the solution is no smaller than this. The sum falls and is convex: from the left,
    # Newton's method only ever rises, and ends where rounding stops it.
    rate = seen.sum() / (target + seen @ q / 2)
    while True:
        unlikely, likely = np.exp(-rate * q), -np.expm1(-rate * q)
        excess = seen @ (q * unlikely / likely) - target
        information = seen @ (q * q * unlikely / (likely * likely))
        step = excess / information
        rate += step
        if step <= 1e-13 * rate:
            return float(rate), float(information)


def count_tokens(tokens: npt.NDArray[np.uint32], confidence: float) -> Estimate:
    """Estimate from tokens: 2**26 whole bitmaps, in which a few items hide behind others that share their token."""
    known = len(tokens)
    seen = np.bincount(tokens & 63, minlength=65 - TOKEN_BITS)
    rate, _ = most_likely(seen, (1 << TOKEN_BITS) - seen, TOKEN_BITS, 0)
    return hidden_count((1 << TOKEN_BITS) * rate, known, confidence)


def hidden_count(value: float, known: int, confidence: float) -> Estimate:
    """Bound an estimate by the tokens that are known, and those that hide behind them: a Poisson number."""
    hidden = max(value - known, 0.0)
    lower = min(value, known + bounds.poisson_quantile(hidden, (1 - confidence) / 2))
    upper = max(value, known + bounds.poisson_quantile(hidden, (1 + confidence) / 2))
    return Estimate(value, lower=lower, upper=upper, confidence=confidence, standard_error=math.sqrt(hidden))


def count_registers(
    rate: float, information: float, distinct: float, precision: int, resolution: int, window: int, confidence: float
) -> Estimate:
    """Estimate from the most likely number of items a register, the information about it, and what was told apart."""
    m = 1 << precision
    if rate == 0:
        return normal_count(0.0, 0.0, distinct, confidence)
    if math.isinf(rate):
        return Estimate(rate, lower=distinct, upper=rate, confidence=confidence, standard_error=rate)
    value = m * rate / (1 + bounds.flajolet_martin_bias(rate, precision, resolution, window))
    # 1 / information is the variance if the number of items were Poisson; that number's own variance is no error.
    error = math.sqrt(max(m * m / information - value, 0.0))
    return normal_count(value, error, distinct, confidence)


def lognormal_factor(relative_error: float, confidence: float) -> float:
    """Give by what factor the bounds of an estimate lie off, whose logarithm is about normal; it may be infinite."""
    exponent = -NormalDist().inv_cdf((1 - confidence) / 2) * relative_error
    return math.exp(exponent) if exponent < 709 else math.inf  # beyond, exp overflows


def normal_count(value: float, error: float, distinct: float, confidence: float) -> Estimate:
    """Bound an estimate whose logarithm is about normal, from below also by the items that were told apart."""
    factor = lognormal_factor(error / value, confidence) if value else 1.0
    lower = min(max(distinct, value / factor), value)
    return Estimate(value, lower=lower, upper=value * factor, confidence=confidence, standard_error=error)
