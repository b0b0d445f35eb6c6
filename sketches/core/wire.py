"""Sketches as bytes: what surrounds the fields that `core.layouts` tells of, and all checks that need no class.

All numbers are little-endian and of fixed width. `decode` trusts nothing: it checks lengths before it looks at what
they measure, values against the table, and the checksum, and gives views of the input instead of copies.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from sketches._ext.wire import is_sealed
from sketches.core.layouts import LAYOUTS, NEWEST, NUMBERED

__all__ = ["Envelope", "FormatError", "decode", "encode", "markdown", "require"]

MAGIC = b"SKCH"
VERSION = 1
HASHES = {0: "none", 1: "MurmurHash3 (fingerprint = seed)", 2: "SipHash-2-4 (fingerprint of the key)"}

_HEADER = struct.Struct("<4sBBBBQqqQQ")
_CHECKSUM_SIZE = 4
_SMALLEST = _HEADER.size + _CHECKSUM_SIZE


class FormatError(ValueError):
    """The bytes are no sketch: corrupt, truncated, of another class, or of a newer version."""


def require(condition: object, message: str) -> None:
    """Raise ``FormatError`` unless the condition holds."""
    if not condition:
        raise FormatError(message)


class Envelope(NamedTuple):
    """What every sketch writes around its fields."""

    hash: int
    fingerprint: int
    total: int
    weight: int
    nulls: int
    layout: int | None = None  # the number of the layout; None: the class's newest


def encode(name: str, envelope: Envelope, values: Mapping[str, Any]) -> bytes:
    """Write a sketch of class `name`."""
    hash_id, fingerprint, total, weight, nulls, number = envelope
    layout = NEWEST[name] if number is None else NUMBERED[number]
    header = _HEADER.pack(MAGIC, VERSION, layout.id, hash_id, 0, fingerprint, total, weight, nulls, 0)
    return layout.body.write(header, values)


def decode(data: Any) -> tuple[str, Envelope, dict[str, Any]]:
    """Read bytes: the class's name, the envelope, and the fields (arrays are read-only views of the input)."""
    try:
        view = memoryview(data).cast("B")
    except TypeError as error:
        raise TypeError(f"data is of type {type(data).__name__}; contiguous bytes are accepted") from error
    given = len(view)
    magic = bytes(view[:4])
    if magic != MAGIC[:given]:
        raise FormatError(f"the bytes start with {magic!r}, not with {MAGIC!r}: not a sketch")
    if given < _SMALLEST:
        raise FormatError(f"truncated: {given} bytes, but a sketch has at least {_SMALLEST}")
    _, version, class_id, hash_id, zero, fingerprint, total, weight, nulls, size = _HEADER.unpack_from(view)
    if version > VERSION:
        raise FormatError(f"format version {version} is newer than {VERSION}; update the package to read it")
    if version != VERSION:
        raise FormatError(f"unknown format version {version}")
    if given < _SMALLEST + size:
        raise FormatError(f"truncated: {given} bytes, but the header announces {_SMALLEST + size}")
    if given > _SMALLEST + size:
        raise FormatError(f"{given - _SMALLEST - size} bytes follow the sketch's end")
    if not is_sealed(view):
        raise FormatError("corrupt: the checksum does not match")
    if class_id not in NUMBERED:
        raise FormatError(f"unknown class number {class_id}; a newer version of the package may know it")
    if hash_id not in HASHES:
        raise FormatError(f"unknown hash number {hash_id}; a newer version of the package may know it")
    if zero:
        raise FormatError(f"the reserved byte is {zero}, not 0")
    if fingerprint and hash_id == 0:
        raise FormatError(f"the fingerprint is {fingerprint}, but there is no hash")
    if fingerprint >= 2**32 and hash_id == 1:
        raise FormatError(f"the seed is {fingerprint}, not below 2**32")
    if weight < abs(total):
        raise FormatError(f"the total {total} exceeds the weight {weight}")
    layout = NUMBERED[class_id]
    try:
        values = layout.body.read(view[_HEADER.size : -_CHECKSUM_SIZE])
    except ValueError as error:
        raise FormatError(str(error)) from None
    return layout.name, Envelope(hash_id, fingerprint, total, weight, nulls, class_id), values


def markdown() -> str:
    """Write docs/format.md."""
    lines = [
        "# The bytes of a sketch",
        "",
        "Made by `make docs` from the table that the code reads and writes by.",
        "All numbers are little-endian; `x[]` is a `u64` count followed by that many values. Readers refuse bytes that",
        "break any range given here, and every class checks in addition what its registers must satisfy.",
        "",
        "| offset | type | field | meaning |",
        "|---:|---|---|---|",
        f"| 0 | 4 bytes | magic | `{MAGIC.decode()}` |",
        f"| 4 | u8 | version | {VERSION} |",
        "| 5 | u8 | class | see below |",
        f"| 6 | u8 | hash | {'; '.join(f'{number}: {text}' for number, text in HASHES.items())} |",
        "| 7 | u8 | reserved | 0 |",
        "| 8 | u64 | fingerprint | of the seed or key: sketches merge only where hash and fingerprint agree |",
        "| 16 | i64 | total | sum of counts |",
        "| 24 | i64 | weight | sum of the counts' absolute values |",
        "| 32 | u64 | nulls | nulls skipped |",
        "| 40 | u64 | size | bytes of the body |",
        "| 48 | | body | the class's fields, below |",
        "| 48 + size | u32 | checksum | CRC-32 of everything before it |",
    ]
    for layout in sorted(LAYOUTS, key=lambda layout: layout.id):
        lines += ["", f"## {layout.id}: {layout.name}", ""]
        if layout is not NEWEST[layout.name]:
            lines += [f"See also {NEWEST[layout.name].id}, of the same class.", ""]
        lines += ["| field | type | range | meaning |", "|---|---|---|---|"]
        for field in layout.fields:
            low, high = ("" if bound is None else str(bound) for bound in (field.low, field.high))
            bounds = f"{low} … {high}" if low or high else ""
            lines.append(f"| {field.name} | {field.type} | {bounds} | {field.meaning} |")
    return "\n".join(lines) + "\n"
