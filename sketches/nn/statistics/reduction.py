"""What statistics take in of one batch: small beside the batch, so that it can be made where the batch is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core.wire import require
from sketches.nn.arrays import real_numbers
from sketches.nn.statistics.moments import COUNTS, VALUES, Moments
from sketches.quantiles import Quantiles

__all__ = ["ROWS", "Limits", "Reduction", "arranged", "check", "limits_of", "reduce_batch", "rows_of", "sampled"]

MOST_PLACES = 2**31 - 1  # what the compiled pass counts of a unit at once
ROWS = 8  # samples of a batch that the directions see, at most
BLOCK = 1 << 16  # activations read at a time: 512 KiB as float64
STEP = (5**0.5 - 1) / 2  # the golden ratio, whose multiples modulo 1 are spread evenly at every number of them

Limits = tuple[float, float]


@dataclass(frozen=True)
class Reduction:
    """All that `StreamingStatistics` takes in of one batch of a layer.

    Attributes
    ----------
    samples
        How many samples the batch has: of rows (…, units) each row is one, of (batch, channels, …) each place.
    counts
        int64 (6, units): finite values, NaN, infinities, zeros, values above 0, values at or beyond the limits.
    values
        float64 (4, units), of the finite values: mean, sum of squared deviations from it, minimum, maximum; 0, 0, inf,
        -inf for a unit without any.
    bins
        The finite values of all units by bin, two int64 arrays: the numbers of the bins, ascending, as `Quantiles.bins`
        of the default error gives them, and their counts, 1 or more.
    patterns
        uint8 (chunks, ceil(bits / 8)): ``np.packbits(x > 0, axis=1)`` of each row, or of each batch element's
        channels × places.
    rows
        float32 (at most `ROWS`, units): the samples that `sampled` names.
    """

    samples: int
    counts: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    bins: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    patterns: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.float32]


def sampled(samples: int) -> npt.NDArray[np.int64]:
    """Say which of so many samples the directions see, ascending: all of up to `ROWS`, else about as many.

    Sample i is floor(samples × ((k + 1/2) φ mod 1)), k = 0, 1, …, `ROWS` - 1, where φ is the golden ratio: evenly
    spread, but in no step with the places of an image, whose sample number is place + places × batch element.
    """
    return _sampled(samples).copy()


@lru_cache
def _sampled(samples: int) -> npt.NDArray[np.int64]:
    if samples <= ROWS:
        return np.arange(samples)
    return np.unique((samples * ((np.arange(ROWS) + 0.5) * STEP % 1)).astype(np.int64))


@lru_cache
def _sampled_places(chunks: int, places: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give the chunks and places of the sampled rows."""
    return np.divmod(_sampled(chunks * places), max(places, 1))


def arranged(activations: Any, axis: int) -> npt.NDArray[Any]:
    """Give activations as (chunks, units, places), where the places of rows of units are one.

    Raises
    ------
    TypeError, ValueError
        For another dtype, shape or axis than `StreamingStatistics.observe` takes.
    """
    array = real_numbers("activations", activations)
    if axis not in (-1, 1):
        raise ValueError(f"axis is {axis!r}; -1 (units last) or 1 (channels first) is accepted")
    wanted = "(…, units)" if axis == -1 else "(batch, channels, …)"
    if array.ndim < 2 or not array.shape[axis]:
        raise ValueError(f"activations have shape {array.shape}; {wanted} is accepted, with one unit or more")
    if axis == -1 or array.ndim == 2:
        return array.reshape(array.size // array.shape[-1], array.shape[-1], 1)
    chunks, units, *lengths = array.shape
    places = math.prod(lengths)
    if places > MOST_PLACES:
        raise ValueError(f"activations have {places} places of a unit; at most {MOST_PLACES} are accepted")
    return array.reshape(chunks, units, places)


def limits_of(limits: Any) -> Limits | None:
    """Check and give the values between which a layer does not saturate."""
    if limits is None:
        return None
    try:
        low, high = (float(limit) for limit in limits)
    except (TypeError, ValueError):
        raise TypeError(f"limits is {limits!r}; a pair of numbers or None is accepted") from None
    if not low < high:
        raise ValueError(f"limits is {limits!r}; (low, high) with low < high is accepted")
    return low, high


def reduce_batch(activations: Any, axis: int = -1, limits: Limits | None = None) -> Reduction:
    """Reduce a batch with NumPy: slow, and what the faster ways are tested against.

    Integers and bits are the same in all ways, moments agree within rounding.

    Parameters
    ----------
    activations, axis, limits
        As `StreamingStatistics.observe` has them.
    """
    batch, limits = arranged(activations, axis), limits_of(limits)
    chunks, units, places = batch.shape
    moments, quantiles = Moments(units), Quantiles()
    patterns = np.empty((chunks, -(-units * places // 8)), np.uint8)
    height = max(1, BLOCK // (units * max(places, 1)))
    with np.errstate(invalid="ignore"):  # of NaN that signal
        for top in range(0, chunks, height):
            block = batch[top : top + height].astype(np.float64, order="C")
            patterns[top : top + height] = np.packbits(block.reshape(len(block), -1) > 0, axis=1)
            moments.observe(np.moveaxis(block, 1, 2).reshape(-1, units), limits)
            quantiles.update(block[np.isfinite(block)])
    return Reduction(chunks * places, moments.counts, moments.values, quantiles.bins(), patterns, rows_of(batch))


def rows_of(batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Give the sampled rows of a batch (chunks, units, places)."""
    chunks, _, places = batch.shape
    chosen, at = _sampled_places(chunks, places)
    rows = batch[:, :, 0][chosen] if places == 1 else batch[chosen, :, at]
    if rows.dtype == np.float32:
        return rows
    with np.errstate(over="ignore", invalid="ignore"):
        return rows.astype(np.float32)


def check(reduction: Reduction) -> int:
    """Give how many units a reduction has; raise ``ValueError`` where no batch can have it."""
    units = reduction.counts.shape[-1]
    wanted = (
        ("counts", (len(COUNTS), units), np.int64),
        ("values", (len(VALUES), units), np.float64),
        ("patterns", (len(reduction.patterns), reduction.patterns.shape[-1]), np.uint8),
        ("rows", (len(reduction.rows), units), np.float32),
    )
    for name, shape, dtype in wanted:
        found = getattr(reduction, name)
        if found.shape != shape or found.dtype != dtype:
            raise ValueError(
                f"{name} of a reduction has shape {found.shape} of {found.dtype}; {shape} of {np.dtype(dtype)} is"
                " accepted"
            )
    moments = Moments(0)
    moments.counts, moments.values = reduction.counts, reduction.values
    moments.check(reduction.samples)
    number = len(reduction.patterns)
    require(
        number <= reduction.samples or not reduction.patterns.size, f"{number} patterns of {reduction.samples} samples"
    )
    return int(units)
