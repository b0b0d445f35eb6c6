"""Items as bytes: canonical items, one after another, nothing between them.

Each starts with a word, kind + 256 × size; `wire.ITEMS` says what follows. The word's width keeps hostile bytes cheap:
no object is much larger than the bytes that announce it.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from sketches._ext.wire import pack_integers, unpack_integers
from sketches.core.scalars import canonical
from sketches.core.wire import FormatError, require

__all__ = ["decode_items", "encode_items"]

_NULL, _INTEGER, _BIG_INTEGER, _FLOAT, _TEXT, _BYTES, _TUPLE, _INSTANT = range(8)
_UNITS = ("s", "ms", "us", "ns", "ps", "fs", "as")
_INTEGER_WORD = _INTEGER + 256 * 8
_WORD = struct.Struct("<Q")
_MAX_DEPTH = 32  # as for hashing


def encode_items(items: list[Any]) -> bytes:
    """Write canonical items."""
    integers = pack_integers(items, _INTEGER_WORD)
    if integers is not None:
        return integers
    out = bytearray()
    for item in items:
        _encode(item, out)
    return bytes(out)


def _encode(item: Any, out: bytearray) -> None:
    kind, size, data = _NULL, 0, b""
    if isinstance(item, int):
        if -(2**63) <= item < 2**63:
            kind, data = _INTEGER, struct.pack("<q", item)
        else:
            kind, data = _BIG_INTEGER, item.to_bytes((item.bit_length() // 64 + 1) * 8, "little", signed=True)
    elif isinstance(item, float):
        kind, data = _FLOAT, struct.pack("<d", item)
    elif isinstance(item, str):
        kind, data = _TEXT, item.encode("utf-8", "surrogatepass")
    elif isinstance(item, bytes):
        kind, data = _BYTES, item
    elif isinstance(item, np.datetime64):
        unit = np.datetime_data(item.dtype)[0]
        kind, data = _INSTANT + _UNITS.index(unit), struct.pack("<q", item.astype(np.int64))
    elif isinstance(item, tuple):
        kind, size = _TUPLE, len(item)
    out += _WORD.pack(kind + 256 * (size or len(data)))
    out += data
    if isinstance(item, tuple):
        for member in item:
            _encode(member, out)


def decode_items(data: memoryview, count: int) -> list[Any]:
    """Read `count` items, which must fill `data`; raises ``FormatError`` where they do not, or are not canonical."""
    if len(data) == 16 * count:
        integers = unpack_integers(data, _INTEGER_WORD)
        if integers is not None:
            return integers
    reader = _Reader(data)
    items = []
    for _ in range(count):
        start = reader.used
        item = reader.item(0)
        # One item has one form: no integral floats, no NaN of another sign, no padding. Of these kinds any is.
        require(
            data[start] in (_INTEGER, _TEXT, _BYTES)
            or encode_items([canonical(item)]) == bytes(data[start : reader.used]),
            "an item is not in its canonical form",
        )
        items.append(item)
    require(reader.used == len(data), f"{len(data) - reader.used} bytes follow the last item")
    return items


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.used = 0

    def take(self, size: int) -> memoryview:
        require(size <= len(self.data) - self.used, f"an item of {size} bytes is truncated")
        self.used += size
        return self.data[self.used - size : self.used]

    def item(self, depth: int) -> Any:
        (word,) = _WORD.unpack(self.take(_WORD.size))
        kind, size = word % 256, word // 256
        if kind == _TUPLE:
            require(depth < _MAX_DEPTH, f"an item is nested deeper than {_MAX_DEPTH} levels")
            left = (len(self.data) - self.used) // _WORD.size
            require(size <= left, f"a tuple announces {size} members, but there is room for {left}")
            return tuple([self.item(depth + 1) for _ in range(size)])
        data = self.take(size)
        if kind == _NULL:
            return None
        if kind == _BYTES:
            return bytes(data)
        if kind == _TEXT:
            try:
                return str(data, "utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise FormatError(f"an item is no UTF-8: {error}") from None
        if kind == _BIG_INTEGER:
            return int.from_bytes(data, "little", signed=True)
        require(size == 8, f"a number has {size} bytes, not 8")
        if kind == _INTEGER:
            return struct.unpack("<q", data)[0]
        if kind == _FLOAT:
            return struct.unpack("<d", data)[0]
        require(kind < _INSTANT + len(_UNITS), f"unknown kind of item {kind}")
        return np.frombuffer(data, "<i8").astype(f"M8[{_UNITS[kind - _INSTANT]}]")[0]
