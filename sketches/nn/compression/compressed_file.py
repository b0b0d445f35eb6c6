"""A compressed network in a file, `.skn`: written and read tensor by tensor, so that a model need not fit in memory."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy.typing as npt

from sketches.core import bounds
from sketches.core.whole_file import whole_file
from sketches.core.wire import FormatError, require
from sketches.nn.compression import coding
from sketches.nn.compression.coding import Weights
from sketches.nn.compression.directory import (
    MAGIC,
    TensorEntry,
    check_metadata,
    read_directory,
    written_directory,
)
from sketches.nn.compression.units import KnownUnits
from sketches.nn.positioned_file import PositionedFile
from sketches.nn.tensor_file import check_numbers, real
from sketches.nn.tensor_header import check_text

__all__ = ["CompressedFile", "CompressedWriter"]


class CompressedFile:
    """A compressed file, open to read its tensors in any order, also by several threads and forked processes.

    Parameters
    ----------
    path
        The file.
    largest
        How many bytes a tensor may have when it is read: a few coded bytes may stand for any number of weights. Reading
        takes up to three times as much memory, and 48 bytes for each row and column.

    Attributes
    ----------
    entries
        What the file says of each tensor, by name, in the order of the file: dtype, shape, coding and length.
    metadata
        The file's free texts by name.
    nbytes
        The size of the file, in bytes.

    Raises
    ------
    OSError
        If the file cannot be read.
    FormatError
        If it is no compressed file, is damaged, or was written by a newer release.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp(), "model.skn")
    >>> with CompressedWriter(path) as writer:
    ...     _ = writer.write("weight", "F32", np.arange(6, dtype=np.float32).reshape(2, 3))
    >>> with CompressedFile(path) as file:
    ...     list(file.entries), file["weight"].tolist()
    (['weight'], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    """

    def __init__(self, path: str | os.PathLike[str], *, largest: int = 2**36) -> None:
        self._largest = bounds.check_integer("largest", largest, 0, 2**63 - 1)
        self._file = open(path, "rb")  # noqa: SIM115  # closed by close()
        self._codes = PositionedFile(self._file)
        try:
            self.nbytes = os.fstat(self._file.fileno()).st_size
            self.entries, self.metadata = read_directory(self._file, self.nbytes)
        except BaseException:
            self._file.close()
            raise

    def stored(self, name: str) -> npt.NDArray[Any]:
        """Read a tensor as safetensors stores it: bfloat16 as uint16 and float8 as uint8, which hold the bits.

        Raises
        ------
        KeyError
            If the file has no such tensor.
        FormatError
            If its bytes are damaged, or are no tensor of this dtype and shape.
        ValueError
            If it would have more than `largest` bytes.
        """
        entry = self._entry(name)
        return coding.as_stored(self._decoded(entry), entry.dtype)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Read a tensor as numbers, bfloat16 and float8 as float32.

        Errors are those of `stored`, and a ``TypeError`` if NumPy has no numbers of its dtype.
        """
        dtype = self._entry(name).dtype
        check_numbers(name, dtype)
        return real(self.stored(name), dtype)

    def weights(self, name: str) -> Weights:
        """Read a tensor as it was given: `SharedWeights`, `BloomierWeights`, or an array as `stored` gives it.

        Errors are those of `stored`.
        """
        return self._decoded(self._entry(name))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entry(self, name: str) -> TensorEntry:
        if name not in self.entries:
            raise KeyError(f"the file has no tensor {name!r}")
        return self.entries[name]

    def _decoded(self, entry: TensorEntry) -> Weights:
        if entry.nbytes > self._largest:
            raise ValueError(f"tensor {entry.name!r} would have {entry.nbytes} bytes; largest is {self._largest}")
        data = bytearray(entry.length)
        found = self._codes.read_into(data, entry.start)
        require(found == entry.length, f"tensor {entry.name!r}: the file ends within its bytes")
        intact = entry.checksum is None or zlib.crc32(data) == entry.checksum
        require(intact, f"tensor {entry.name!r}: its checksum is wrong, it is damaged")
        try:
            return coding.decoded(data, entry)
        except FormatError as error:
            raise FormatError(f"tensor {entry.name!r}: {error}") from error


class CompressedWriter:
    """A compressed file, written tensor by tensor; it appears whole when the block ends, or not at all.

    Parameters
    ----------
    path
        The file; one that exists is replaced at the end.
    metadata
        Free texts by name.

    Attributes
    ----------
    entries
        What was written so far, by name.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If metadata is no text, or has more than 2**24 bytes; so much may all names and shapes take with it, too.
    """

    def __init__(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
        self._metadata = dict(metadata or {})
        check_metadata(self._metadata)
        self._target: AbstractContextManager[BinaryIO] = whole_file(path)
        self._file: BinaryIO | None = None
        self.entries: dict[str, TensorEntry] = {}
        self._end, self._checksum = len(MAGIC), 0
        self._known = KnownUnits()

    def __enter__(self) -> Self:
        self._file = self._target.__enter__()
        self._file.write(MAGIC)
        return self

    def write(
        self,
        name: str,
        dtype: str,
        weights: Weights,
        *,
        shape: tuple[int, ...] | None = None,
        coder: str = "arithmetic",
    ) -> int:
        """Write a tensor, and give how many bytes its weights took.

        Parameters
        ----------
        name
            Of the tensor.
        dtype
            As safetensors calls it, such as ``"F32"``: what it is read as.
        weights
            `SharedWeights` (coded by `coder`), `BloomierWeights`, or an array as safetensors stores it, which is kept
            exactly.
        shape
            Of a tensor with less than eight bits a number, whose array is flat; of others it is the array's.
        coder
            "huffman" or "arithmetic".

        Raises
        ------
        TypeError, ValueError
            If the name was written, or the dtype or shape does not fit the weights.
        """
        if self._file is None:
            raise ValueError("the file is not open; write within its with-block")
        check_text("name", name)
        if name in self.entries:
            raise ValueError(f"tensor {name!r} was written before")
        try:
            shape = coding.checked_shape(weights, dtype, shape)
            kind, data, rows, columns = coding.coded(weights, dtype, coder, self._known)
        except (TypeError, ValueError) as error:
            raise type(error)(f"tensor {name!r}: {error}") from error
        self.entries[name] = TensorEntry(
            name, dtype, shape, kind, self._end, len(data), zlib.crc32(data), rows, columns
        )
        self._file.write(data)
        self._checksum = zlib.crc32(data, self._checksum)
        self._end += len(data)
        return len(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if kind is None and file is not None:
            try:
                file.write(written_directory(list(self.entries.values()), self._metadata, self._checksum))
            except BaseException as failure:
                self._target.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._target.__exit__(kind, error, trace)
