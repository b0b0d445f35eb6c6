"""Arrow columns from anything that exports the C data interface: pyarrow, Polars, pandas, DuckDB, and others.

`sketches._ext.arrow` hands over pointers as buffers; here they get their meaning, by the type's format string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext import arrow
from sketches.core.columns import (
    Column,
    Dictionary,
    FixedBytes,
    Instants,
    Mask,
    Nulls,
    Numbers,
    Slices,
    Tuples,
    Views,
)

__all__ = ["columns", "is_arrow"]

_NUMBERS = dict(zip("cCsSiIlLefg", ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"), strict=True))
_SLICES: dict[str, tuple[npt.DTypeLike, bool]] = {
    "z": (np.int32, False),
    "u": (np.int32, True),
    "Z": (np.int64, False),
    "U": (np.int64, True),
}
_INSTANTS = {
    "tdD": ("i4", "D"),
    "tdm": ("i8", "ms"),
    "tss": ("i8", "s"),
    "tsm": ("i8", "ms"),
    "tsu": ("i8", "us"),
    "tsn": ("i8", "ns"),
}


def is_arrow(items: object) -> bool:
    """Tell whether an object exports the Arrow C data interface."""
    return hasattr(items, "__arrow_c_stream__") or hasattr(items, "__arrow_c_array__")


def columns(items: Any) -> Iterator[Column]:
    """Yield the column of each chunk; one chunk is in memory at a time where the producer streams."""
    if hasattr(items, "__arrow_c_stream__"):
        yield from map(_column, arrow.stream(items.__arrow_c_stream__()))
    else:
        yield _column(arrow.array(*items.__arrow_c_array__()))


def _column(array: arrow.Array) -> Column:
    kind = array.schema.format
    mask = None if kind == "n" else _mask(array)
    if array.dictionary is not None:
        return Dictionary(_fixed(array, _NUMBERS[kind]), _column(array.dictionary), mask)
    if kind in _NUMBERS:
        return Numbers(_fixed(array, _NUMBERS[kind]), mask)
    if kind in _SLICES:
        return _slices(array, *_SLICES[kind], mask)
    readers: dict[str, Callable[[arrow.Array, Mask | None], Column]] = {
        "n": lambda array, mask: Nulls(array.length),
        "b": _bools,
        "vu": _views,
        "vz": _views,
        "+s": _struct,
        "w": _fixed_binary,
        "td": _instants,
        "ts": _instants,
    }
    for prefix in (kind, kind.split(":")[0], kind[:2]):
        if prefix in readers:
            return readers[prefix](array, mask)
    raise TypeError(
        f"items are an Arrow array of format {kind!r}, which is not supported (integers, floats, bool, date, timestamp,"
        " string, large_string, string_view, binary, dictionary and struct are); cast it first"
    )


def _read(array: arrow.Array, index: int, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
    """Give the first `count` values of a buffer; an absent buffer holds nothing."""
    buffer = array.buffer(index, count * np.dtype(dtype).itemsize)
    return np.zeros(count, dtype) if buffer is None else np.frombuffer(memoryview(buffer), dtype)


def _mask(array: arrow.Array) -> Mask | None:
    if array.null_count == 0 or not array.buffer_count:
        return None
    bits = array.buffer(0, (array.offset + array.length + 7) // 8)
    return None if bits is None else _unpacked(np.frombuffer(memoryview(bits), np.uint8), array).view(np.bool_)


def _unpacked(bits: npt.NDArray[np.uint8], array: arrow.Array) -> npt.NDArray[np.uint8]:
    """Give a byte for each slot's bit, least significant first; what lies before the offset is left alone."""
    first, skipped = divmod(array.offset, 8)
    return np.unpackbits(bits[first:], count=skipped + array.length, bitorder="little")[skipped:]


def _fixed(array: arrow.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return _read(array, 1, dtype, array.offset + array.length)[array.offset :]


def _bools(array: arrow.Array, mask: Mask | None) -> Column:
    bits = _read(array, 1, np.uint8, (array.offset + array.length + 7) // 8)
    return Numbers(_unpacked(bits, array), mask)


def _slices(array: arrow.Array, dtype: npt.DTypeLike, text: bool, mask: Mask | None) -> Column:
    if array.length:
        offsets = _read(array, 1, dtype, array.offset + array.length + 1)[array.offset :]
    else:  # there may not even be a first offset
        offsets = np.zeros(1, dtype)
    return Slices(_read(array, 2, np.uint8, int(offsets[-1])), offsets, text, mask)


def _views(array: arrow.Array, mask: Mask | None) -> Column:
    views = _read(array, 1, np.int32, 4 * (array.offset + array.length)).reshape(-1, 4)[array.offset :]
    count = array.buffer_count - 3  # validity, views, …, sizes
    sizes = _read(array, array.buffer_count - 1, np.int64, count).tolist()
    buffers = [array.buffer(2 + i, size) for i, size in enumerate(sizes)]
    data = [
        np.zeros(0, np.uint8) if buffer is None else np.frombuffer(memoryview(buffer), np.uint8) for buffer in buffers
    ]
    addresses = np.array([0 if buffer is None else buffer.address for buffer in buffers], np.uint64)
    return Views(views, data, addresses, array.schema.format == "vu", mask)


def _struct(array: arrow.Array, mask: Mask | None) -> Column:
    fields = [_column(child) for child in array.children]
    return Tuples(fields, array.length, mask)


def _fixed_binary(array: arrow.Array, mask: Mask | None) -> Column:
    width = int(array.schema.format.split(":")[1])
    end = array.offset + array.length
    return FixedBytes(_read(array, 1, np.uint8, end * width).reshape(end, width)[array.offset :], False, mask)


def _instants(array: arrow.Array, mask: Mask | None) -> Column:
    dtype, unit = _INSTANTS[array.schema.format.split(":")[0]]
    return Instants(_fixed(array, dtype).astype(np.int64, copy=False).view(f"M8[{unit}]"), mask)
