"""What statistics take in of a batch, made with PyTorch where it is: the twin of `nn.statistics.reduction`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sketches.nn.statistics.reduction import Reduction, sampled

__all__ = ["reduce_batch"]

MANTISSA_BITS = 7  # of the bins of `Quantiles` of the default error
WITHOUT_FLOAT64 = ("mps",)
BIT_VALUES = (128, 64, 32, 16, 8, 4, 2, 1)


@torch.no_grad()
def reduce_batch(tensor: Tensor, axis: int = -1, limits: tuple[float, float] | None = None) -> Reduction:
    """Reduce a batch on its device, and fetch the result at once: the device is waited for once.

    Counts, bins, patterns and rows are exact; moments are rounded as float64, on devices without it as float32.
    Intermediate results take about 40 bytes for each number. What is fetched: a bit for each number, 277 KiB for bins
    (float64: 2 MiB), 80 bytes for each unit, and the rows.

    Parameters
    ----------
    tensor
        Floating-point numbers of 16 to 64 bits, of two dimensions or more, on any device.
    axis, limits
        As `StreamingStatistics.observe` has them.
    """
    units = tensor.shape[axis]
    batch = tensor.reshape(-1, units, 1) if axis == -1 else tensor.flatten(2)
    samples = tensor.numel() // units
    with torch.autocast(tensor.device.type, enabled=False):
        numbers = batch.to(torch.float32 if tensor.device.type in WITHOUT_FLOAT64 else torch.float64)
        finite = torch.isfinite(numbers)
        counts = _counts(numbers, finite, limits)
        parts = [
            counts,
            _moments(numbers, finite, counts[0]),
            _bins(batch, finite),
            _rows(batch, samples),
            _patterns(batch),
        ]
    counted, values, bins, rows, patterns = _fetched(parts)
    places = np.flatnonzero(bins)
    numbers_of_bins = _numbers(places, len(bins))
    order = np.argsort(numbers_of_bins)
    found = numbers_of_bins[order], bins[places[order]].astype(np.int64)
    return Reduction(samples, counted, values.astype(np.float64), found, patterns, rows)


def _counts(numbers: Tensor, finite: Tensor, limits: tuple[float, float] | None) -> Tensor:
    """Count, for each unit, the finite numbers, NaN, infinities, zeros, those above zero, and beyond the limits."""
    low, high = limits or (-torch.inf, torch.inf)
    beyond = (numbers <= low) | (numbers >= high) if limits else torch.zeros_like(finite)
    masks = finite, numbers.isnan(), numbers.isinf(), numbers == 0, numbers > 0, beyond
    return torch.stack([mask.sum((0, 2)) for mask in masks])


def _moments(numbers: Tensor, finite: Tensor, count: Tensor) -> Tensor:
    """Give mean, sum of squared deviations, minimum and maximum of the finite numbers of each unit."""
    if not numbers.numel():
        ends = numbers.new_tensor([[0.0], [0.0], [torch.inf], [-torch.inf]])
        return ends.expand(4, len(count)).contiguous()
    share = count.clamp(min=1).to(numbers.dtype)
    least = torch.where(finite, numbers, torch.inf).amin((0, 2))
    most = torch.where(finite, numbers, -torch.inf).amax((0, 2))
    mean = 2 * (torch.where(finite, numbers, 0) / (2 * share)[:, None]).sum((0, 2))  # no sum overflows so
    apart = torch.where(finite, numbers - mean[:, None], 0)
    error = (apart.sum((0, 2)) / share).nan_to_num(0, 0, 0)  # of the mean, by rounding
    squares = apart.square().sum((0, 2))
    squares = torch.where(squares.isfinite(), (squares - share * error.square()).clamp(min=0), torch.inf)
    mean = torch.where(count > 0, (mean + error).clamp(least, most), 0)
    return torch.stack([mean, squares, least, most])


def _bins(batch: Tensor, finite: Tensor) -> Tensor:
    """Count the finite numbers of each place: 0 for zero, then positive keys, then negative ones.

    A key is what `sketches.core.bins` calls so, the first bits of a float64, less the first that the dtype can have.
    """
    if batch.dtype == torch.float64:
        bits, keys = batch.view(torch.int64), _keys(torch.float64)
        magnitude = bits & 0x7FFF_FFFF_FFFF_FFFF
        key = magnitude >> 52 - MANTISSA_BITS
    else:
        bits, keys = batch.float().contiguous().view(torch.int32), _keys(torch.float32)
        magnitude = bits & 0x7FFF_FFFF
        # Numbers below 2^-126 have no leading 1: as integers they are 2^149 times themselves, and exactly a float32.
        small = (magnitude.float().view(torch.int32) >> 23 - MANTISSA_BITS) - (149 << MANTISSA_BITS)
        key = torch.where(magnitude < 0x80_0000, small, magnitude >> 23 - MANTISSA_BITS) + (22 << MANTISSA_BITS)
    place = torch.where(bits < 0, 1 + keys + key, 1 + key)
    place = torch.where(magnitude == 0, 0, place)
    place = torch.where(finite, place, 1 + 2 * keys)
    many = torch.int64 if place.numel() >= 2**31 else torch.int32
    table = torch.zeros(2 + 2 * keys, dtype=many, device=batch.device)
    one = torch.ones(1, dtype=many, device=batch.device)
    table.index_add_(0, place.flatten(), one.expand(place.numel()))
    return table[:-1]


def _keys(dtype: torch.dtype) -> int:
    """Give how many keys a dtype's positive finite numbers have: float32 reaches from 2^-149 to 2^128."""
    return (0x7FF if dtype == torch.float64 else 149 + 128) << MANTISSA_BITS


def _numbers(places: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Give the numbers that `Quantiles` gives to the bins at some places of a table."""
    keys = size // 2
    first = 0 if keys == _keys(torch.float64) else 1023 - 149 << MANTISSA_BITS
    numbers = np.where(places > keys, keys - places - first, places + first)
    numbers[places == 0] = 0
    return numbers


def _patterns(batch: Tensor) -> Tensor:
    """Give the bits of each chunk as `np.packbits` does."""
    bits = (batch > 0).flatten(1).to(torch.uint8)
    padded = torch.nn.functional.pad(bits, (0, -bits.shape[1] % 8))
    eights = padded.reshape(len(bits), padded.shape[1] // 8, 8) * bits.new_tensor(BIT_VALUES)
    packed: Tensor = eights.sum(2, dtype=torch.uint8)
    return packed


def _fetched(tensors: list[Tensor]) -> list[npt.NDArray[Any]]:
    """Copy tensors from their device, in one go."""
    joined = torch.cat([tensor.contiguous().view(torch.uint8).flatten() for tensor in tensors]).cpu().numpy()
    ends = np.cumsum([tensor.numel() * tensor.element_size() for tensor in tensors])[:-1]
    parts = zip(tensors, np.split(joined, ends), strict=True)
    return [part.view(_dtype(tensor)).reshape(tensor.shape) for tensor, part in parts]


def _dtype(tensor: Tensor) -> np.dtype[Any]:
    return np.dtype(str(tensor.dtype).removeprefix("torch."))


def _rows(batch: Tensor, samples: int) -> Tensor:
    """Give the samples for the directions."""
    chosen = torch.from_numpy(sampled(samples)).to(batch.device, non_blocking=True)
    places = batch.shape[2]
    return batch[chosen // max(places, 1), :, chosen % max(places, 1)].to(torch.float32)
