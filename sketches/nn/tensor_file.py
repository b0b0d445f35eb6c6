"""Tensors in a safetensors file, read and written block by block: a model need not fit in memory.

The format is described in `tensor_header`. The library of that name reads whole tensors; here a tensor is also read,
and written, in blocks of rows, and every dtype passes through, those that NumPy lacks as their bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from sketches.core.whole_file import whole_file
from sketches.core.wire import FormatError, require
from sketches.nn import tensor_header
from sketches.nn.positioned_file import PositionedFile
from sketches.nn.tensor_header import BITS, Entry

__all__ = ["REAL", "STORED", "TensorFile", "TensorWriter", "check_numbers", "real", "stored_dtype"]

BLOCK = 2**22  # bytes read at once

STORED = {  # the dtypes that NumPy has
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F64": "<f8", "F32": "<f4", "F16": "<f2", "C64": "<c8",
}  # fmt: skip
_FLOAT8 = {"F8_E4M3", "F8_E5M2"}
REAL = {*STORED, "BF16", *_FLOAT8} - {"C64"}  # the dtypes that hold real numbers, and are read as such


class TensorFile:
    """A safetensors file, open to read its tensors in any order, also by several threads and forked processes.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    names
        The tensors' names, in the order of their bytes in the file.
    metadata
        The file's free texts by name.

    Raises
    ------
    OSError
        If the file cannot be read.
    FormatError
        If it is no safetensors file, or a tensor's dtype, shape or place is not what it can be; the message names it.

    Notes
    -----
    Opening reads the header alone, and an array has the size of the block that is read. A file in which a name occurs
    twice is refused, where the safetensors library takes one of the two.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "model.safetensors")
    >>> with TensorWriter(path, {"weight": ("F32", (2, 3))}) as writer:
    ...     writer.write("weight", np.arange(6, dtype=np.float32))
    >>> with TensorFile(path) as file:
    ...     file.names, file.shape("weight"), file["weight"].tolist()
    (('weight',), (2, 3), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "rb")  # noqa: SIM115  # closed by close()
        self._tensors = PositionedFile(self._file)
        try:
            self._entries, self.metadata, self._start = _read_header(self._file)
        except BaseException:
            self._file.close()
            raise
        self.names = tuple(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape."""
        return self._entry(name).shape

    def dtype(self, name: str) -> str:
        """Give a tensor's dtype as the format calls it, such as ``"F32"`` or ``"BF16"``."""
        return self._entry(name).dtype

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Read a tensor as real (or complex) numbers; see `real`.

        Raises
        ------
        KeyError
            If the file has no such tensor.
        TypeError
            If NumPy has no numbers of its dtype; `blocks` reads it all the same.
        FormatError
            If a bool is neither 0 nor 1, or the file has become shorter.
        """
        entry = self._entry(name)
        check_numbers(name, entry.dtype)
        return real(self._read(name, entry, entry.start, entry.stop).reshape(entry.shape), entry.dtype)

    def blocks(self, name: str, size: int = BLOCK) -> Iterator[npt.NDArray[Any]]:
        """Read a tensor as it is stored, in consecutive blocks of whole rows (along the first axis).

        Parameters
        ----------
        name
            The tensor.
        size
            Bytes of a block at most, unless one row is larger.

        Returns
        -------
        Iterator
            Arrays of shape (rows, …): bfloat16 as uint16 and float8 as uint8, which hold the bits. A tensor of less
            than eight bits a number, or without axes, is one block of shape (bytes,) or ().
        """
        entry = self._entry(name)
        if BITS[entry.dtype] < 8:
            yield self._read(name, entry, entry.start, entry.stop)
            return
        if not entry.shape or entry.start == entry.stop:
            yield self._read(name, entry, entry.start, entry.stop).reshape(entry.shape)
            return
        row = (entry.stop - entry.start) // entry.shape[0]
        step = max(1, size // row) * row
        for start in range(entry.start, entry.stop, step):
            flat = self._read(name, entry, start, min(start + step, entry.stop))
            yield flat.reshape(-1, *entry.shape[1:])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise KeyError(f"the file has no tensor {name!r}")
        return self._entries[name]

    def _read(self, name: str, entry: Entry, start: int, stop: int) -> npt.NDArray[Any]:
        dtype = stored_dtype(entry.dtype)
        array = np.empty((stop - start) // dtype.itemsize, dtype)
        found = self._tensors.read_into(array.view(np.uint8).data, self._start + start)
        require(found == stop - start, f"tensor {name!r}: the file ends after {found} of {stop - start} bytes")
        if entry.dtype == "BOOL":
            require((array.view(np.uint8) <= 1).all(), f"tensor {name!r} holds a bool that is neither 0 nor 1")
        return array


class TensorWriter:
    """A safetensors file, written tensor by tensor; it appears whole when the block ends, or not at all.

    Parameters
    ----------
    path
        The file; one that exists is replaced at the end.
    layout
        The dtype and shape of each tensor, ``{name: ("F32", (300, 784))}``, in the order in which they are written.
    metadata
        Free texts by name.

    Raises
    ------
    TypeError, ValueError
        If a name, dtype or shape is not accepted.
    OSError
        If the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layout: Mapping[str, tuple[str, tuple[int, ...]]],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._header = tensor_header.header(layout, metadata or {})
        self._layout = dict(layout)
        self._left = {name: tensor_header.bytes_of(name, *layout[name]) for name in layout}
        self._target: AbstractContextManager[BinaryIO] = whole_file(path)
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._file = self._target.__enter__()
        self._file.write(self._header)
        return self

    def write(self, name: str, values: npt.NDArray[Any]) -> None:
        """Write a tensor, or the next part of it, as it is stored (see `TensorFile.blocks`).

        Raises
        ------
        TypeError, ValueError
            If the array has another dtype than announced, more values than the tensor has left, or a tensor before it
            is not complete.
        """
        if self._file is None:
            raise ValueError("the file is not open; write within its with-block")
        if name not in self._left:
            raise ValueError(f"tensor {name!r} is not in the layout, or is complete")
        before = next((other for other in self._left if other == name or self._left[other]), name)
        if before != name:
            raise ValueError(f"tensor {name!r} comes before {self._left[before]} bytes of tensor {before!r}")
        dtype = self._layout[name][0]
        if values.dtype != stored_dtype(dtype):
            raise TypeError(f"tensor {name!r} of dtype {dtype} is stored as {stored_dtype(dtype)}, not {values.dtype}")
        if values.nbytes > self._left[name]:
            raise ValueError(f"tensor {name!r}: {values.nbytes} bytes are given, but {self._left[name]} are left")
        self._file.write(np.ascontiguousarray(values, stored_dtype(dtype)).reshape(-1).view(np.uint8).data)
        self._left[name] -= values.nbytes

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file = None
        missing = next((name for name, left in self._left.items() if left), None)
        if kind is None and missing is not None:
            error = ValueError(f"tensor {missing!r}: {self._left[missing]} bytes were not written")
            self._target.__exit__(ValueError, error, None)
            raise error
        self._target.__exit__(kind, error, trace)


def check_numbers(name: str, dtype: str) -> None:
    """Raise ``TypeError`` if a tensor's dtype is none that `real` takes."""
    if dtype not in REAL and dtype not in STORED:
        raise TypeError(f"tensor {name!r} has dtype {dtype}, which is not read as numbers")


def real(stored: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Give the numbers that bits stand for: bfloat16 and float8 as float32, exactly; others are what they are."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F8_E5M2":  # the upper half of a float16
        return (stored.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float32)
    if dtype == "F8_E4M3":
        return _E4M3.take(stored)
    return stored


def _e4m3() -> npt.NDArray[np.float32]:
    """Give the 256 numbers of float8 E4M3FN: an exponent of 4 bits with bias 7, no infinity, one NaN of each sign.

    P. Micikevicius et al., "FP8 formats for deep learning" (2022), table 1.
    """
    bits = np.arange(256)
    exponent, mantissa = bits >> 3 & 15, bits & 7
    magnitude = np.where(exponent, (8 + mantissa) * 2.0 ** (exponent - 10), mantissa * 2.0**-9)
    magnitude[bits & 127 == 127] = np.nan
    return np.where(bits >> 7, -magnitude, magnitude).astype(np.float32)


_E4M3 = _e4m3()


def stored_dtype(dtype: str) -> np.dtype[Any]:
    """Give the dtype of the arrays that hold a tensor's bits."""
    return np.dtype(STORED.get(dtype, f"<u{max(8, BITS[dtype]) // 8}"))


def _read_header(file: BinaryIO) -> tuple[dict[str, Entry], dict[str, str], int]:
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    require(len(first) == 8, f"the file has {len(first)} bytes: not safetensors")
    length = int.from_bytes(first, "little")
    if length > tensor_header.LONGEST:
        most = tensor_header.LONGEST
        raise FormatError(f"the header has {length} bytes; at most {most} are accepted: is this safetensors?")
    require(length <= size - 8, f"the header has {length} bytes, but the file has {size}")
    text = file.read(length)
    require(len(text) == length, f"the file ends within the header of {length} bytes")
    return *tensor_header.parse(text, size - 8 - length), 8 + length
