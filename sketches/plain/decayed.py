"""Counts that fade: exponential decay of a linear sketch, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

__all__ = ["Decayed"]


class Decayed:
    """Old items are never touched: new ones weigh more instead, and every answer is divided by what one weighs now.

    An item at time t weighs 2**(t / half_life). These weights would outgrow any integer, so they start again from 2**13
    every 16 half-lives, with a sketch of its own; the sketch before is kept, and divided by 2**16 more.
    """

    def __init__(self, make: Callable[[], Any], half_life: float) -> None:
        self.make = make
        self.tick = half_life / 4096
        self.sketches: dict[int, Any] = {}

    def add(self, item: Any, count: int = 1, *, time: float) -> None:
        """Add one item, its time rounded up to a tick and its weight up to an integer."""
        epoch, tick = divmod(-int(-time // self.tick), 16 * 4096)
        exact = Context(prec=40).power(2, Decimal(tick) / 4096) * 2**13
        weight = int(exact.to_integral_value(ROUND_CEILING))
        if epoch not in self.sketches:
            self.sketches[epoch] = self.make()
        self.sketches[epoch].add(item, count * weight)
        newest = max(self.sketches)
        self.sketches = {number: sketch for number, sketch in self.sketches.items() if number >= newest - 1}

    def estimate(self, item: Any, time: float) -> float:
        """Sum the item's counts, each divided by what an item of weight 1 would weigh now."""
        now = math.floor(time / self.tick) / 4096
        return float(sum(sketch[item] * 2.0 ** (16 * epoch - now - 13) for epoch, sketch in self.sketches.items()))
