"""Where weights stand that were not pruned: how far each is from the one before it, in a few bits.

S. Han, H. Mao and W. Dally, "Deep Compression: compressing deep neural networks with pruning, trained quantization and
Huffman coding", ICLR 2016, section 2: where a gap exceeds the bound, a zero is kept to fill it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["positions_of", "relative_indices"]


def relative_indices(
    positions: npt.NDArray[np.int64], bits: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Give the gaps before positions in ascending order, and where among these fillers stand.

    A gap is how many positions were passed over, below ``2**bits``: `positions_of` gives positions and fillers.

    Parameters
    ----------
    positions
        In strictly ascending order, from 0 on.
    bits
        Of a gap, 1 to 16.

    Returns
    -------
    gaps, kept
        Gaps, uint16, those of fillers included; which of them are of the positions themselves, int64, as many as these.

    Examples
    --------
    With 3 bits a filler stands at 7 + 8 = 15 before the weight at 17, as a gap is 7 at most:

    >>> gaps, kept = relative_indices(np.array([1, 7, 17]), bits=3)
    >>> gaps.tolist(), kept.tolist()
    ([1, 5, 7, 1], [0, 1, 3])
    >>> positions_of(gaps).tolist()
    [1, 7, 15, 17]
    """
    span = 1 << bits
    steps = np.diff(positions, prepend=-1) - 1
    fillers = steps // span
    kept = np.cumsum(fillers + 1) - 1
    gaps = np.full(int(kept[-1]) + 1 if len(kept) else 0, span - 1, np.uint16)
    gaps[kept] = steps % span
    return gaps, kept


def positions_of(gaps: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Give the positions, of weights and fillers, between which there are these gaps."""
    return np.cumsum(gaps.astype(np.int64) + 1) - 1
