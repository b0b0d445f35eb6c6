"""The bytes of the input: a file or standard input, decompressed, and counted for the progress bar."""

from __future__ import annotations

import codecs
import io
import os
import stat
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa

from sketches.cli.errors import InputError, explained, printable

__all__ = ["Source", "strip_compression"]

# Compression is recognised by the first bytes, so that `sketches profile - < data.gz` works too.
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def strip_compression(path: str) -> tuple[str, str | None]:
    """Split ``data.csv.gz`` into ``data.csv`` and ``gzip``; None where no suffix says that it is compressed."""
    stem, suffix = os.path.splitext(path)
    compression = _COMPRESSIONS.get(suffix.lower())
    return (stem, compression) if compression else (path, None)


class Source:
    """The decompressed bytes of a file, or of standard input for the path ``-``.

    Attributes
    ----------
    name
        What messages call it.
    size
        Bytes of the file on disk; None for pipes.
    position
        How many of those have been read.
    offset
        How many bytes of text have been read, decompressed.
    compression
        ``gzip``, ``zstd`` or None.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "standard input" if path == "-" else printable(path)
        self.position = 0
        self.offset = 0
        self.size: int | None = None
        self._fresh = True
        if path == "-" and sys.stdin is None:
            raise InputError("standard input is closed")
        with explained(self.name):
            self._raw: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115
            try:
                self._open()
            except BaseException:
                self._close()
                raise

    def _open(self) -> None:
        if self.path != "-":
            status = os.fstat(self._raw.fileno())
            self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        buffered = io.BufferedReader(_Counted(self._raw, self), 1 << 18)
        start = bytes(buffered.peek(4)[:4])
        self.compression = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)
        self._stream: Any = buffered
        if self.compression:
            self._stream = pa.input_stream(pa.PythonFile(buffered, mode="r"), compression=self.compression)
        expected = strip_compression(self.path)[1]
        if not start:
            raise InputError(f"{self.name}: the file is empty")
        if expected and expected != self.compression:
            raise InputError(f"{self.name}: not a {expected} file, it begins with {start!r}")

    def _close(self) -> None:
        if self.path != "-":
            self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self, count: int) -> bytes:
        """Read at most `count` bytes; none at the end; `InputError` where there are none at all."""
        data: bytes = self._stream.read(count)
        if not data and self._fresh:  # a compressed file of nothing
            raise InputError(f"{self.name}: the file is empty")
        self._fresh = False
        return data

    def file(self) -> BinaryIO | None:
        """Give the file itself where it is seekable and not compressed."""
        return self._raw if self.size is not None and not self.compression else None

    def read_text(self, count: int) -> bytes:
        """Read at most `count` bytes of text, less a byte order mark; `InputError` at a NUL byte, which no text has."""
        data = self.read(count)
        if b"\0" in data:
            where = self.offset + data.index(b"\0") + 1
            raise InputError(
                f"{self.name}: byte {where:,} is NUL: a binary file, not text (see --format for what else is read)"
            )
        start, self.offset = self.offset, self.offset + len(data)
        return data if start else data.removeprefix(codecs.BOM_UTF8)

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield text in blocks of about `size` bytes that end after a newline or at the end of the input.

        Raises `InputError` where no newline comes for 64 times `size`.
        """
        carry: list[bytes] = []
        lines = 0
        while chunk := self.read_text(size):
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                carry.append(chunk)
                if len(carry) == 64:
                    raise InputError(f"{self.name}: line {lines + 1:,} is longer than {64 * size >> 20} MiB")
                continue
            block = b"".join([*carry, chunk[:cut]])
            lines += block.count(b"\n")
            yield block
            carry = [chunk[cut:]]
        if last := b"".join(carry):
            yield last


class _Counted(io.RawIOBase):
    """A raw file that tells its source how far it has been read."""

    def __init__(self, file: BinaryIO, source: Source) -> None:
        self._file = file
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read1(len(buffer))  # type: ignore[attr-defined]  # what a pipe has, without waiting for more
        count = len(data)
        buffer[:count] = data
        self._source.position += count
        return count
