"""Streams of any length for distinct counting, in milliseconds: only the hashes that can matter are made."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["distinct_hashes"]


def distinct_hashes(n: int, precision: int, random: np.random.Generator) -> npt.NDArray[np.uint64]:
    """Give hashes that leave a FlajoletMartin of up to that precision in a state that n random hashes would leave.

    The hashes with z leading zeros fall into 2**(precision + 2) cells, which is all that any kind tells apart. How many
    of n hashes have z zeros is drawn from the binomial distribution that it has. Where that is more than 28 a cell, no
    cell is left empty but with probability below 2**20 * exp(-28) = 1e-6, and one hash for each cell stands for them
    all; the others are drawn one by one. Tokens tell more cells apart: a stream must be too long for them, or short
    enough that nothing is left out.
    """
    cells = 1 << precision + 2
    if n <= 28 * cells:
        return random.integers(0, 2**64, n, np.uint64)
    parts = []
    left = n
    for zeros in range(64):
        number = int(random.binomial(left, 0.5))
        left -= number
        leader = np.uint64(1 << 63 - zeros)
        if number > 28 * cells:
            parts.append(leader | np.arange(cells, dtype=np.uint64))
        else:
            parts.append(leader | random.integers(0, int(leader), number, np.uint64))
        if left == 0:
            break
    return np.concatenate(parts)
