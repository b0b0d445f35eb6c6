"""The directory of a compressed file: which tensors it holds, how each is coded, and where its bytes are.

A file of version 1 is

    magic         4 bytes, "SKN" and the version
    tensors       the coded bytes of each, one after the other
    directory     deflated where that is shorter
    trailer       9 bytes: flags (1: the directory is deflated), the directory's length and CRC-32, little-endian

and the directory, before it is deflated,

    metadata      how many texts; of each its name and itself
    tensors       how many; of each its name, dtype, number of axes, their lengths, coding, length, CRC-32

where numbers are base-128 varints, least significant first, texts are UTF-8 with their length before them, dtypes and
codings are a byte each, and CRC-32 are four bytes. Since it stands at the end, a file is written in one pass, and since
each tensor has a sum of its own, one can be read without the others. Nothing in it is trusted.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from sketches.core.wire import FormatError, require
from sketches.nn.tensor_header import bytes_of

__all__ = ["CODINGS", "MAGIC", "TensorEntry", "read_directory", "written_directory"]

MAGIC = b"SKN\x01"
CODINGS = ("raw", "deflate", "floats", "huffman", "arithmetic", "bloomier")  # a byte each: only ever add
DTYPES = (
    *("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"),
    *("F8_E8M0", "F6_E2M3", "F6_E3M2", "F4", "C64", "F8_E4M3FNUZ", "F8_E5M2FNUZ"),
)  # a byte each, too
TRAILER = 9
LONGEST = 100_000_000  # bytes of a directory
_RATIO = 1032  # deflate shortens no text more


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: its dtype as safetensors calls it, its shape, how it is coded, and its `length` bytes at `start`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    coding: str
    start: int
    length: int
    checksum: int

    @property
    def nbytes(self) -> int:
        """The size of the tensor when it is read, in bytes."""
        return bytes_of(self.name, self.dtype, self.shape)


def written_directory(entries: Sequence[TensorEntry], metadata: Mapping[str, str]) -> bytes:
    """Write the directory of tensors, in the order of their bytes, and the trailer."""
    parts = [_varint(len(metadata))]
    parts += [_text(text) for pair in metadata.items() for text in pair]
    parts.append(_varint(len(entries)))
    for entry in entries:
        parts += [_text(entry.name), bytes([DTYPES.index(entry.dtype)]), _varint(len(entry.shape))]
        parts += [_varint(length) for length in entry.shape]
        parts += [bytes([CODINGS.index(entry.coding)]), _varint(entry.length), entry.checksum.to_bytes(4, "little")]
    plain = b"".join(parts)
    if len(plain) > LONGEST:
        raise ValueError(f"the directory of {len(entries)} tensors has {len(plain)} bytes; {LONGEST} are accepted")
    deflater = zlib.compressobj(9, wbits=-15)
    deflated = deflater.compress(plain) + deflater.flush()
    flags, directory = (1, deflated) if len(deflated) < len(plain) else (0, plain)
    return directory + _trailer(flags, directory)


def read_directory(file: BinaryIO, size: int) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    """Read the directory of a file of so many bytes: the tensors in the order of their bytes, and the metadata.

    Raises
    ------
    FormatError
        If the file is no compressed file of this version, or is damaged.
    """
    file.seek(0)
    magic = file.read(len(MAGIC))
    require(magic[:3] == MAGIC[:3], "the file does not begin with SKN: it is no compressed file")
    require(magic[3:] == MAGIC[3:], f"the file has version {magic[3:].hex() or 'none'}; 01 is read by this release")
    require(size >= len(MAGIC) + TRAILER, f"the file has {size} bytes, fewer than an empty one")
    file.seek(size - TRAILER)
    trailer = file.read(TRAILER)
    length = int.from_bytes(trailer[1:5], "little")
    end = size - TRAILER - length
    require(end >= len(MAGIC), f"the directory has {length} bytes, but the file has {size}")
    require(length <= LONGEST, f"the directory has {length} bytes; at most {LONGEST} are accepted")
    file.seek(end)
    directory = file.read(length)
    require(trailer == _trailer(trailer[0], directory), "the checksum of the directory is wrong: the file is damaged")
    require(trailer[0] <= 1, f"the flags are {trailer[0]}; 0 and 1 are known")
    return _Parser(_inflated(directory) if trailer[0] else directory).parse(end)


def _trailer(flags: int, directory: bytes) -> bytes:
    checksum = zlib.crc32(directory, zlib.crc32(MAGIC + bytes([flags])))
    return bytes([flags]) + len(directory).to_bytes(4, "little") + checksum.to_bytes(4, "little")


def _inflated(directory: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=-15)
    try:
        plain = inflater.decompress(directory, min(LONGEST, _RATIO * len(directory) + _RATIO))
    except zlib.error as error:
        raise FormatError(f"the directory cannot be inflated: {error}") from error
    require(inflater.eof and not inflater.unused_data, "the directory does not end where it should")
    return plain


def _varint(number: int) -> bytes:
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + _varint(high) if high else bytes([low])


def _text(text: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is no Unicode text") from error
    return _varint(len(encoded)) + encoded


class _Parser:
    """Reads a directory from its first byte to its last."""

    def __init__(self, plain: bytes) -> None:
        self._plain, self._place = plain, 0

    def parse(self, end: int) -> tuple[dict[str, TensorEntry], dict[str, str]]:
        """Read everything; the tensors' bytes must fill the file up to `end`."""
        metadata: dict[str, str] = {}
        for _ in range(self._number()):
            key = self._text()
            require(key not in metadata, f"the metadata {key!r} occurs twice")
            metadata[key] = self._text()
        entries: dict[str, TensorEntry] = {}
        start = len(MAGIC)
        for _ in range(self._number()):
            entry = self._entry(start)
            require(entry.name not in entries, f"tensor {entry.name!r} occurs twice")
            start += entry.length
            require(start <= end, f"tensor {entry.name!r} ends at byte {start}, but the tensors at {end}")
            entries[entry.name] = entry
        require(start == end, f"{end - start} bytes belong to no tensor")
        require(self._place == len(self._plain), "the directory is longer than what it lists")
        return entries, metadata

    def _entry(self, start: int) -> TensorEntry:
        name = self._text()
        dtype, axes = self._one(DTYPES, f"tensor {name!r}: dtype"), self._number()
        require(axes <= 64, f"tensor {name!r}: {axes} axes; at most 64 are accepted")
        shape = tuple(self._number() for _ in range(axes))
        bytes_of(name, dtype, shape)
        coding = self._one(CODINGS, f"tensor {name!r}: coding")
        return TensorEntry(name, dtype, shape, coding, start, self._number(), int.from_bytes(self._bytes(4), "little"))

    def _bytes(self, length: int) -> bytes:
        part = self._plain[self._place : self._place + length]
        require(len(part) == length, "the directory ends within an entry")
        self._place += length
        return part

    def _number(self) -> int:
        number = shift = 0
        while True:
            byte = self._bytes(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                require(byte or shift == 7, "a number of the directory has a needless byte")
                return number
            require(shift < 63, "a number of the directory exceeds 2**63 - 1")

    def _one(self, known: Sequence[str], what: str) -> str:
        byte = self._bytes(1)[0]
        require(byte < len(known), f"{what} {byte} is unknown: the file may be of a newer release")
        return known[byte]

    def _text(self) -> str:
        encoded = self._bytes(self._number())
        try:
            return encoded.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{encoded[:40]!r} is no UTF-8 text") from error
