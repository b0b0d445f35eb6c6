"""Columns made of columns, and the column of nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches.core.columns.base import Array, Column, Hashes, Mask, both, is_valid, packed

__all__ = ["Dictionary", "Nulls", "Tuples"]


class Dictionary(Column):
    """Indices into a column of values: each value is hashed once."""

    def __init__(self, indices: Array, values: Column, mask: Mask | None) -> None:
        super().__init__(len(indices), mask)
        self.indices = indices
        self.values = values
        self._hashed: tuple[Hasher, Hashes, Mask | None] | None = None

    def _block(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        indices, valid = self.indices[start:stop], self.valid(start, stop)
        if valid is not None:  # a null's index may hold anything
            indices = np.where(valid, indices, 0) if self.values.length else indices[:0]
        return indices, valid

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        if self._hashed is None or self._hashed[0] != hasher:
            values = np.empty(self.values.length, np.uint64)
            self._hashed = hasher, values, self.values.hash(hasher, 0, self.values.length, values)
        _, hashes, known = self._hashed
        indices, valid = self._block(start, stop)
        if not self.values.length:
            return np.zeros(stop - start, np.bool_)
        np.take(hashes, indices, out=out)
        return both(valid, None if known is None else known[indices])

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        found = self.indices[positions].astype(np.int64)
        items = self.values.items(found)
        if self.values.mask is None:
            return items
        return [item if is_valid(self.values, i) else None for item, i in zip(items, found, strict=True)]

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        values, known = self.values.numbers(0, self.values.length)
        indices, valid = self._block(start, stop)
        if not self.values.length:
            return np.zeros(stop - start), np.zeros(stop - start, np.bool_)
        return values[indices], both(valid, None if known is None else known[indices])

    def describe(self) -> str:
        return self.values.describe()


class Tuples(Column):
    """Composite items: Arrow's structs, one column a field."""

    def __init__(self, fields: Sequence[Column], length: int, mask: Mask | None) -> None:
        super().__init__(length, mask)
        self.fields = fields

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        members = np.empty((len(self.fields), stop - start), np.uint64)
        for row, field in zip(members, self.fields, strict=True):
            valid = field.hash(hasher, start, stop, row)
            if valid is not None:
                row[~valid] = hasher.null
        hasher.tuples(packed(members.T), out)
        return self.valid(start, stop)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        columns = []
        for field in self.fields:
            valid = np.array([is_valid(field, i) for i in positions], np.bool_)
            found = iter(field.items(positions[valid]))  # a null's slot may hold anything
            columns.append([next(found) if known else None for known in valid])
        return list(zip(*columns, strict=True)) if columns else [()] * len(positions)


class Nulls(Column):
    """Arrow's type null."""

    def __init__(self, length: int) -> None:
        super().__init__(length, np.zeros(length, np.bool_))

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        return self.valid(start, stop)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        return [None] * len(positions)

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        return np.zeros(stop - start), self.valid(start, stop)
