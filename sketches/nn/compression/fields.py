"""Small numbers in few bytes, and reading them from bytes that nobody vouches for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sketches.core.wire import FormatError

__all__ = ["Fields", "check_shape", "integer_bytes"]


def integer_bytes(value: int) -> bytes:
    """Write a non-negative integer in groups of seven bits, the lowest first; all bytes but the last one have bit 7."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes((*groups, value))


class Fields:
    """Reads one field of bytes after the other."""

    def __init__(self, data: Any) -> None:
        try:
            self._data = memoryview(data).cast("B")
        except TypeError as error:
            raise TypeError(f"data is {type(data).__name__}; bytes or another contiguous buffer is accepted") from error
        self._at = 0

    def take(self, size: int) -> memoryview:
        """Give the next bytes."""
        left = len(self._data) - self._at
        if size > left:
            raise FormatError(f"the code ends {size - left} bytes early")
        self._at += size
        return self._data[self._at - size : self._at]

    def byte(self) -> int:
        """Give the next byte."""
        return self.take(1)[0]

    def integer(self, most: int) -> int:
        """Give the next integer, which is at most so large."""
        value = shift = 0
        while True:
            group = self.byte()
            value |= (group & 127) << shift
            if value > most or shift > 63:
                raise FormatError(f"a number in the code is over {most}")
            if group < 128:
                return value
            shift += 7

    def rest(self) -> memoryview:
        """Give all bytes that are left."""
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Raise `FormatError` if bytes are left."""
        left = len(self._data) - self._at
        if left:
            raise FormatError(f"{left} bytes follow the code")


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Give the shape as a tuple of integers.

    Raises
    ------
    TypeError, ValueError
        If it is none, or of more than 2**40 weights.
    """
    try:
        found = tuple(length.__index__() for length in shape)
    except (AttributeError, TypeError) as error:
        raise TypeError(f"shape is {shape!r}; a sequence of integers is accepted") from error
    if any(length < 0 for length in found) or math.prod(found) > 2**40:
        raise ValueError(f"shape is {found}; lengths from 0 and at most 2**40 weights are accepted")
    return found
