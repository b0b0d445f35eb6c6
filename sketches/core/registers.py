"""The kinds of FlajoletMartin's registers, and how bytes hold their state."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sketches._ext import register_code
from sketches.core.wire import require

__all__ = ["KINDS", "NUMBERED", "Kind", "decode_state", "encode_registers", "native_registers"]


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


KINDS = {
    "pcsa": Kind(0, 0, 64, "<u8"),
    "hll": Kind(1, 0, 0, "<u1"),
    "ull": Kind(2, 0, 2, "<u1"),
    "ell": Kind(3, 2, 24, "<u4"),
}
NUMBERED = list(KINDS.values())


def native_registers(stored: npt.NDArray[np.uint8], kind: Kind) -> npt.NDArray[Any]:
    """Give registers as numbers, from little-endian bytes."""
    return stored.view(kind.dtype).astype(kind.dtype[1:])  # a copy, of this machine's byte order


def encode_registers(registers: npt.NDArray[Any], kind_number: int, precision: int) -> npt.NDArray[np.uint8] | None:
    """Give the code of registers if it is shorter than they are, yet not so much that a reader would want memory."""
    if not len(registers):
        return None
    code = register_code.encode(registers.view(np.uint8), kind_number, precision, registers.nbytes - 1)
    return None if code is None or len(code) < registers.nbytes // 32 else code


def decode_state(
    number: int, state: npt.NDArray[np.uint8], kind: Kind, precision: int, most: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[Any]]:
    """Read tokens or registers, of which the other are then none."""
    size = kind.register_bytes << precision
    tokens, registers = np.empty(0, np.uint32), np.empty(0, kind.dtype[1:])
    if number:
        require(number <= size * 3 // 16, f"{number} tokens, more than registers of {size} bytes follow")
        require(number <= 4 * len(state), f"{number} tokens in {len(state)} bytes")  # each has two bits at least
        tokens = np.empty(number, np.uint32)
        require(register_code.decode_tokens(state, tokens), "no code of tokens")
    elif len(state) == size:
        registers = native_registers(state, kind)
        require(encode_registers(registers, kind.number, precision) is None, "registers as they are, that have a code")
    elif len(state):
        require(size // 32 <= len(state) < size, f"a code of {len(state)} bytes for {size} bytes of registers")
        registers = np.empty(1 << precision, registers.dtype)
        sound = register_code.decode(state, registers.view(np.uint8), kind.number, precision, most)
        require(sound, f"no code of {1 << precision} registers with values up to {most}")
    return tokens, registers
