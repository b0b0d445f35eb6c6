"""Times as users give them, cut into slots of equal length: slot i is ``i * length <= time < (i + 1) * length``."""

from __future__ import annotations

import itertools
import math
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_SLOT", "check_length", "runs", "slot_of", "slots_of"]

MOST_SLOT = 2**53  # up to which the quotient of two float64 is floored exactly

Slots = npt.NDArray[np.int64]


def check_length(name: str, length: float) -> float:
    """Raise unless a length of time is a finite number above 0; whole ones become integers, which divide exactly."""
    if isinstance(length, bool) or not isinstance(length, Real):
        raise TypeError(f"{name} is {length!r}; a number above 0 is accepted")
    number = float(length) if abs(length) <= MOST_SLOT else math.inf
    if not 0 < number < math.inf:
        raise ValueError(f"{name} is {length}; a number above 0, and at most 2**53, is accepted")
    return int(number) if number.is_integer() else number


def slot_of(time: Any, length: float, up: bool = False) -> int:
    """Give the slot of one time, or the next one unless the slot begins then."""
    if isinstance(time, bool) or not isinstance(time, Real):
        raise TypeError(f"time is {time!r}; a number is accepted")
    number = int(time) if hasattr(time, "__index__") else float(time)
    try:
        slot = number // length  # of an infinity: NaN
    except OverflowError:
        slot = math.nan
    if not abs(slot) <= MOST_SLOT:
        raise ValueError(f"time is {time}; a number within 2**53 × {length} of 0 is accepted")
    return int(slot) + (up and number % length != 0)


def slots_of(times: Any, length: float, up: bool = False) -> Slots:
    """Give the slots of many times, as `slot_of` does."""
    array = np.asarray(times)
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        raise TypeError(f"time has dtype {array.dtype} and shape {array.shape}; a number, or one an item, is accepted")
    # 64 bits, or NumPy would refuse a length that an int8 does not hold; uint64 goes up further than int64.
    wide: npt.NDArray[Any] = array.astype({"f": np.float64, "i": np.int64, "u": np.uint64}[array.dtype.kind])
    with np.errstate(invalid="ignore", over="ignore"):
        slots = wide // length
    wrong = ~(np.abs(slots.astype(np.float64)) <= MOST_SLOT)
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"time[{at}] is {array[at]}; numbers within 2**53 × {length} of 0 are accepted")
    whole = slots.astype(np.int64)
    return whole + (wide % length != 0) if up else whole


def runs(slots: Slots) -> list[tuple[int, int, int]]:
    """Give (start, stop, slot) of every run of equal slots."""
    edges = [0, *(np.flatnonzero(np.diff(slots)) + 1).tolist(), len(slots)]
    return [(start, stop, int(slots[start])) for start, stop in itertools.pairwise(edges) if start < stop]
