"""Where should a quantiser clip? Two searches over a histogram of what it will be fed.

A quantiser of L + 1 levels ``scale * (q - zero_point)``, q = 0 … L, rounds what lies between its ends and clips what
lies outside: wide ends round coarsely, narrow ones clip much.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sketches.nn.statistics.histogram import Histogram

__all__ = ["entropy_threshold", "squared_error_ends", "squared_errors"]

Floats = npt.NDArray[np.float64]

BINS = 2048  # of the uniform histogram that the entropy is taken of
OCTAVES = 16  # that the search goes down from the extremes
REFINEMENTS = 9
CANDIDATES = 16  # that are tried at a time
AROUND = np.linspace(-1, 1, 5)


def squared_errors(bins: Histogram, scale: Floats, zero_point: Floats, levels: int) -> Floats:
    """Give the mean squared error of some quantisers, if values are spread evenly inside their bins.

    Parameters
    ----------
    bins
        What is quantised.
    scale, zero_point
        One entry a quantiser.
    levels
        L, the number of levels without the first.
    """
    low, high = bins.lower / scale[:, None], bins.upper / scale[:, None]
    first = -zero_point[:, None]
    width = high - low
    point = width <= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (_integral(high, first, first + levels) - _integral(low, first, first + levels)) / width
    nearest = np.clip(np.floor(low + 0.5), first, first + levels)
    errors = np.where(point, (low - nearest) ** 2, spread)
    found: Floats = errors @ bins.counts * scale**2 / bins.total
    return found


def _integral(x: Floats, first: Floats, last: Floats) -> Floats:
    """Give the integral from 0 to x of the squared distance to the nearest integer between `first` and `last`."""
    inside = np.clip(x, first, last)
    cell = np.floor(inside + 0.5)
    beyond = np.maximum(x - last, 0) ** 3 - np.maximum(first - x, 0) ** 3
    found: Floats = cell / 12 + ((inside - cell) ** 3 + beyond) / 3
    return found


def squared_error_ends(bins: Histogram, levels: int, symmetric: bool) -> tuple[float, float]:
    """Give the ends of the quantiser of least squared error that a search finds; zero is among its levels.

    Each end by itself goes down from the extreme of the values, octave by octave; then the neighbourhood of the best
    pair is searched nine times, each twice as finely, to 0.1 %. The extremes are among those tried, so the result
    is never worse than they are.
    """
    low, high = min(bins.lower[0], 0.0), max(bins.upper[-1], 0.0)
    if symmetric:
        high = max(high, -low)
        low = -high
    best, step = np.zeros(2), 1.0  # how many octaves below the extremes
    grids = [np.arange(OCTAVES, dtype=np.float64) if end else np.zeros(1) for end in (low, high)]
    for _ in range(REFINEMENTS + 1):
        if symmetric:
            below = above = grids[1]
        else:
            below, above = (grid.ravel() for grid in np.meshgrid(*grids, indexing="ij"))
        lows, highs = low * 2.0**-below, high * 2.0**-above
        scale = (highs - lows) / levels
        zero_point = np.full(len(scale), levels / 2) if symmetric else np.round(-lows / scale)
        # What every candidate rounds to zero is equally wrong for all.
        same = (bins.lower > -scale.min() / 2) & (bins.upper < scale.min() / 2)
        kept = Histogram(*(part[~same] for part in bins))
        if not kept.total:
            return low, high
        parts = [slice(start, start + CANDIDATES) for start in range(0, len(scale), CANDIDATES)]
        errors = np.concatenate([squared_errors(kept, scale[part], zero_point[part], levels) for part in parts])
        least = int(errors.argmin())
        best = np.array([below[least], above[least]])
        grids = [
            np.maximum(middle + step * AROUND, 0) if len(grid) > 1 else grid
            for middle, grid in zip(best, grids, strict=True)
        ]
        step /= 2
    return low * 2.0 ** -best[0], high * 2.0 ** -best[1]


def entropy_threshold(magnitudes: Histogram, levels: int) -> float:
    """Give the threshold at which clipping changes the distribution of magnitudes least, by relative entropy.

    As in S. Migacz, "8-bit inference with TensorRT" (GTC 2017): the magnitudes are a histogram of 2048 equal bins; for
    each i, P is its first i bins, what is beyond added to the last, and Q these bins merged into `levels` and spread
    again over those that are not empty; the i of the least KL(P ‖ Q) gives the threshold. Where this is the least i
    possible, a few outliers made the bins too coarse: the search starts again inside it.

    Parameters
    ----------
    magnitudes
        Of the values without the zeros, which every quantiser here represents exactly.
    levels
        How many levels magnitudes get.
    """
    cumulated = np.append(0.0, np.cumsum(magnitudes.counts))
    # Two entries a bin, so that nothing lies in the gaps between bins.
    places = np.column_stack([magnitudes.lower, magnitudes.upper]).ravel()
    shares = np.column_stack([cumulated[:-1], cumulated[1:]]).ravel() / cumulated[-1]
    top, least = float(magnitudes.upper[-1]), float(magnitudes.upper[0])
    while True:
        below = np.interp(np.linspace(0, top, BINS + 1), places, shares, left=0.0)
        chosen = _best_length(np.diff(below), levels) if levels < BINS else BINS
        threshold = top * chosen / BINS
        if chosen > levels or threshold <= least or levels >= BINS:
            return threshold
        top = threshold


def _best_length(shares: Floats, levels: int) -> int:
    """Give the i of the least relative entropy."""
    filled = shares > 0
    within = np.cumsum(shares)
    best, least = len(shares), np.inf
    for length in range(levels, len(shares) + 1):
        inside = shares[:length]
        if not inside[-1] and length > levels:
            continue  # the shorter ones hold the same values
        starts = np.arange(levels) * length // levels
        sums = np.add.reduceat(inside, starts)
        sizes = np.add.reduceat(filled[:length].astype(np.float64), starts)
        merged = np.repeat(sums / np.maximum(sizes, 1), np.diff(np.append(starts, length)))
        used = filled[:length]
        p, q = inside[used], merged[used] / within[length - 1]
        if not len(p):
            continue
        p = np.append(p[:-1], p[-1] + max(1.0 - within[length - 1], 0.0))
        entropy = float(p @ np.log(p / q))
        if entropy < least:
            best, least = length, entropy
    return best
