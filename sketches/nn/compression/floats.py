"""Arrays of floating-point numbers in fewer bytes, every bit kept: NaN's payloads, signs of zero, all of them.

What is there to gain is in the exponents: those of a layer's weights take 2 to 3 bits of 8. The mantissas are as good
as random, but for numbers that were rounded to fewer bits, whose last bits are zero, and for zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext import float_code
from sketches.core.wire import FormatError
from sketches.nn.compression.fields import Fields, check_shape

__all__ = ["decode_floats", "encode_floats"]

EXPONENTS = {"f2": 5, "u2": 8, "f4": 8, "f8": 11}  # bits of them; uint16 is bfloat16
RAW = 255  # in place of how many bits are zero


def encode_floats(array: npt.NDArray[Any]) -> bytes:
    """Code numbers so that `decode_floats` gives back every bit.

    The code has at most one byte more than the array. Bytes are the same on every machine.

    Parameters
    ----------
    array
        float16, float32 or float64, or bfloat16 as uint16; any shape. Neighbours in the last axis, and above one
        another in the one before, are expected to be of like size.

    Raises
    ------
    TypeError
        If it is another dtype.

    Examples
    --------
    Numbers rounded to bfloat16 have 16 bits of information at most, whatever they are stored in:

    >>> rounded = np.random.default_rng(1).normal(size=(100, 100)).astype(np.float32).view(np.uint32) & 0xFFFF0000
    >>> code = encode_floats(rounded.view(np.float32))
    >>> len(code) < 100 * 100 * 2
    True
    >>> bool((decode_floats(code, (100, 100), np.float32).view(np.uint32) == rounded).all())
    True
    """
    kind = _kind(array.dtype)
    words = np.ascontiguousarray(array).astype(f"<u{kind[1]}" if kind[0] == "u" else f"<{kind}", copy=False)
    words = words.view(f"<u{kind[1]}")
    width, exponent = words.itemsize, EXPONENTS[kind]
    used = int(np.bitwise_or.reduce(words, axis=None)) & (1 << 8 * width - 1 - exponent) - 1
    zeros = (used & -used).bit_length() - 1 if used else 8 * width - 1 - exponent
    data = words.reshape(-1).view(np.uint8)
    code = float_code.encode(data, _columns(array.shape), width, exponent, zeros)
    return bytes((zeros,)) + code if len(code) <= len(data) else bytes((RAW,)) + data.tobytes()


def decode_floats(data: bytes | bytearray | memoryview, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Give the numbers that `encode_floats` coded.

    Memory and time are bounded by the shape: altered bytes give other numbers, or are refused.

    Raises
    ------
    TypeError, ValueError
        If `data`, `shape` or `dtype` is none.
    FormatError
        If the bytes are no code of such an array.
    """
    found = np.dtype(dtype)
    kind, shape = _kind(found), check_shape(shape)
    width, exponent = found.itemsize, EXPONENTS[kind]
    fields = Fields(data)
    zeros, code = fields.byte(), np.frombuffer(fields.rest(), np.uint8)
    size = width * math.prod(shape)
    if zeros == RAW:
        if len(code) != size:
            raise FormatError(f"{len(code)} bytes of numbers, but {size} of shape {shape}")
        words = code.copy()
    else:
        if zeros > 8 * width - 1 - exponent:
            raise FormatError(f"the code says that {zeros} bits are zero in every {found}")
        words = np.empty(size, np.uint8)
        if not float_code.decode(code, words, _columns(shape), width, exponent, zeros):
            raise FormatError(f"{len(code)} bytes are no code of {found} numbers of shape {shape}")
    return words.view(f"<{kind}").astype(found.newbyteorder("="), copy=False).reshape(shape)


def _kind(dtype: np.dtype[Any]) -> str:
    kind = f"{dtype.kind}{dtype.itemsize}"
    if kind not in EXPONENTS:
        raise TypeError(f"{dtype} is not supported; float16, float32, float64, and bfloat16 as uint16 are")
    return kind


def _columns(shape: Sequence[int]) -> int:
    return max(1, shape[-1]) if len(shape) > 1 else 2**62
