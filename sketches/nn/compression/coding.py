"""Which bytes stand for a tensor in a compressed file, and which tensor for the bytes."""

from __future__ import annotations

import math
import sys
import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sketches.core.wire import FormatError, require
from sketches.nn.compression.arithmetic import decode_arithmetic, encode_arithmetic
from sketches.nn.compression.bloomier import BloomierWeights
from sketches.nn.compression.codebook import check_shared
from sketches.nn.compression.directory import TensorEntry
from sketches.nn.compression.floats import decode_floats, encode_floats
from sketches.nn.compression.huffman import decode_huffman, encode_huffman
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.compression.units import KnownUnits, Units
from sketches.nn.tensor_file import stored_dtype
from sketches.nn.tensor_header import BITS, bytes_of

__all__ = ["CODERS", "SHARED", "Coded", "Weights", "as_stored", "checked_shape", "coded", "decoded"]

Weights = SharedWeights | BloomierWeights | npt.NDArray[Any]
Data = bytes | bytearray

CODERS = ("huffman", "arithmetic")
SHARED = ("F64", "F32", "F16", "BF16")  # dtypes whose weights may be shared; their bits are those that floats.py takes


def checked_shape(weights: Weights, dtype: str, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Give a tensor's shape; raise ``TypeError`` or ``ValueError`` if it cannot have the dtype and shape."""
    if dtype not in BITS:
        raise ValueError(f"dtype is {dtype!r}; {', '.join(BITS)} are accepted")
    if isinstance(weights, SharedWeights | BloomierWeights):
        found = weights.indices.shape if isinstance(weights, SharedWeights) else weights.shape
        if dtype not in SHARED:
            raise TypeError(f"shared weights cannot be read as {dtype}; {', '.join(SHARED)} are accepted")
    else:
        if not isinstance(weights, np.ndarray | np.generic):
            raise TypeError(f"weights are a {type(weights).__name__}; shared weights, a table or an array are accepted")
        if weights.dtype != stored_dtype(dtype):
            raise TypeError(f"an array of {weights.dtype} cannot be {dtype}; that is stored as {stored_dtype(dtype)}")
        found = weights.shape
        if BITS[dtype] < 8 and shape is not None and bytes_of("", dtype, shape) == weights.nbytes:
            return tuple(shape)
    if BITS[dtype] < 8 or (shape is not None and tuple(shape) != found):
        raise ValueError(f"shape is {shape}, but the weights of {dtype} have {found}")
    return found


class Coded(NamedTuple):
    """A tensor's bytes, how they are coded, and which rows and columns are known to be live or not."""

    coding: str
    data: bytes
    rows: Units | None = None
    columns: Units | None = None


def coded(weights: Weights, dtype: str, coder: str, known: KnownUnits) -> Coded:
    """Code a tensor; `known` has the units of those before it."""
    if isinstance(weights, SharedWeights):
        if coder not in CODERS:
            raise ValueError(f"coder is {coder!r}; {', '.join(map(repr, CODERS))} are accepted")
        return Coded(coder, encode_huffman(weights)) if coder == "huffman" else _arithmetic(weights, known)
    if isinstance(weights, BloomierWeights):
        return Coded("bloomier", weights.to_bytes())
    if dtype in SHARED:
        return Coded("floats", encode_floats(weights))
    stored = np.ascontiguousarray(weights, stored_dtype(dtype)).reshape(-1)
    plain = stored.view(np.uint8)
    if dtype == "BOOL" and plain.max(initial=0) > 1:
        raise ValueError("a bool is neither 0 nor 1")
    best = Coded("deflate", _deflated(plain))
    if stored.itemsize > 1:  # the high bytes of integers are alike
        shuffled = _deflated(np.ascontiguousarray(plain.reshape(-1, stored.itemsize).T))
        best = Coded("shuffle", shuffled) if len(shuffled) < len(best.data) else best
    return best if len(best.data) < len(plain) else Coded("raw", plain.tobytes())


def decoded(data: Data, entry: TensorEntry) -> Weights:
    """Give the tensor that bytes stand for; raise ``FormatError`` if they are none of the entry's dtype and shape."""
    if entry.coding in CODERS:
        require(entry.dtype in SHARED, f"shared weights of dtype {entry.dtype}; {', '.join(SHARED)} are known")
        return decode_huffman(data, entry.shape) if entry.coding == "huffman" else _of_arithmetic(data, entry)
    if entry.coding == "bloomier":
        require(entry.dtype in SHARED, f"weights of dtype {entry.dtype}; {', '.join(SHARED)} are known")
        weights = BloomierWeights.from_bytes(data)
        require(weights.shape == entry.shape, f"weights of shape {weights.shape} in a tensor of {entry.shape}")
        return weights
    dtype = stored_dtype(entry.dtype)
    if entry.coding == "floats":
        require(entry.dtype in SHARED, f"{entry.dtype} is not coded as numbers; {', '.join(SHARED)} are")
        return decode_floats(data, entry.shape, dtype)
    plain = np.frombuffer(data if entry.coding == "raw" else _inflated(data, entry.nbytes), np.uint8)
    require(len(plain) == entry.nbytes, f"{len(plain)} bytes, but {entry.nbytes} are needed")
    if entry.coding == "shuffle":
        plain = plain.reshape(dtype.itemsize, -1).T.reshape(-1)
    if entry.dtype == "BOOL":
        require(plain.max(initial=0) <= 1, "a bool is neither 0 nor 1")
    if not plain.flags.writeable:  # arrays of other codings are
        plain = plain.copy()
    array = plain.view(dtype)
    return array if BITS[entry.dtype] < 8 else array.reshape(entry.shape)


def _arithmetic(weights: SharedWeights, known: KnownUnits) -> Coded:
    """Code the rows that are not dead; columns are expected to be dead where the units before are."""
    check_shared(weights)
    indices = weights.indices
    if not (weights.sparse and indices.ndim and indices.any()):
        return Coded("arithmetic", encode_arithmetic(weights))
    kept = indices.reshape(len(indices) if indices.ndim > 1 else 1, -1) != 0
    columns = known.of_columns(kept)
    rows = known.of_rows(kept) if indices.ndim > 1 else None
    if rows is not None:
        weights = SharedWeights(indices[rows.live()], weights.codebook, True)
    return Coded("arithmetic", encode_arithmetic(weights, _live(columns, kept.shape[1])), rows, columns)


def _of_arithmetic(data: Data, entry: TensorEntry) -> SharedWeights:
    shape, rows, columns = entry.shape, entry.rows, entry.columns
    if rows is None and columns is None:
        return decode_arithmetic(data, shape)
    size = math.prod(shape[1:] if len(shape) > 1 else shape)
    fits = rows is None or (len(shape) > 1 and shape[0] == rows.size)
    fits &= columns is None or (columns.size > 0 and size % columns.size == 0)
    require(fits and math.prod(shape) > 0, f"rows and columns of shape {shape} are not the units that they should be")
    live = _live(columns, size)
    if rows is None:
        return decode_arithmetic(data, shape, live)
    kept = rows.live()
    found = decode_arithmetic(data, (int(np.count_nonzero(kept)), *shape[1:]), live)
    require(found.sparse, "rows without weights in a tensor that is not sparse")
    indices = np.zeros(shape, found.indices.dtype)
    indices[kept] = found.indices
    return SharedWeights(indices, found.codebook, True)


def _live(units: Units | None, columns: int) -> npt.NDArray[np.bool_] | None:
    """Tell which columns are of live units, that have as many columns each."""
    return None if units is None else np.repeat(units.live(), columns // units.size)


def as_stored(weights: Weights, dtype: str) -> npt.NDArray[Any]:
    """Give shared weights as a tensor of a dtype, rounded to it where it is narrower than float32."""
    if isinstance(weights, BloomierWeights):
        weights = weights.shared()
    if not isinstance(weights, SharedWeights):
        return weights
    codebook = weights.codebook
    with np.errstate(over="ignore"):
        entries = _bfloat16(codebook) if dtype == "BF16" else codebook.astype(stored_dtype(dtype))
    return np.asarray(entries[weights.indices])  # also of a scalar


def _bfloat16(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Round finite numbers to the upper halves of their bits, to even ones where two are as near."""
    bits = numbers.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def _deflated(plain: npt.NDArray[np.uint8]) -> bytes:
    deflater = zlib.compressobj(6, wbits=-15)  # 9 takes up to 20 times as long for a few percent
    return deflater.compress(plain.data) + deflater.flush()


def _inflated(data: Data, size: int) -> bytes:
    inflater = zlib.decompressobj(wbits=-15)
    try:
        plain = inflater.decompress(data, min(size + 1, sys.maxsize))
    except zlib.error as error:
        raise FormatError(f"the bytes cannot be inflated: {error}") from error
    require(inflater.eof and not inflater.unused_data, f"the bytes do not end after {size} of the tensor")
    return plain
