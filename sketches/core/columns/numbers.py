"""Numbers and instants, as NumPy arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches.core.columns.base import Array, Column, Hashes, Int64s, Mask, packed
from sketches.core.scalars import canonical, split_instants

__all__ = ["Instants", "Numbers", "real"]


class Numbers(Column):
    """Integers, unsigned integers, bools and floats of any width, stride and byte order, as a NumPy array."""

    def __init__(self, array: Array, mask: Mask | None = None) -> None:
        super().__init__(len(array), mask)
        self.array = array
        self.fits = array.dtype.kind in "ib" or (array.dtype.kind == "u" and array.dtype.itemsize < 8)  # into an int64
        self.real = np.float32 if np.can_cast(array.dtype, np.float32) else np.float64
        if array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned:
            self.in_place = array.dtype

    def integers(self, start: int, stop: int) -> Int64s | None:
        return packed(self.array[start:stop], np.int64) if self.fits and self.mask is None else None

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        block = self.array[start:stop]
        if self.fits:
            hasher.integers(packed(block, np.int64), out)
        elif block.dtype.kind == "u":
            hasher.unsigned(packed(block, np.uint64), out)
        else:
            hasher.doubles(packed(block, np.float64), out)
        return self.valid(start, stop)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        found = self.array[positions]
        if found.dtype.kind in "iu":
            return list(found.tolist())
        if found.dtype.kind == "f":  # as `canonical` would
            return [int(x) if x.is_integer() else x if x == x else math.nan for x in found.tolist()]
        return [canonical(item) for item in found.tolist()]

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        return packed(self.array[start:stop], self.real), self.valid(start, stop)


class Instants(Column):
    """NumPy's datetime64 of any unit; NaT is a null."""

    def __init__(self, array: npt.NDArray[np.datetime64], mask: Mask | None = None) -> None:
        self.known = ~np.isnat(array) if mask is None else ~np.isnat(array) & mask
        super().__init__(len(array), self.known)
        self.array = array

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        valid = self.known[start:stop]
        block = np.where(valid, self.array[start:stop], np.zeros(1, self.array.dtype))
        seconds, attoseconds = split_instants(block)
        hasher.instants(packed(seconds), packed(attoseconds), out)
        return valid

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        return [canonical(item) for item in self.array[positions]]


def real(array: Array) -> Array | None:
    """Give an array of real numbers in one of NumPy's own dtypes; None if these are others.

    Dtypes that other packages register, such as bfloat16, are made float32 or float64, if these hold all their values.
    """
    dtype = array.dtype
    if dtype.isbuiltin == 2:  # registered
        kept = [target for target in (np.float32, np.float64) if np.can_cast(dtype, target)]
        return array.astype(kept[0]) if kept else None
    return array if dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize <= 8) else None
