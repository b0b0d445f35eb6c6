"""Memory for kernels."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

__all__ = ["aligned_words", "physical_memory"]

_LINE = 64  # bytes of a cache line on almost every processor


def aligned_words(size: int) -> npt.NDArray[np.uint64]:
    """Give `size` zeros whose first lies at the start of a cache line."""
    raw = np.zeros(8 * size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + 8 * size].view(np.uint64)


def physical_memory() -> int:
    """Give the bytes of memory that the machine has, or 2**63 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**63
