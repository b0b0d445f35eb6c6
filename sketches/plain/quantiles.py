"""Which value has rank q? A histogram over the leading bits of floating-point numbers, in plain Python."""

from __future__ import annotations

import math
import struct
from collections import Counter

__all__ = ["Quantiles"]


class Quantiles:
    """Counts of numbers that agree in their first bits.

    A float64 is stored as sign, exponent, mantissa, from the top. Leave out the sign and read the other 63 bits as an
    integer: it grows with the number. Keep only its top bits, and neighbours fall into one bin whose width is a fixed
    share of the numbers in it, for tiny and huge numbers alike. That is a logarithm without computing one.

    Bins are numbered in the order of the numbers: 0 holds zero, k + 1 the positive numbers whose top bits are k, and
    -(k + 1) the negative ones.
    """

    def __init__(self, relative_error: float = 2**-8) -> None:
        mantissa_bits = 0
        while 2.0 ** -(mantissa_bits + 1) > relative_error:  # the middle of a bin is half a bin off, at most
            mantissa_bits += 1
        self.shift = 52 - mantissa_bits
        self.bins: Counter[int] = Counter()
        self.nans = 0

    def bin(self, x: float) -> int:
        """Give the number of the bin of x."""
        if x == 0:
            return 0
        (bits,) = struct.unpack("<Q", struct.pack("<d", abs(x)))
        number: int = (bits >> self.shift) + 1
        return number if x > 0 else -number

    def middle(self, number: int) -> float:
        """Give the number in the middle of a bin."""
        if number == 0:
            return 0.0
        key = abs(number) - 1
        if key << self.shift == 0x7FF << 52:
            return math.copysign(math.inf, number)
        bits = (key << self.shift) + (1 << self.shift - 1)
        (x,) = struct.unpack("<d", struct.pack("<Q", bits))
        return math.copysign(x, number)

    def add(self, x: float | None, count: int = 1) -> None:
        """Count one number."""
        if x is None or count == 0:
            return
        x = float(x)
        if math.isnan(x):
            self.nans += count  # neither above nor below anything, so it has no rank
        else:
            self.bins[self.bin(x)] += count

    def quantile(self, q: float) -> float:
        """Give about the smallest x such that at least q·N of the N numbers are not above it."""
        rank = max(1, math.ceil(q * self.bins.total()))
        for number in sorted(self.bins):
            rank -= self.bins[number]
            if rank <= 0:
                return self.middle(number)
        raise ValueError("no numbers were added")

    def merge(self, other: Quantiles) -> None:
        """Add another histogram."""
        self.bins += other.bins
        self.nans += other.nans
