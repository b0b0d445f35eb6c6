"""Which bytes stand for a tensor in a compressed file, and which tensor for the bytes."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core.wire import FormatError, require
from sketches.nn.compression.arithmetic import decode_arithmetic, encode_arithmetic
from sketches.nn.compression.bloomier import BloomierWeights
from sketches.nn.compression.directory import TensorEntry
from sketches.nn.compression.floats import decode_floats, encode_floats
from sketches.nn.compression.huffman import decode_huffman, encode_huffman
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.tensor_file import stored_dtype
from sketches.nn.tensor_header import BITS, bytes_of

__all__ = ["CODERS", "SHARED", "Weights", "as_stored", "checked_shape", "coded", "decoded"]

Weights = SharedWeights | BloomierWeights | npt.NDArray[Any]

CODERS = ("huffman", "arithmetic")
SHARED = ("F64", "F32", "F16", "BF16")  # dtypes whose weights may be shared
