"""The most likely numbers of items, given what FlajoletMartin's registers or tokens have seen.

O. Ertl, "ExaLogLog: Space-efficient and practical approximate distinct counting up to the exa-scale", EDBT 2025.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.core.estimate import Estimate

__all__ = ["TOKEN_BITS", "count_tokens", "most_likely"]

TOKEN_BITS = 26  # bits of the hash in a token


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
    value = (1 << TOKEN_BITS) * rate
    hidden = value - known  # in expectation; their number is Poisson's
    lower = min(value, known + bounds.poisson_quantile(hidden, (1 - confidence) / 2))
    upper = max(value, known + bounds.poisson_quantile(hidden, (1 + confidence) / 2))
    return Estimate(value, lower=lower, upper=upper, confidence=confidence, standard_error=math.sqrt(hidden))
