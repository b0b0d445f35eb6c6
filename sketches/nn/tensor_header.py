"""The header of a safetensors file: which tensors it holds, of which dtype and shape, and where their bytes are.

A file is eight bytes with the length of the header (little-endian), the header as a JSON object, and the bytes of the
tensors, in row-major order and one after the other: https://github.com/huggingface/safetensors, "Format". Nothing in a
header is trusted; `parse` accepts no file that the safetensors library refuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

from sketches.core.wire import FormatError, require

__all__ = ["AXES", "BITS", "LONGEST", "METADATA", "Entry", "bytes_of", "check_text", "header", "parse"]

LONGEST = 100_000_000  # bytes of a header, as the library allows
METADATA = "__metadata__"
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64,
}  # fmt: skip
_LARGEST = 2**63 - 1  # bytes of an array, its empty axes aside
AXES = 64  # of an array, at most


@dataclass(frozen=True)
class Entry:
    """One tensor: its dtype as the format calls it, its shape, and its bytes, from `start` to before `stop`."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def bytes_of(name: str, dtype: str, shape: tuple[int, ...]) -> int:
    """Give the size of a tensor; raise ``FormatError`` if no array has this dtype and shape."""
    if dtype not in BITS:  # not `require`, whose messages take longer than all else: headers may list many tensors
        raise FormatError(f"tensor {name!r}: dtype is {dtype!r}; known are {', '.join(BITS)}")
    if len(shape) > AXES:
        raise FormatError(f"tensor {name!r}: {len(shape)} axes; at most {AXES} are accepted")
    if shape and not 0 <= min(shape) <= max(shape) < 2**63:
        raise FormatError(f"tensor {name!r}: shape is {_cut(shape)}")
    bits = BITS[dtype]
    for length in shape:
        bits *= length or 1
    if bits // 8 > _LARGEST:
        raise FormatError(f"tensor {name!r}: shape {_cut(shape)} exceeds {_LARGEST} bytes")
    if 0 in shape:
        return 0
    if bits % 8:
        raise FormatError(f"tensor {name!r}: shape {_cut(shape)} of {dtype} ends within a byte")
    return bits // 8


def parse(text: bytes, size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """Read a header of a file with `size` bytes of tensors: the tensors in the order of their bytes, and the metadata.

    Raises
    ------
    FormatError
        If the header is no JSON object of tensors, if a key occurs twice, or if the tensors' bytes are not exactly
        those that their shapes need, one after the other up to the end of the file.
    """
    try:
        found = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_int=_natural, parse_constant=_no_number
        )
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the header is no JSON: {error}") from error
    require(isinstance(found, dict), "the header is no JSON object")
    metadata = found.pop(METADATA, None)
    metadata = {} if metadata is None else metadata
    require(isinstance(metadata, dict), f"{METADATA} is no JSON object")
    require(all(isinstance(value, str) for value in metadata.values()), f"{METADATA} holds a value that is no text")
    for key in (*found, *metadata, *metadata.values()):
        require(_is_unicode(key), f"{key!r} is no Unicode text")
    entries = {name: _entry(name, value) for name, value in found.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)))
    end = 0
    for name, entry in entries.items():
        needed = bytes_of(name, entry.dtype, entry.shape)
        require(
            entry.stop - entry.start == needed,
            f"tensor {name!r}: bytes {entry.start} to {entry.stop}, but {needed} are needed",
        )
        require(entry.start == end, f"tensor {name!r} begins at byte {entry.start}, but the one before ends at {end}")
        require(entry.stop <= size, f"tensor {name!r} ends at byte {entry.stop}, but the file has {size}")
        end = entry.stop
    require(end == size, f"{size - end} bytes belong to no tensor")
    return entries, metadata


def header(layout: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """Write the header, with its length before it, of tensors in this order; the tensors begin at a multiple of 8.

    Raises
    ------
    TypeError, ValueError
        If a name, dtype or shape is none, or the header grows too long.
    """
    found: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    for key in (*layout, *metadata, *metadata.values()):
        check_text("a name or metadata", key)
    if METADATA in layout:
        raise ValueError(f"a tensor cannot have the name {METADATA!r}")
    end = 0
    for name, (dtype, shape) in layout.items():
        start, end = end, end + bytes_of(name, dtype, shape)
        found[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST:
        raise ValueError(f"the header of {len(layout)} tensors has {len(text)} bytes; at most {LONGEST} are accepted")
    return len(text).to_bytes(8, "little") + text


def check_text(what: str, text: object) -> None:
    """Raise ``TypeError`` or ``ValueError``, in which it is called so, unless it can be written as UTF-8."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is {text!r}; text is accepted")
    if not _is_unicode(text):
        raise ValueError(f"{what} is {text!r}; Unicode text is accepted")


def _entry(name: str, value: Any) -> Entry:
    require(isinstance(value, dict), f"tensor {name!r} is described by {type(value).__name__}, not by an object")
    for key in ("dtype", "shape", "data_offsets"):
        require(key in value, f"tensor {name!r} has no {key}")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    require(isinstance(dtype, str), f"tensor {name!r}: dtype is no text")
    for key, numbers in (("shape", shape), ("data_offsets", offsets)):
        integers = isinstance(numbers, list) and all(type(number) is int for number in numbers)
        require(integers, f"tensor {name!r}: {key} is no list of integers")
    require(len(offsets) == 2, f"tensor {name!r}: {len(offsets)} data_offsets, not 2")
    return Entry(dtype, tuple(shape), *offsets)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise FormatError(f"{twice!r} occurs twice in the header")
    return found


def _natural(digits: str) -> int:
    if digits.startswith("-") or len(digits) > 20:
        raise FormatError(f"the header holds the number {digits[:24]}; integers of 0 to 2**63 - 1 are accepted")
    return int(digits)


def _no_number(text: str) -> Never:
    raise FormatError(f"the header holds {text}")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _cut(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= 8 else f"({', '.join(map(str, shape[:8]))}, …)"
