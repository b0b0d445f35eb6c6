"""The directory of a compressed file: which tensors it holds, how each is coded, and where its bytes are.

A file of version 1 is

    magic         4 bytes, "SKN" and the version
    tensors       the coded bytes of each, one after the other
    directory     deflated where that is shorter
    trailer       9 bytes: flags, the directory's length and a CRC-32, little-endian

The flags are 1 if the directory is deflated, with `WORDS` as its preset dictionary, plus 2 if the tensors have up to
2**16 bytes: then the CRC-32 in the trailer is that of tensors, magic, flags and directory, and tensors have none of
their own. Otherwise it is that of magic, flags and directory. This is, before it is deflated,

    metadata      how many texts; of each its name and itself
    tensors       how many; all names; all dtypes; all codings; how many axes each has; all lengths of axes; the bytes
                  of each; their CRC-32
    units         how many; of each its size, the length of its code, and this (units.py)
    rows, columns of each tensor with arithmetic coding: which units are its rows, and which its columns, from 1 on in
                  the order above; 0: not known

where numbers are base-128 varints, least significant first, texts are UTF-8 with their length before them, dtypes and
codings are a byte each, and CRC-32 are four bytes. Since it stands at the end, a file is written in one pass, and since
each tensor of a larger file has a sum of its own, one can be read without the others. Nothing in it is trusted.

A tensor's coding is "raw", its bytes, little-endian; "deflate", the same deflated; "shuffle", deflated, the first byte
of each number before the second of each, and so on; "floats" (floats.py); "huffman" or "arithmetic" (the modules of
these names); or "bloomier" (what `BloomierWeights.to_bytes` gives).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np

from sketches.core.wire import FormatError, require
from sketches.nn.compression.fields import integer_bytes
from sketches.nn.compression.units import MOST, Units
from sketches.nn.tensor_header import AXES, bytes_of, check_text

__all__ = ["CODINGS", "MAGIC", "TensorEntry", "check_metadata", "read_directory", "written_directory"]

MAGIC = b"SKN\x01"
CODINGS = ("raw", "deflate", "floats", "huffman", "arithmetic", "bloomier", "shuffle")  # a byte each: only ever add
DTYPES = (
    *("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"),
    *("F8_E8M0", "F6_E2M3", "F6_E3M2", "F4", "C64", "F8_E4M3FNUZ", "F8_E5M2FNUZ"),
)  # a byte each, too
TRAILER = 9
LONGEST = 2**24  # bytes of a directory: about 200,000 tensors
SMALL = 2**16  # bytes of tensors up to which one checksum is enough
DEFLATED, ONE_SUM = 1, 2
WORDS = (  # never to change; what is frequent stands last
    b"num_batches_trackedrunning_varrunning_meandownsample.features.layer.blocks.classifier.embeddings.encoder.layers."
    b"attention.self.query.key.value.output.dense.layer_norm.LayerNorm.fc3.biasfc2.biasfc1.biasconv3.biasconv2.bias"
    b"conv1.bias.bn1.weightfc3.weightfc2.weightfc1.weightconv3.weightconv2.weightconv1.weight"
)
LONGEST_NUMBER = 9  # bytes of 2**63 - 1
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
    checksum: int | None  # None: the file has a single one
    rows: Units | None = None  # known to be live or not, of arithmetic coding
    columns: Units | None = None

    @property
    def nbytes(self) -> int:
        """The size of the tensor when it is read, in bytes."""
        return bytes_of(self.name, self.dtype, self.shape)


def written_directory(entries: Sequence[TensorEntry], metadata: Mapping[str, str], checksum: int) -> bytes:
    """Write the directory of tensors, in the order of their bytes, whose CRC-32 is given, and the trailer."""
    one_sum = sum(entry.length for entry in entries) <= SMALL
    parts = [integer_bytes(len(metadata))]
    parts += [_text(text) for pair in metadata.items() for text in pair]
    parts += [integer_bytes(len(entries)), *(_text(entry.name) for entry in entries)]
    parts.append(bytes(DTYPES.index(entry.dtype) for entry in entries))
    parts.append(bytes(CODINGS.index(entry.coding) for entry in entries))
    parts += [integer_bytes(len(entry.shape)) for entry in entries]
    parts += [integer_bytes(length) for entry in entries for length in entry.shape]
    parts += [integer_bytes(entry.length) for entry in entries]
    if not one_sum:
        parts += [(entry.checksum or 0).to_bytes(4, "little") for entry in entries]
    used = [(entry.rows, entry.columns) for entry in entries if entry.coding == "arithmetic"]
    places: dict[Units | None, int] = {None: 0}
    for units in (units for pair in used for units in pair):
        places.setdefault(units, len(places))
    parts.append(integer_bytes(len(places) - 1))
    parts += [
        integer_bytes(each.size) + integer_bytes(len(each.code)) + each.code for each in places if each is not None
    ]
    parts += [integer_bytes(places[units]) for pair in used for units in pair]
    plain = b"".join(parts)
    if len(plain) > LONGEST:
        raise ValueError(f"the directory of {len(entries)} tensors has {len(plain)} bytes; {LONGEST} are accepted")
    deflater = zlib.compressobj(9, wbits=-15, zdict=WORDS)
    deflated = deflater.compress(plain) + deflater.flush()
    flags, directory = (DEFLATED, deflated) if len(deflated) < len(plain) else (0, plain)
    flags |= ONE_SUM * one_sum
    return directory + _trailer(flags, directory, checksum if one_sum else 0)


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
    flags, checksum = trailer[0], 0
    require(flags <= DEFLATED + ONE_SUM, f"the flags are {flags}; 0 to {DEFLATED + ONE_SUM} are known")
    if flags & ONE_SUM:
        require(end - len(MAGIC) <= SMALL, f"{end - len(MAGIC)} bytes of tensors have one checksum; {SMALL} may")
        file.seek(len(MAGIC))
        checksum = zlib.crc32(file.read(end - len(MAGIC)))
    file.seek(end)
    directory = file.read(length)
    require(trailer == _trailer(flags, directory, checksum), "the checksum is wrong: the file is damaged")
    return _Parser(_inflated(directory) if flags & DEFLATED else directory).parse(end, not flags & ONE_SUM)


def _trailer(flags: int, directory: bytes, checksum: int) -> bytes:
    checksum = zlib.crc32(directory, zlib.crc32(MAGIC + bytes([flags]), checksum))
    return bytes([flags]) + len(directory).to_bytes(4, "little") + checksum.to_bytes(4, "little")


def _inflated(directory: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=-15, zdict=WORDS)
    try:
        plain = inflater.decompress(directory, min(LONGEST, _RATIO * len(directory) + _RATIO))
    except zlib.error as error:
        raise FormatError(f"the directory cannot be inflated: {error}") from error
    require(inflater.eof and not inflater.unused_data, "the directory does not end where it should")
    return plain


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless it can be written."""
    size = 0
    for text in (text for pair in metadata.items() for text in pair):
        check_text("a name or value of metadata", text)
        size += len(text.encode())
    if size > LONGEST:
        raise ValueError(f"metadata has {size} bytes; {LONGEST} are accepted")


