"""What statistics need of a batch, made with PyTorch where the batch is: the twin of `sketches.nn.reduction`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sketches.nn.reduction import Reduction

__all__ = ["reduce"]

MANTISSA_BITS = 7  # of the bins of a `Quantiles` of the default error
INFINITY = 0x7FF << MANTISSA_BITS  # the key of a float64
WITHOUT_FLOAT64 = ("mps",)


@torch.no_grad()
def reduce(tensor: Tensor, axis: int = -1, limits: tuple[float, float] | None = None) -> Reduction:
    """Reduce a batch on its device, and copy the result from there, all at once: the device is waited for once.

    Parameters are those of `StreamingStatistics.observe`. Counts, bins, patterns and rows are exact; moments are
    rounded as float64 (on devices without it as float32). Intermediate results take about 40 bytes for each number.
    What is copied: 1 bit for each number, 256 KiB for bins (float64: 2 MiB), 88 bytes for each unit, and the rows.
    """
    with torch.autocast(tensor.device.type, enabled=False):
        units = tensor.shape[axis]
        batch = tensor.reshape(-1, units, 1) if axis == -1 else tensor.reshape(len(tensor), units, -1)
        samples = batch.numel() // units
        wide = torch.float32 if tensor.device.type in WITHOUT_FLOAT64 else torch.float64
        numbers = batch.to(wide)
        finite = torch.isfinite(numbers)
        used = torch.where(finite, numbers, 0)
        counts = _counts(numbers, finite, limits)
        pieces = [counts, _values(used, finite, counts[0]), _bins(batch), _patterns(batch)]
        fetched = _fetched(pieces)
    raise NotImplementedError
