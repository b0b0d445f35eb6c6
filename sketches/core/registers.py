"""The kinds of FlajoletMartin's registers, and how bytes hold their state."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sketches._ext import register_code
from sketches.core.wire import require

__all__ = ["KINDS", "NUMBERED", "TOKEN_BITS", "Kind", "State", "encode_registers", "read_state", "write_state"]

TOKEN_BITS = 26  # bits of the hash in a token
MARTINGALE = 4  # added to the kind's number in bytes


class Kind(NamedTuple):
    """Update values a register: 2**resolution an octave; it knows the largest and those at most `window` below."""

    number: int
    resolution: int
    window: int
    dtype: str  # of a register, in the bytes

    @property
    def register_bytes(self) -> int:
        """The memory of one."""
        return int(self.dtype[-1])

    def most(self, precision: int) -> int:
        """Give the largest update value."""
        return (65 - precision - self.resolution) << self.resolution


KINDS = {
    "pcsa": Kind(0, 0, 64, "<u8"),
    "hll": Kind(1, 0, 0, "<u1"),
    "ull": Kind(2, 0, 2, "<u1"),
    "ell": Kind(3, 2, 24, "<u4"),
}
NUMBERED = list(KINDS.values())


def _native(stored: npt.NDArray[np.uint8], kind: Kind) -> npt.NDArray[Any]:
    """Give registers as numbers, from little-endian bytes."""
    return stored.view(kind.dtype).astype(kind.dtype[1:])  # a copy, of this machine's byte order


def encode_registers(registers: npt.NDArray[Any], kind_number: int, precision: int) -> npt.NDArray[np.uint8] | None:
    """Give the code of registers if it is shorter than they are, yet not so much that a reader would want memory."""
    if not len(registers):
        return None
    code = register_code.encode(registers.view(np.uint8), kind_number, precision, registers.nbytes - 1)
    return None if code is None or len(code) < registers.nbytes // 32 else code


def _decode(
    number: int, state: npt.NDArray[np.uint8], kind: Kind, precision: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[Any]]:
    """Read tokens or registers, of which the other are then none."""
    size, most = kind.register_bytes << precision, kind.most(precision)
    tokens, registers = np.empty(0, np.uint32), np.empty(0, kind.dtype[1:])
    if number:
        require(number <= size * 3 // 16, f"{number} tokens, more than registers of {size} bytes follow")
        require(number <= 4 * len(state), f"{number} tokens in {len(state)} bytes")  # each has two bits at least
        tokens = np.empty(number, np.uint32)
        require(register_code.decode_tokens(state, tokens), "no code of tokens")
    elif len(state) == size:
        registers = _native(state, kind)
        require(encode_registers(registers, kind.number, precision) is None, "registers as they are, that have a code")
    elif len(state):
        require(size // 32 <= len(state) < size, f"a code of {len(state)} bytes for {size} bytes of registers")
        registers = np.empty(1 << precision, registers.dtype)
        sound = register_code.decode(state, registers.view(np.uint8), kind.number, precision, most)
        require(sound, f"no code of {1 << precision} registers with values up to {most}")
    return tokens, registers


class State(NamedTuple):
    """Tokens or registers, the other of which are then none; and a martingale's estimate and variance, if any."""

    kind: Kind
    precision: int
    tokens: npt.NDArray[np.uint32]
    registers: npt.NDArray[Any]
    changes: tuple[float, float] | None = None


def write_state(state: State) -> dict[str, Any]:
    """Give the fields of the newest layout."""
    kind, precision, tokens, registers, changes = state
    if len(tokens):
        code: npt.NDArray[np.uint8] | None = register_code.encode_tokens(tokens)
    else:
        code = encode_registers(registers, kind.number, precision)
    if code is None:
        code = registers.astype(kind.dtype, copy=False).view(np.uint8)
    number = kind.number
    if changes is not None:
        number += MARTINGALE
        code = np.concatenate([np.array(changes, "<f8").view(np.uint8), code])
    return {"kind": number, "precision": precision, "tokens": len(tokens), "state": code}


def read_state(fields: dict[str, Any], layout: int | None, total: int) -> State:
    """Read the fields of any layout, of a sketch with that total count."""
    kind, precision, changes = NUMBERED[fields["kind"] % MARTINGALE], fields["precision"], None
    size = kind.register_bytes << precision
    if layout == 1:
        tokens, stored = fields["tokens"].copy(), fields["registers"]  # the view need not be aligned
        require(not len(tokens) or not len(stored), "tokens beside registers")
        require(len(stored) in (0, size), f"{len(stored)} bytes of registers, not {size}")
        registers = _native(stored, kind)
    else:
        code = fields["state"]
        if fields["kind"] >= MARTINGALE:
            require(len(code) >= 16, f"a martingale of {len(code)} bytes")
            estimate, variance = code[:16].copy().view("<f8").tolist()
            code, changes = code[16:], (estimate, variance)
            require(all(0 <= change < math.inf for change in changes), f"a martingale of {changes}")
            require(all(math.copysign(1, change) > 0 for change in changes), "a martingale of -0")
        tokens, registers = _decode(fields["tokens"], code, kind, precision)
    if len(registers):
        require(total > size * 3 // 16, f"registers for a total count of {total}")
    else:
        require(len(tokens) <= size * 3 // 16, f"{len(tokens)} tokens, more than registers of {size} bytes follow")
        require(len(tokens) <= total, f"{len(tokens)} tokens for a total count of {total}")
        require((tokens[1:] > tokens[:-1]).all(), "tokens do not ascend")
        require((tokens & 63 <= 64 - TOKEN_BITS).all(), "a token has too many leading zeros")
    return State(kind, precision, tokens, registers, changes)
