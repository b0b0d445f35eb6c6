"""What a column is, and the little that all share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher

__all__ = ["Array", "Column", "Hashes", "Int64s", "Mask", "both", "is_valid", "packed"]

Array = npt.NDArray[Any]
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]


class Column(ABC):
    """A run of items of one type.

    Attributes
    ----------
    length
        The number of slots, nulls included.
    mask
        True where a slot holds an item; None where all do.
    in_place
        The dtype of the items where kernels can read them where they are: native, aligned, without gaps; else None.
    """

    in_place: np.dtype[Any] | None = None

    def __init__(self, length: int, mask: Mask | None = None) -> None:
        self.length = length
        self.mask = mask

    def valid(self, start: int, stop: int) -> Mask | None:
        """Tell which slots of [start, stop) hold an item; None: all of them."""
        return None if self.mask is None else self.mask[start:stop]

    @abstractmethod
    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        """Write the hashes of [start, stop) to `out` (anything, at nulls) and return `valid(start, stop)`."""

    def integers(self, start: int, stop: int) -> Int64s | None:
        """Give the items of [start, stop) as kernels read integers; None where they are others, or hold nulls."""
        return None

    @abstractmethod
    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        """Give the canonical items at some positions."""

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        """Give the numbers of [start, stop), float32 or float64 as kernels read them, and which of them are items."""
        raise TypeError(f"items are {self.describe()}, but numbers are needed")

    def describe(self) -> str:
        """Name the type for error messages."""
        return type(self).__name__.lower()


def packed(array: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """Give the array, or a copy if need be, of a type and as kernels read it: without gaps, each number aligned."""
    packed = np.ascontiguousarray(array, dtype)
    return packed if packed.flags.aligned else packed.copy()


def both(first: Mask | None, second: Mask | None) -> Mask | None:
    """Tell which slots hold an item by both masks."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def is_valid(column: Column, position: int) -> bool:
    """Tell whether one slot holds an item."""
    valid = column.valid(position, position + 1)
    return valid is None or bool(valid[0])
