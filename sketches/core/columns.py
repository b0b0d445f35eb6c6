"""One class for each way in which a column of items lies in memory.

A column is a piece of the input: it hashes its slots block by block into a buffer that the caller owns, names its
nulls, gives numbers where it has numbers, and finds single items again by position.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches._ext.numbers import read_numbers
from sketches.core.scalars import canonical, split_instants

__all__ = [
    "Boxed",
    "Column",
    "Dictionary",
    "FixedBytes",
    "FixedText",
    "Instants",
    "Nulls",
    "Numbers",
    "Objects",
    "Slices",
    "Tuples",
    "Views",
    "from_numpy",
    "real",
]

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
        return _packed(self.array[start:stop], np.int64) if self.fits and self.mask is None else None

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        block = self.array[start:stop]
        if self.fits:
            hasher.integers(_packed(block, np.int64), out)
        elif block.dtype.kind == "u":
            hasher.unsigned(_packed(block, np.uint64), out)
        else:
            hasher.doubles(_packed(block, np.float64), out)
        return self.valid(start, stop)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        found = self.array[positions]
        if found.dtype.kind in "iu":
            return list(found.tolist())
        if found.dtype.kind == "f":  # as `canonical` would
            return [int(x) if x.is_integer() else x if x == x else math.nan for x in found.tolist()]
        return [canonical(item) for item in found.tolist()]

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        return _packed(self.array[start:stop], self.real), self.valid(start, stop)


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
        hasher.instants(_packed(seconds), _packed(attoseconds), out)
        return valid

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        return [canonical(item) for item in self.array[positions]]


class FixedBytes(Column):
    """NumPy's dtype S (trailing zeros dropped) and Arrow's fixed-size binary (all bytes count)."""

    def __init__(self, rows: npt.NDArray[np.uint8], strip: bool, mask: Mask | None = None) -> None:
        super().__init__(len(rows), mask)
        self.rows = rows
        self.strip = strip

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        hasher.fixed_bytes(_packed(self.rows[start:stop]), self.strip, out)
        return self.valid(start, stop)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        found = [self.rows[i].tobytes() for i in positions]
        return [item.rstrip(b"\0") for item in found] if self.strip else found


class FixedText(Column):
    """NumPy's dtype U: four bytes a character, trailing zeros dropped."""

    def __init__(self, array: npt.NDArray[np.str_]) -> None:
        super().__init__(len(array))
        self.array = array

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        block = _packed(self.array[start:stop], self.array.dtype.newbyteorder("="))
        points = block.view(np.uint32).reshape(len(block), -1)
        if points.max(initial=0) > sys.maxunicode:
            raise ValueError(f"items are text with a code point {points.max():#x}, beyond {sys.maxunicode:#x}")
        hasher.fixed_text(points, out)
        return None

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        return list(self.array[positions].tolist())


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


class Slices(Column):
    """Arrow's binary and string: item i is the bytes from offsets[i] to offsets[i + 1]."""

    def __init__(self, data: npt.NDArray[np.uint8], offsets: Array, text: bool, mask: Mask | None) -> None:
        super().__init__(len(offsets) - 1, mask)
        self.data = data
        self.offsets = offsets
        self.text = text

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        hasher.slices(self.data, _packed(self.offsets[start : stop + 1]), out)
        return self.valid(start, stop)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        data = self.data.data
        ends = zip(self.offsets[positions].tolist(), self.offsets[positions + 1].tolist(), strict=True)
        found = [bytes(data[start:stop]) for start, stop in ends]
        return [_text(item) for item in found] if self.text else found

    def describe(self) -> str:
        return "strings" if self.text else "bytes"


