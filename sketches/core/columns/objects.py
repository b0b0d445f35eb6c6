"""Python objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches._ext.numbers import read_numbers
from sketches.core.columns.base import Array, Column, Hashes, Mask
from sketches.core.scalars import canonical

__all__ = ["Boxed", "Objects"]


class Objects(Column):
    """A list of Python objects."""

    def __init__(self, objects: list[Any]) -> None:
        super().__init__(len(objects))
        self.objects = objects

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        valid = np.empty(stop - start, np.uint8)
        hasher.objects(self.objects, start, stop, out, valid)
        return None if valid.all() else valid.view(np.bool_)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        return [canonical(self.objects[i]) for i in positions]

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        numbers, valid = np.empty(stop - start), np.empty(stop - start, np.uint8)
        if read_numbers(self.objects, start, numbers, valid):
            return numbers, None if valid.all() else valid.view(np.bool_)
        block = self.objects[start:stop]
        try:
            quick = np.array(block)
        except (ValueError, OverflowError):  # nested or huge: the slow path names the item
            quick = np.empty((0, 0))
        if quick.ndim == 1 and quick.dtype.kind in "iufb" and quick.dtype.itemsize <= 8:
            return quick.astype(np.float64), None
        known = [canonical(item) for item in block]
        for item in known:
            if item is not None and not isinstance(item, int | float):
                raise TypeError(f"item {item!r} has type {type(item).__name__}, but numbers are needed")
        mask = np.array([item is not None for item in known], np.bool_)
        try:
            converted = np.array([0.0 if item is None else float(item) for item in known], np.float64)
        except OverflowError:
            raise ValueError("items hold an integer beyond the range of float64") from None
        return converted, None if mask.all() else mask


class Boxed(Column):
    """NumPy's dtypes object and StringDType, and masked text: made Python objects a block at a time."""

    def __init__(self, array: Array, mask: Mask | None) -> None:
        super().__init__(len(array), mask)
        self.array = array
        self.missing = getattr(array.dtype, "na_object", None)  # StringDType's null may be NaN

    def _block(self, start: int, stop: int) -> Objects:
        block = self.array[start:stop].tolist()
        if self.missing is not None:
            block = [None if item is self.missing else item for item in block]
        if self.mask is not None:
            block = [item if known else None for item, known in zip(block, self.mask[start:stop], strict=True)]
        return Objects(block)

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        return self._block(start, stop).hash(hasher, 0, stop - start, out)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        return [canonical(item) for item in self.array[positions].tolist()]

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        return self._block(start, stop).numbers(0, stop - start)
