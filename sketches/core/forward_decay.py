"""Integer weights that grow with time, for exponential decay; see `sketches.Decayed`."""

from __future__ import annotations

from decimal import Context, Decimal
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["HALVES", "PANE", "ROUNDING", "TICKS", "UNIT", "halved", "product", "weights_of"]

Integers = npt.NDArray[np.int64]

TICKS = 4096  # a half-life: times are rounded to them
HALVES = 16  # half-lives a pane
PANE = HALVES * TICKS
UNIT = 13  # an item at the start of a pane weighs 2**13
# 2**(1 / TICKS) twice, for the times of the item and of the answer, and 1 + 2**-UNIT for the integer weight: 1.00046.
ROUNDING = 2.0**-11


@cache
def _powers() -> Integers:
    """Give floor(2**(60 + j / TICKS)) for j = 0 … TICKS - 1, by decimal arithmetic: the same on every platform."""
    exact = Context(prec=60)
    root, power, found = exact.power(2, exact.divide(1, TICKS)), Decimal(2**60), []
    for _ in range(TICKS):
        found.append(int(power))
        power = exact.multiply(power, root)
    return np.array(found)


def weights_of(ticks: Integers) -> Integers:
    """Give ceil(2**(UNIT + tick / TICKS)) for ticks of a pane: only powers of two are integers before rounding."""
    octaves, j = np.divmod(ticks, TICKS)
    weights: Integers = (_powers()[j] >> (60 - UNIT - octaves)) + (j > 0)
    return weights


def halved(weight: int, times: int) -> int:
    """Halve so often, rounded up."""
    return -(-weight >> times)


def product(weights: Integers, counts: Integers) -> Integers:
    """Multiply, or refuse."""
    if len(counts) and int(counts.max()) * int(weights.max()) >= 2**63:
        raise OverflowError(f"a count is {counts.max()}; weighted by up to {weights.max()} it would exceed 2**63 - 1")
    return weights * counts
