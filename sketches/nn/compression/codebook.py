"""What stands before coded indices: how wide they are, and the codebook in as few bytes as hold it exactly.

A codebook is written as multiples of a step where it is those of one, entry by entry as float16 where these are exact,
or coded as `floats` codes any array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sketches.core.wire import FormatError
from sketches.nn.compression.fields import Fields, integer_bytes
from sketches.nn.compression.floats import decode_floats, encode_floats
from sketches.nn.compression.shared import SharedWeights

__all__ = ["Head", "check_shared", "read_head", "write_head"]

Floats = npt.NDArray[np.float32]

WIDE, SPARSE, OPTION = 1, 2, 4  # bits of the first byte; the kind of the codebook is above them
KIND_SHIFT = 3
CODED, HALVES, GRID, FINE_GRID = range(4)


class Head(NamedTuple):
    """What the first bytes say: the dtype of indices, the codebook, whether entry 0 stands for pruned weights."""

    dtype: type[np.uint8 | np.uint16]
    codebook: Floats
    sparse: bool
    option: bool  # the coder's own


def check_shared(shared: SharedWeights) -> None:
    """Raise unless all indices are entries of a finite codebook.

    Raises
    ------
    TypeError, ValueError
        If a dtype is another one, an index or the codebook is out of range, or `sparse` and entry 0 is not 0.
    """
    indices, codebook = shared.indices, shared.codebook
    if indices.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"indices are {indices.dtype}; uint8 and uint16 are accepted")
    if codebook.dtype != np.float32 or codebook.ndim != 1:
        raise TypeError(f"the codebook is {codebook.dtype} of shape {codebook.shape}; float32 (entries,) is accepted")
    most = np.iinfo(indices.dtype).max + 1
    if len(codebook) > most:
        raise ValueError(f"the codebook has {len(codebook)} entries; {indices.dtype} indices reach {most}")
    if indices.size and int(indices.max()) >= len(codebook):
        raise ValueError(f"index {int(indices.max())} is beyond the codebook's {len(codebook)} entries")
    if not np.isfinite(codebook).all():
        raise ValueError(f"the codebook holds {codebook[~np.isfinite(codebook)][0]}; finite entries are accepted")
    if shared.sparse and (len(codebook) == 0 or codebook[:1].tobytes() != bytes(4)):
        raise ValueError(f"entry 0 is {codebook[:1]}; where weights are sparse it is 0.0")


def write_head(shared: SharedWeights, option: bool = False) -> bytes:
    """Write what `read_head` gives."""
    entries = shared.codebook[1:] if shared.sparse else shared.codebook
    ways = [(CODED, _coded(entries))]
    halves = entries.astype(np.float16) if np.abs(entries).max(initial=0) < 65504 else np.zeros(0, np.float16)
    if halves.astype(np.float32).tobytes() == entries.tobytes():
        ways.append((HALVES, halves.astype("<f2").tobytes()))
    grid = _grid(entries, shared.sparse)
    if grid is not None:
        ways.append(grid)
    kind, body = min(ways, key=lambda way: len(way[1]))
    first = WIDE * (shared.indices.dtype == np.uint16) | SPARSE * shared.sparse | OPTION * option | kind << KIND_SHIFT
    return bytes((first,)) + integer_bytes(len(entries)) + body


def read_head(fields: Fields) -> Head:
    """Read the first bytes of a code.

    Raises
    ------
    FormatError
        If they are none.
    """
    first = fields.byte()
    kind = first >> KIND_SHIFT
    if kind > FINE_GRID:
        raise FormatError(f"the code begins with {first}: of a newer version, or none")
    sparse, dtype = bool(first & SPARSE), np.uint16 if first & WIDE else np.uint8
    n = fields.integer(np.iinfo(dtype).max + 1 - sparse)
    if kind == CODED:
        entries = decode_floats(fields.take(fields.integer(2**20)), (n,), np.dtype(np.float32)) if n else _NONE
    elif kind == HALVES:
        entries = np.frombuffer(fields.take(2 * n), "<f2").astype(np.float32)
    else:
        zeros = bytes(2) if kind == GRID else b""
        step = np.frombuffer(zeros + bytes(fields.take(4 - len(zeros))), "<f4")
        least = fields.integer(2**18)
        with np.errstate(over="ignore", invalid="ignore"):
            entries = _multiples(-(least >> 1) if least & 1 else least >> 1, n, sparse) * step
    codebook = np.concatenate((_ZERO, entries)) if sparse else entries
    if not np.isfinite(codebook).all():
        raise FormatError("the codebook in the code is not finite")
    return Head(dtype, codebook.astype(np.float32, copy=False), sparse, bool(first & OPTION))


_NONE, _ZERO = np.zeros(0, np.float32), np.zeros(1, np.float32)


def _coded(entries: Floats) -> bytes:
    code = encode_floats(entries)
    return integer_bytes(len(code)) + code if len(entries) else b""


def _multiples(least: int, n: int, sparse: bool) -> Floats:
    """Give n integers from `least` on, without 0 where that is entry 0."""
    found = np.arange(least, least + n + 1)
    return (found[found != 0][:n] if sparse else found[:n]).astype(np.float32)


def _grid(entries: Floats, sparse: bool) -> tuple[int, bytes] | None:
    """Write entries as multiples of a step, which is the smallest of them, or the least difference between them."""
    if not len(entries):
        return None
    sizes = np.abs(entries[entries != 0])
    with np.errstate(over="ignore"):
        steps = sizes.min(initial=1), np.abs(np.diff(entries)).min(initial=1)
    for step in steps:
        least = round(float(entries[0]) / float(step)) if step > 0 else 2**20
        if abs(least) > 2**16 or (_multiples(least, len(entries), sparse) * step).tobytes() != entries.tobytes():
            continue
        bits = np.float32(step).astype("<f4").tobytes()
        kind = FINE_GRID if bits[0] or bits[1] else GRID
        return kind, bits[2 * (kind == GRID) :] + integer_bytes(abs(least) << 1 | (least < 0))
    return None
