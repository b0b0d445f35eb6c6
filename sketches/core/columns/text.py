"""Bytes and text, as NumPy and Arrow hold them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches.core.columns.base import Array, Column, Hashes, Mask, packed

__all__ = ["FixedBytes", "FixedText", "Slices", "Views"]


class FixedBytes(Column):
    """NumPy's dtype S (trailing zeros dropped) and Arrow's fixed-size binary (all bytes count)."""

    def __init__(self, rows: npt.NDArray[np.uint8], strip: bool, mask: Mask | None = None) -> None:
        super().__init__(len(rows), mask)
        self.rows = rows
        self.strip = strip

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        hasher.fixed_bytes(packed(self.rows[start:stop]), self.strip, out)
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
        block = packed(self.array[start:stop], self.array.dtype.newbyteorder("="))
        points = block.view(np.uint32).reshape(len(block), -1)
        if points.max(initial=0) > sys.maxunicode:
            raise ValueError(f"items are text with a code point {points.max():#x}, beyond {sys.maxunicode:#x}")
        hasher.fixed_text(points, out)
        return None

    def items(self, positions: npt.NDArray[np.int64]) -> list[Any]:
        return list(self.array[positions].tolist())


class Slices(Column):
    """Arrow's binary and string: item i is the bytes from offsets[i] to offsets[i + 1]."""

    def __init__(self, data: npt.NDArray[np.uint8], offsets: Array, text: bool, mask: Mask | None) -> None:
        super().__init__(len(offsets) - 1, mask)
        self.data = data
        self.offsets = offsets
        self.text = text

    def hash(self, hasher: Hasher, start: int, stop: int, out: Hashes) -> Mask | None:
        hasher.slices(self.data, packed(self.offsets[start : stop + 1]), out)
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
        hasher.views(packed(views), self.addresses, out)
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


def _text(data: bytes) -> str | bytes:
    """Decode UTF-8; malformed text, which Arrow does not rule out, stays what it is: bytes, the same item."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