class Views(Column):
    """Arrow's string view and binary view: 16 bytes a slot, short strings inline, long ones in shared buffers."""

    def __init__(
        self,
        views: npt.NDArray[np.int32],
        buffers: Sequence[npt.NDArray[np.uint8]],
        addresses: Hashes,
        text: bool,
        mask: Mask | None,
    ) -> None:
        super().__init__(len(views), mask)
        self.views = views
        self.buffers = buffers
        self.addresses = addresses
        self.text = text

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        valid = self.valid(start, stop)
        views = self.views[start:stop]
        if valid is not None:  # a null's view may hold anything: read it as the empty string
            views = np.where(valid[:, None], views, np.int32(0))
        hasher.views(_packed(views), self.addresses, out)
        return valid

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        views = self.views[positions]
        inline = views.tobytes()
        found = [
            inline[16 * i + 4 : 16 * i + 4 + length] if length <= 12 else self._elsewhere(*views[i].tolist())
            for i, length in enumerate(views[:, 0].tolist())
        ]
        return [_text(item) for item in found] if self.text else found

    def _elsewhere(self, length: int, _: int, buffer: int, offset: int) -> bytes:
        return self.buffers[buffer][offset : offset + length].tobytes()

    def describe(self) -> str:
        return "strings" if self.text else "bytes"


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
        return _both(valid, None if known is None else known[indices])

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        found = self.indices[positions].astype(np.int64)
        items = self.values.items(found)
        if self.values.mask is None:
            return items
        return [item if _is_valid(self.values, i) else None for item, i in zip(items, found, strict=True)]

    def numbers(self, start: int, stop: int) -> tuple[Array, Mask | None]:
        values, known = self.values.numbers(0, self.values.length)
        indices, valid = self._block(start, stop)
        if not self.values.length:
            return np.zeros(stop - start), np.zeros(stop - start, np.bool_)
        return values[indices], _both(valid, None if known is None else known[indices])

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
        hasher.tuples(_packed(members.T), out)
        return self.valid(start, stop)

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        columns = []
        for field in self.fields:
            valid = np.array([_is_valid(field, i) for i in positions], np.bool_)
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


def _packed(array: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """Give the array, or a copy if need be, of a type and as kernels read it: without gaps, each number aligned."""
    packed = np.ascontiguousarray(array, dtype)
    return packed if packed.flags.aligned else packed.copy()


def _both(first: Mask | None, second: Mask | None) -> Mask | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _text(data: bytes) -> str | bytes:
    """Decode UTF-8; malformed text, which Arrow does not rule out, stays what it is: bytes, the same item."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _is_valid(column: Column, position: int) -> bool:
    valid = column.valid(position, position + 1)
    return valid is None or bool(valid[0])


def real(array: Array) -> Array | None:
    """Give an array of real numbers in one of NumPy's own dtypes; None if these are others.

    Dtypes that other packages register, such as bfloat16, are made float32 or float64, if these hold all their values.
    """
    dtype = array.dtype
    if dtype.isbuiltin == 2:  # registered
        kept = [target for target in (np.float32, np.float64) if np.can_cast(dtype, target)]
        return array.astype(kept[0]) if kept else None
    return array if dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize <= 8) else None


def from_numpy(array: Array, mask: Mask | None = None) -> Column:
    """Give the column of a one-dimensional array of any supported dtype; `mask` is True at items."""
    if array.ndim != 1:
        raise ValueError(
            f"items have shape {array.shape}; one dimension is accepted (items.ravel() takes every element)"
        )
    if isinstance(array, np.ma.MaskedArray):
        mask = _both(mask, ~np.ma.getmaskarray(array))
        array = array.data
    array = np.asarray(array)  # a subclass may have a length or slices of its own
    numbers = real(array)
    if numbers is not None:
        return Numbers(numbers, mask)
    kind = array.dtype.kind
    if kind == "M":
        return Instants(array, mask)
    if kind == "S" and mask is None:
        width = array.dtype.itemsize
        if not width:
            return Objects(array.tolist())
        return FixedBytes(_packed(array).view(np.uint8).reshape(len(array), width), strip=True)
    if kind == "U" and mask is None:
        return FixedText(array) if array.dtype.itemsize else Objects(array.tolist())
    if kind in "OTSU":
        return Boxed(array, mask)
    advice = {"m": "; view it as int64", "c": "; pass its real and imaginary parts", "V": "; pass a list of tuples"}
    raise TypeError(
        f"items have dtype {array.dtype}, which is not supported{advice.get(kind, '; convert it to float64')}"
        " (integers, bool, float16 to float64, bfloat16, datetime64, S, U, StringDType and object are)"
    )
