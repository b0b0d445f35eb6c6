"""Memory for kernels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["aligned_words"]

_LINE = 64  # bytes of a cache line on almost every processor


def aligned_words(size: int) -> npt.NDArray[np.uint64]:
    """Give `size` zeros whose first lies at the start of a cache line."""
    raw = np.zeros(8 * size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + 8 * size].view(np.uint64)
