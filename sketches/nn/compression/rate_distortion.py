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
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.nn.arrays import real_numbers
from sketches.nn.compression.shared import SharedWeights

__all__ = ["check_price", "on_grid", "quantize", "short_step"]

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[Any]
Levels = npt.NDArray[np.int32]
Curvature = Callable[[int, npt.NDArray[np.int64]], npt.ArrayLike]

MOST = 2**15  # of levels, above and below zero
TOLD_APART = 40  # magnitudes whose bits are counted one by one
FEW_ROWS = 8  # below them columns have no density of their own
PASSES = 2
BLOCK = 2**19  # weights that are looked at together


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
    check_price(price)
    if importance is not None and curvature is not None:
        raise ValueError("importance and curvature are given; one of the two is accepted")
    worth = None if importance is None else _importance(importance, array.shape)
    rows = _matrix(array)
    if _largest(rows) / step > MOST:
        raise ValueError(f"step is {step}; {_largest(rows)} would be more than {MOST} of it")
    levels = np.empty(rows.shape, np.int32)
    for block in _blocks(rows):
        levels[block] = np.rint(_scaled(rows[block], step))
    if curvature is not None:
        costs = _Costs(levels)
        for r in range(len(rows)):
            kept = np.flatnonzero(rows[r])
            if len(kept):
                second = _curvature(curvature(r, kept), r, len(kept)) * step**2
                levels[r, kept] = _row(_scaled(rows[r, kept], step), second, costs, r, kept, price)
    elif price > 0:
        for _ in range(PASSES):
            costs = _Costs(levels)
            for block in _blocks(rows):
                weights_worth = 1.0 if worth is None else _matrix(worth)[block]
                levels[block] = _cheapest(_scaled(rows[block], step), weights_worth * step**2, costs, block, price)
    return on_grid(levels.reshape(array.shape), step)


def check_price(price: float) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless a price is a finite number from 0 on."""
    if isinstance(price, bool) or not isinstance(price, Real):
        raise TypeError(f"price is {price!r}; a finite number from 0 on is accepted")
    if not (price >= 0 and math.isfinite(price)):
        raise ValueError(f"price is {price}; a finite number from 0 on is accepted")


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
        rows, columns = levels.shape
        in_rows, in_columns = np.count_nonzero(levels, axis=1), np.count_nonzero(levels, axis=0)
        all_ = (in_rows.sum() + 0.5) / (levels.size + 1)
        self.rows = _logit((in_rows + 4 * all_) / (columns + 4))
        self.columns = (
            _logit((in_columns + 4 * all_) / (rows + 4)) - _logit(all_) if rows >= FEW_ROWS else np.zeros(columns)
        )
        counts = np.full(TOLD_APART + 1, 0.3)
        for block in _blocks(levels):
            counts += np.bincount(np.minimum(np.abs(levels[block]), TOLD_APART).reshape(-1), minlength=TOLD_APART + 1)
        self.sizes = np.log2(counts[1:].sum() / counts)

    def logits(self, rows: Any) -> Doubles:
        """Give the logit of the probability that a weight of these rows is not zero, for every column."""
        found: Doubles = self.rows[rows, None] + self.columns
        return found

    def bits(self, logits: Doubles) -> tuple[Doubles, Doubles]:
        """Give the bits of zero, and those of any other level without its size."""
        zero = np.logaddexp(0, logits) / math.log(2)
        return zero, zero - logits / math.log(2) + 1  # the sign

    def of(self, sizes: npt.NDArray[np.int64], zero: npt.ArrayLike, other: npt.ArrayLike) -> Doubles:
        """Give the bits of levels of these sizes, from what `bits` gives."""
        found: Doubles = np.where(sizes == 0, zero, other + self.sizes[np.minimum(sizes, TOLD_APART)])
        return found


def _logit(p: npt.ArrayLike) -> Doubles:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    found: Doubles = np.log(p / (1 - p))
    return found


def _cheapest(scaled: Doubles, worth: npt.ArrayLike, costs: _Costs, rows: slice, price: float) -> Doubles:
    """Give the cheapest level of each weight; those that are zero, stay it."""
    kept = scaled != 0
    exact, (zero, other) = np.abs(scaled[kept]), costs.bits(costs.logits(rows)[kept])
    worth = np.broadcast_to(worth, scaled.shape)[kept]
    best = np.zeros(len(exact), np.int64)
    least = worth * exact**2 + price * zero
    for around in (np.floor(exact), np.ceil(exact)):
        sizes = around.astype(np.int64)
        cost = worth * (exact - sizes) ** 2 + price * costs.of(sizes, zero, other)
        better = cost < least
        best, least = np.where(better, sizes, best), np.where(better, cost, least)
    found = np.zeros_like(scaled)
    found[kept] = np.copysign(best, scaled[kept])
    return found


def _row(
    scaled: Doubles, second: Doubles, costs: _Costs, row: int, columns: npt.NDArray[np.int64], price: float
) -> Levels:
    """Quantise one weight after the other; those after it move to where the loss, given its error, is least."""
    scaled = scaled.copy()
    levels = np.zeros(len(scaled), np.int32)
    zero, other = costs.bits(costs.logits(slice(row, row + 1))[0, columns])
    factor = np.linalg.cholesky(np.linalg.inv(second)).T  # of the inverse: row i is how those after i make good
    for i in range(len(scaled)):
        below = min(int(abs(scaled[i])), MOST - 1)
        sizes = np.array([0, below, below + 1])
        errors = (abs(scaled[i]) - sizes) / factor[i, i]
        size = int(sizes[np.argmin(errors**2 + price * costs.of(sizes, zero[i], other[i]))])
        levels[i] = size if scaled[i] >= 0 else -size
        scaled[i + 1 :] -= (scaled[i] - levels[i]) / factor[i, i] * factor[i, i + 1 :]
    return levels


def _largest(array: Numbers) -> float:
    return max(float(array.max(initial=0)), -float(array.min(initial=0)))


def _matrix(array: Numbers) -> Numbers:
    """Give the first axis as rows, all others as columns; one axis alone, or none, is a single row."""
    return array.reshape(len(array) if array.ndim > 1 else 1, -1) if array.size else array.reshape(1, 0)


def _scaled(weights: Numbers, step: float) -> Doubles:
    found: Doubles = np.divide(weights, step, dtype=np.float64)
    return found


def _blocks(matrix: Numbers) -> Iterator[slice]:
    """Give some rows after the other."""
    rows, columns = matrix.shape
    together = max(1, BLOCK // max(1, columns))
    yield from (slice(start, start + together) for start in range(0, rows, together))


def _finite(name: str, numbers: npt.ArrayLike) -> Numbers:
    array = real_numbers(name, numbers)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold {array[~np.isfinite(array)][0]}; finite numbers are accepted")
    return array


def _importance(importance: npt.ArrayLike, shape: tuple[int, ...]) -> Numbers:
    array = _finite("importance", importance)
    if array.shape != shape or (array < 0).any():
        raise ValueError(f"importance is of shape {array.shape}; numbers from 0 on of shape {shape} are accepted")
    return array


def _curvature(second: npt.ArrayLike, row: int, n: int) -> Doubles:
    array = _finite(f"curvature of row {row}", second).astype(np.float64)
    if array.shape != (n, n):
        raise ValueError(f"curvature of row {row} is of shape {array.shape}; ({n}, {n}) is accepted")
    try:
        np.linalg.cholesky(array)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"curvature of row {row} is not positive definite") from error
    return array
