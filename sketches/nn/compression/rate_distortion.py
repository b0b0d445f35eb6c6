"""Quantisation to multiples of a step, where bits weigh against error.

Rounding to the nearest multiple takes no account of what a level costs: zeros and small levels are cheap, and cheaper
still in rows and columns that are sparse anyway. Here a weight goes to the level that costs least,
``importance * error**2 + price * bits``, as in S. Wiedemann et al., "DeepCABAC: a universal compression algorithm for
deep neural networks", IEEE JSTSP 14 (4), 2020. Where the second derivatives of the loss are known, the error of one
weight is made good by those of its row that come after it: B. Hassibi and D. Stork, "Optimal brain surgeon", NeurIPS
1992; E. Frantar and D. Alistarh, "Optimal brain compression", NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.nn.arrays import real_numbers
from sketches.nn.compression.shared import SharedWeights

__all__ = ["on_grid", "quantize", "short_step"]

Doubles = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int64]
Curvature = Callable[[int, npt.NDArray[np.int64]], npt.ArrayLike]

MOST = 2**15  # of levels, above and below zero
TOLD_APART = 40  # magnitudes whose bits are counted one by one
FEW_ROWS = 8  # below them columns have no density of their own
PASSES = 2


def quantize(
    weights: npt.ArrayLike,
    step: float,
    price: float = 0.0,
    *,
    importance: npt.ArrayLike | None = None,
    curvature: Curvature | None = None,
) -> SharedWeights:
    """Give weights as multiples of a step, which are shared through a codebook of all multiples between them.

    Each weight w of importance h becomes the multiple ŵ that has the least ``h * (w - ŵ)**2 + price * bits``, of the
    two around it and 0. Without `price` that is the nearest one. Bits are an estimate: of zero or not by how dense the
    row and the column are, of the magnitude by how frequent it is, one of the sign; twice over, as what is chosen
    changes them. Zeros stay zeros.

    Parameters
    ----------
    weights
        Finite real numbers, of any shape. The first axis is rows, if there is another one.
    step
        Between levels, above 0. It is rounded to 8 significant bits, as `short_step` does: then all multiples that a
        codebook can have are exact in float32, and the step takes two bytes.
    price
        Of a bit, in units of importance times squared weight; from 0 on.
    importance
        Of each weight's squared error, of the same shape and from 0 on, such as the diagonal of the Fisher information.
        1 without it.
    curvature
        Instead of importance: a function that gives for a row, and for the numbers of its columns that are not zero,
        the second derivatives of the loss by their weights, symmetric and positive definite. A row's errors e cost
        ``e @ curvature @ e``; each is made good, as far as can be, by the weights after it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or levels lie beyond ±2**15.

    Examples
    --------
    0.3 is nearer to a half than to zero, by 0.2**2 against 0.3**2, but not worth the bits of one more weight:

    >>> weights = [[0.3, 0.0, 0.0, 1.1, 0.0, 0.0, 0.0, 0.0]]
    >>> quantize(weights, 0.5).dense().tolist()
    [[0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    >>> quantize(weights, 0.5, price=0.05).dense().tolist()
    [[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    array = _finite("weights", weights)
    step = short_step(step)
    if not (price >= 0 and math.isfinite(price)):
        raise ValueError(f"price is {price}; a finite number from 0 on is accepted")
    if importance is not None and curvature is not None:
        raise ValueError("importance and curvature are given; one of the two is accepted")
    worth = np.ones_like(array) if importance is None else _importance(importance, array.shape)
    rows = array.reshape(len(array) if array.ndim > 1 else 1, -1) if array.size else array.reshape(1, 0)
    if rows.size and np.abs(rows).max() / step > MOST:
        raise ValueError(f"step is {step}; {np.abs(rows).max()} would be more than {MOST} of it")
    scaled = rows / step
    levels = np.rint(scaled).astype(np.int64)
    if curvature is not None:
        costs = _Costs(levels)
        for r in range(len(rows)):
            kept = np.flatnonzero(rows[r])
            if len(kept):
                second = _curvature(curvature(r, kept), r, len(kept)) * step**2
                levels[r, kept] = _row(scaled[r, kept], second, costs, r, kept, price)
    elif price > 0:
        for _ in range(PASSES):
            levels = _cheapest(scaled, worth.reshape(rows.shape) * step**2, _Costs(levels), price)
    return on_grid(levels.reshape(array.shape), step)


def short_step(step: float) -> float:
    """Round a step to 8 significant bits; ``ValueError`` if it is not above 0 or leaves the range of float32."""
    if not (step > 0 and math.isfinite(step)):
        raise ValueError(f"step is {step}; a finite number above 0 is accepted")
    fraction, exponent = math.frexp(step)
    rounded = math.ldexp(round(fraction * 256), exponent - 8)
    if not 2.0**-118 <= rounded <= 2.0**111:
        raise ValueError(f"step is {step}; 2**-118 to 2**111 is accepted, so that multiples are exact in float32")
    return rounded


def on_grid(levels: npt.NDArray[np.integer], step: float) -> SharedWeights:
    """Share levels times a step: the codebook has all multiples from the least to the largest, 0 first if it occurs.

    Raises
    ------
    ValueError
        If levels lie beyond ±2**15, or at both ends of that: there are 2**16 indices.
    """
    least, most = int(levels.min(initial=0)), int(levels.max(initial=0))
    if levels.size:
        least, most = int(levels.min()), int(levels.max())
    if max(-least, most) > MOST or most - least >= 2 * MOST:
        raise ValueError(f"levels reach from {least} to {most}; {2 * MOST} of them are accepted, up to ±{MOST}")
    sparse = bool((levels == 0).any())
    multiples = np.arange(least, most + 1)
    entries = np.concatenate(([0], multiples[multiples != 0])) if sparse else multiples
    numbers = np.zeros(most - least + 1, np.uint8 if len(entries) <= 256 else np.uint16)
    numbers[entries - least] = np.arange(len(entries))
    return SharedWeights(numbers[levels - least], (entries * step).astype(np.float32), sparse)


class _Costs:
    """Bits that levels take, estimated from how often they occur in which rows and columns."""

    def __init__(self, levels: Levels) -> None:
        mask = levels != 0
        rows, columns = mask.shape
        all_ = (mask.sum() + 0.5) / (mask.size + 1)
        by_row = (mask.sum(1) + 4 * all_) / (columns + 4)
        by_column = (mask.sum(0) + 4 * all_) / (rows + 4) if rows >= FEW_ROWS else np.full(columns, all_)
        logit = _logit(by_row)[:, None] + _logit(by_column) - _logit(all_)
        self.zero = np.logaddexp(0, logit) / math.log(2)
        self.other = np.logaddexp(0, -logit) / math.log(2) + 1  # and the sign
        sizes = np.minimum(np.abs(levels[mask]), TOLD_APART)
        counts = np.bincount(sizes, minlength=TOLD_APART + 1) + 0.3
        self.size = np.log2(counts[1:].sum() / counts)
        self.size[0] = 0

    def of(self, sizes: Levels, where: Any = ...) -> Doubles:
        """Give the bits of levels of these sizes."""
        other = self.other[where] + self.size[np.minimum(sizes, TOLD_APART)]
        found: Doubles = np.where(sizes == 0, self.zero[where], other)
        return found


def _logit(p: npt.ArrayLike) -> Doubles:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    found: Doubles = np.log(p / (1 - p))
    return found


def _cheapest(scaled: Doubles, worth: Doubles, costs: _Costs, price: float) -> Levels:
    below = np.floor(np.abs(scaled)).astype(np.int64)
    best = np.zeros_like(below)
    least = worth * scaled**2 + price * costs.of(best)
    for sizes in (below, below + 1):
        cost = worth * (np.abs(scaled) - sizes) ** 2 + price * costs.of(sizes)
        better = (cost < least) & (scaled != 0)
        best, least = np.where(better, sizes, best), np.where(better, cost, least)
    return np.where(scaled < 0, -best, best)


def _row(
    scaled: Doubles, second: Doubles, costs: _Costs, row: int, columns: npt.NDArray[np.int64], price: float
) -> Levels:
    """Quantise one weight after the other; those after it move to where the loss, given its error, is least."""
    scaled = scaled.copy()
    levels = np.zeros(len(scaled), np.int64)
    factor = np.linalg.cholesky(np.linalg.inv(second)).T  # of the inverse: row i is how those after i make good
    for i in range(len(scaled)):
        below = min(int(abs(scaled[i])), MOST - 1)
        sizes = np.array([0, below, below + 1])
        errors = (abs(scaled[i]) - sizes) / factor[i, i]
        size = int(sizes[np.argmin(errors**2 + price * costs.of(sizes, (row, columns[i])))])
        levels[i] = size if scaled[i] >= 0 else -size
        scaled[i + 1 :] -= (scaled[i] - levels[i]) / factor[i, i] * factor[i, i + 1 :]
    return levels


def _finite(name: str, numbers: npt.ArrayLike) -> Doubles:
    array = real_numbers(name, numbers).astype(np.float64)
    wrong = ~np.isfinite(array)
    if wrong.any():
        raise ValueError(f"{name} hold {array[wrong][0]}; finite numbers are accepted")
    return array


def _importance(importance: npt.ArrayLike, shape: tuple[int, ...]) -> Doubles:
    array = _finite("importance", importance)
    if array.shape != shape or (array < 0).any():
        raise ValueError(f"importance is of shape {array.shape}; numbers from 0 on of shape {shape} are accepted")
    return array


def _curvature(second: npt.ArrayLike, row: int, n: int) -> Doubles:
    array = _finite(f"curvature of row {row}", second)
    if array.shape != (n, n):
        raise ValueError(f"curvature of row {row} is of shape {array.shape}; ({n}, {n}) is accepted")
    try:
        np.linalg.cholesky(array)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"curvature of row {row} is not positive definite") from error
    return array
