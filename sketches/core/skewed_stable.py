"""A random number R with E exp(t R) = t**t for all t >= 0, as look-up tables: what `Entropy` multiplies counts by.

R has the stable distribution of index 1 that is skewed to the left as far as that goes. By the method of Chambers,
Mallows and Stuck ("A method for simulating stable random variables", JASA 71, 1976), from u uniform in (0, 1), the
angle a = pi (1 - u) and W exponential with mean 1, that is W = -log(v) for v uniform in (0, 1):

    R = g(u) + log W,    g(u) = a cot(a) + log(sin(a) / a) = -1/u + 1 + log u + u (1 + pi**2 / 3) + O(u**2).

Both parts are looked up in 4,096 bins, between whose ends they are straight. For small u, g falls so steeply that it
has tables of its own there, each for a 64th of the interval before it. All values are whole multiples of 1 / UNIT, so
that sums of them are exact in any order. They lie further from where rounding turns than any mathematical library
errs: every platform has the same tables.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["BINS", "UNIT", "ZOOMS", "tables"]

BINS = 4096
ZOOMS = 5  # tables for u in [0, 64**-z], z = 0 … 4
UNIT = 1 << 16
_LEAST = 2.0**-33  # stands for u = 0: half of the step of u, which has 32 bits


def _angle(u: float) -> int:
    """Give UNIT * g(u), rounded."""
    if u == 1:
        return UNIT
    if u > BINS**-1:
        a = math.pi * (1 - u)
        return round(UNIT * (a / math.tan(a) + math.log(math.sin(a) / a)))
    u = max(u, _LEAST)  # the first part is large, and exact but for one division
    return round(-UNIT / u) + round(UNIT * (1 + math.log(u) + u * (1 + math.pi**2 / 3)))


def _log_wait(v: float) -> float:
    """Give log W; in the outermost bins, which end at infinity, what keeps the mean of W or of log W right."""
    if v == 0:
        return 2.341312746830  # between it and log(-log(1/BINS)), exp of a straight line has the mean of -log v there
    if v == 1:
        return math.log(1 / BINS) - 2  # a straight line from log(s) to log(s) - 2 has the mean of log in (0, s)
    return math.log(-math.log(v))


@cache
def tables() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give UNIT * g(64**-z * i / BINS), an array of shape (ZOOMS, BINS + 1), and UNIT * log W at v = i / BINS."""
    angles = [[_angle(i / BINS / 64**z) for i in range(BINS + 1)] for z in range(ZOOMS)]
    waits = [round(UNIT * _log_wait(i / BINS)) for i in range(BINS + 1)]
    return np.array(angles), np.array(waits)
