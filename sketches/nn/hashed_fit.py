"""The values that hashed weights should have to be closest to given weights, which are read once.

With A the matrix of signs that makes weights of values (one ±1 a row for each hash), the best values solve
``A.T @ A @ values = A.T @ weights``. One pass over the weights gives the right side. With one hash, ``A.T @ A`` is
diagonal, how often each value is used; with more, conjugate gradients (M. Hestenes and E. Stiefel, "Methods of
conjugate gradients for solving linear systems", 1952) solve the system, and A is made again by hash at each step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.hashed_weights import collect, expand
from sketches._ext.hashing import Hasher
from sketches.nn.arrays import real_numbers

__all__ = ["BLOCK", "fit_values", "row_blocks"]

Doubles = npt.NDArray[np.float64]

BLOCK = 2**18  # weights made at a time: 1 MiB as float32
STEPS, CLOSE = 100, 1e-10  # of conjugate gradients: at most so many, and the squared residual that ends them


def row_blocks(shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Give the starts and stops of blocks of rows, each of about `BLOCK` weights."""
    step = max(1, BLOCK // math.prod(shape[1:]))
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])


def fit_values(
    shape: Sequence[int], blocks: Iterable[npt.ArrayLike], size: int, *, seed: int = 0, hashes: int = 1
) -> Doubles:
    """Give the values with the least squared error, the sum over all weights.

    Parameters
    ----------
    shape
        Of the virtual weights.
    blocks
        The weights as consecutive blocks of rows, of shape (rows, *shape[1:]); each is read once and let go.
    size, seed
        As of `HashedWeights`.
    hashes
        How many values are added up for each weight: weight i of M is the sum over j < hashes of the weights
        ``i + j * M`` of a `HashedWeights`.

    Returns
    -------
    Of shape (size,). A value that no weight uses is 0.

    Raises
    ------
    TypeError, ValueError
        If a block has another shape or dtype or holds NaN or infinity, or there are too few or too many rows.
    """
    hasher, total, width = Hasher(seed), math.prod(shape), math.prod(shape[1:])
    sums, counts, row = np.zeros(size), np.zeros(size, np.int64), 0
    for block in blocks:
        array = real_numbers("weights", block)
        if array.shape[1:] != tuple(shape[1:]) or array.ndim != len(shape) or row + len(array) > shape[0]:
            where = f"a block has shape {array.shape} at row {row}"
            raise ValueError(f"weights: {where}; consecutive rows of {tuple(shape)} are accepted")
        numbers = np.ascontiguousarray(array, np.float64).reshape(-1)
        if not np.isfinite(numbers).all():
            raise ValueError("weights hold NaN or infinity")
        for j in range(hashes):
            collect(hasher, numbers, j * total + row * width, sums, counts)
        row += len(array)
    if row != shape[0]:
        raise ValueError(f"weights: the blocks have {row} rows; {shape[0]} are accepted")
    if hashes == 1:
        return sums / np.maximum(counts, 1)
    return _solve(hasher, shape, sums, counts, hashes)


def _solve(hasher: Hasher, shape: Sequence[int], sums: Doubles, counts: npt.NDArray[np.int64], hashes: int) -> Doubles:
    """Solve the normal equations by conjugate gradients, preconditioned with the diagonal."""
    scale = 1 / np.maximum(counts, 1)
    values, residual = np.zeros_like(sums), sums.copy()
    direction = scaled = scale * residual
    error = first = residual @ scaled
    for _ in range(STEPS):
        if error <= CLOSE * first:
            break
        image = _twice(hasher, shape, direction, hashes)
        step = error / (direction @ image)
        values += step * direction
        residual -= step * image
        scaled = scale * residual
        before, error = error, residual @ scaled
        direction = scaled + error / before * direction
    return values


def _twice(hasher: Hasher, shape: Sequence[int], values: Doubles, hashes: int) -> Doubles:
    """Give ``A.T @ A @ values``, a block of weights at a time."""
    sums, total, width = np.zeros_like(values), math.prod(shape), math.prod(shape[1:])
    for start, stop in row_blocks(shape):
        weights: npt.NDArray[Any] = np.zeros((stop - start) * width)
        part = np.empty_like(weights)
        for j in range(hashes):
            expand(hasher, values, j * total + start * width, part)
            weights += part
        for j in range(hashes):
            collect(hasher, weights, j * total + start * width, sums, None)
    return sums
