"""What trained quantisation gives: a codebook, and for each weight which of its entries it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SharedWeights"]


@dataclass(frozen=True, eq=False)
class SharedWeights:
    """A tensor whose weights are entries of a codebook: ``codebook[indices]``.

    indices: unsigned (uint8 or uint16), any shape (scalars and empty arrays too); codebook: float32 (entries,).
    Where `sparse`, entry 0 is exactly 0.0 and stands for pruned weights.
    """

    indices: npt.NDArray[np.uint8 | np.uint16]
    codebook: npt.NDArray[np.float32]
    sparse: bool

    def dense(self) -> npt.NDArray[np.float32]:
        """Give the weights themselves: ``codebook[indices]``."""
        return np.asarray(self.codebook[self.indices])  # also of a scalar