def _text(text: str) -> bytes:
    encoded = text.encode()
    return integer_bytes(len(encoded)) + encoded


class _Parser:
    """Reads a directory from its first byte to its last."""

    def __init__(self, plain: bytes) -> None:
        self._plain, self._place = plain, 0

    def parse(self, end: int, own_sums: bool) -> tuple[dict[str, TensorEntry], dict[str, str]]:
        """Read everything; the tensors' bytes must fill the file up to `end`."""
        metadata: dict[str, str] = {}
        for _ in range(self._number()):
            key = self._text()
            require(key not in metadata, f"the metadata {key!r} occurs twice")
            metadata[key] = self._text()
        names: dict[str, None] = {}
        for _ in range(self._number()):
            name = self._text()
            if name in names:
                raise FormatError(f"tensor {name!r} occurs twice")
            names[name] = None
        dtypes = self._each("dtype", DTYPES, names)
        codings = self._each("coding", CODINGS, names)
        axes = self._numbers(len(names))
        for name, number in zip(names, axes, strict=True):
            if number > AXES:
                raise FormatError(f"tensor {name!r}: {number} axes; at most {AXES} are accepted")
        of_axes = iter(self._numbers(sum(axes)))
        shapes = [tuple(islice(of_axes, number)) for number in axes]
        lengths = self._numbers(len(names))
        sums = np.frombuffer(self._bytes(4 * len(names)), "<u4").tolist() if own_sums else [None] * len(names)
        known = self._number()
        places = 2 * codings.count("arithmetic")
        require(known <= places, f"{known} layers' units, but {places} places for them")
        units = [Units(self._number(), self._bytes(self._number())) for _ in range(known)]
        require(all(each.size <= MOST for each in units), f"a layer of more than {MOST} units")
        used = iter(self._numbers(places))
        entries: dict[str, TensorEntry] = {}
        start = len(MAGIC)
        for name, dtype, coding, shape, length, checksum in zip(
            names, dtypes, codings, shapes, lengths, sums, strict=True
        ):
            bytes_of(name, dtype, shape)
            rows, columns = (_units(name, units, used) if coding == "arithmetic" else None for _ in range(2))
            entries[name] = TensorEntry(name, dtype, shape, coding, start, length, checksum, rows, columns)
            start += length
            if start > end:
                raise FormatError(f"tensor {name!r} ends at byte {start}, but the tensors at {end}")
        require(start == end, f"{end - start} bytes belong to no tensor")
        require(self._place == len(self._plain), "the directory is longer than what it lists")
        return entries, metadata

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

    def _numbers(self, count: int) -> list[int]:
        """Read so many numbers at once: a directory may have millions."""
        window = np.frombuffer(self._plain, np.uint8)[self._place : self._place + LONGEST_NUMBER * count]
        ends = np.flatnonzero(window < 128)[:count]
        lengths = np.diff(ends, prepend=-1)
        require((lengths <= LONGEST_NUMBER).all(), "a number of the directory exceeds 2**63 - 1")
        require(len(ends) == count, "the directory ends within a number, or one exceeds 2**63 - 1")
        require(((window[ends] > 0) | (lengths == 1)).all(), "a number of the directory has a needless byte")
        numbers = np.zeros(count, np.int64)
        for place in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > place)
            byte = window[ends[longer] - lengths[longer] + 1 + place].astype(np.int64)
            numbers[longer] |= (byte & 127) << 7 * place
        self._place += int(lengths.sum())
        found: list[int] = numbers.tolist()
        return found

    def _each(self, what: str, known: Sequence[str], names: Mapping[str, None]) -> list[str]:
        """Read one of the known for each tensor."""
        found = self._bytes(len(names))
        for name, byte in zip(names, found, strict=True):
            if byte >= len(known):
                raise FormatError(f"tensor {name!r}: {what} {byte} is unknown: the file may be of a newer release")
        return [known[byte] for byte in found]

    def _text(self) -> str:
        encoded = self._bytes(self._number())
        try:
            return encoded.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{encoded[:40]!r} is no UTF-8 text") from error


def _units(name: str, units: Sequence[Units], used: Iterator[int]) -> Units | None:
    number = next(used)
    require(number <= len(units), f"tensor {name!r}: its units are number {number}, but {len(units)} are listed")
    return units[number - 1] if number else None
