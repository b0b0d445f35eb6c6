"""The arithmetic of bins whose number is the leading bits of a float64.

A number's key is the top bits of its magnitude: the exponent and the first bits of the mantissa. Bin 0 holds zero, bin
key + 1 the positive numbers of that key, -(key + 1) the negative ones, and the outermost two the infinities: bins are
numbered in the order of the numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["alone", "edges", "keyed", "middles"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

INFINITY_BITS = 0x7FF << 52


def edges(numbers: Integers, mantissa_bits: int) -> tuple[Floats, Floats]:
    """Give ``(lower, upper)``: the least and the largest float64 of each bin, both inclusive."""
    shift = 52 - mantissa_bits
    near, far = _values(numbers, 0, shift), _values(numbers, (1 << shift) - 1, shift)
    return np.minimum(near, far), np.maximum(near, far)


def alone(numbers: Integers, mantissa_bits: int) -> npt.NDArray[np.bool_]:
    """Tell which of several ascending bins have empty ones beside them; zero and infinities are neighbours of none."""
    finite = (numbers != 0) & (np.abs(numbers) <= INFINITY_BITS >> 52 - mantissa_bits)
    beside = (np.diff(numbers) == 1) & finite[1:] & finite[:-1]
    lonely: npt.NDArray[np.bool_] = ~(np.append(beside, False) | np.append(False, beside)) & (len(numbers) > 1)
    return lonely


def middles(numbers: Integers, mantissa_bits: int) -> Floats:
    """Give the float64 in the middle of each bin."""
    shift = 52 - mantissa_bits
    return _values(numbers, 1 << shift - 1, shift)


def _values(numbers: Integers, offset: int, shift: int) -> Floats:
    """Give the float64 that is so many units in the last place from the end of its bin that is nearer to zero."""
    bits = np.minimum((np.abs(numbers) - 1 << shift) + offset, INFINITY_BITS)
    return np.where(numbers == 0, 0.0, np.copysign(bits.view(np.float64), numbers))


def keyed(places: Integers, keys: tuple[int, int, int, int], mantissa_bits: int) -> Integers:
    """Give the numbers of the bins at some places of a kernel's table (NaN's excepted) that has bins for `keys`."""
    negative_low, negative_high, positive_low, positive_high = keys
    zero = 2 + negative_high - negative_low
    last = zero + 1 + positive_high - positive_low
    numbers = places + np.where(places < zero, -2 - negative_high, positive_low - zero)
    top = (INFINITY_BITS >> 52 - mantissa_bits) + 1
    for place, number in ((1, -top), (zero, 0), (last, top)):
        numbers[places == place] = number
    return numbers
