"""From scores to the weights that stay: above a threshold, of each row, or so many of each few in a row.

A mask is True where a weight stays. For a threshold over all weights, or over a layer's, see
`sketches.nn.StreamingPruner`; a row fits in memory, and is selected from directly.

Patterns of n in m: A. Mishra et al., "Accelerating sparse deep neural networks" (2021), arXiv:2104.08378.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.pruning.scores import Floats, floats

__all__ = ["Mask", "check_sparsity", "compute_mask", "compute_pattern_mask", "compute_row_mask"]

Mask = npt.NDArray[np.bool_]


def compute_mask(scores: npt.ArrayLike, threshold: float) -> Mask:
    """Give the mask of the weights to keep: True where the score, as float32, exceeds the threshold."""
    return floats("scores", scores) > np.float32(threshold)


def compute_row_mask(scores: npt.ArrayLike, sparsity: float) -> Mask:
    """Give the mask in which each row loses its ``round(sparsity * n)`` smallest of n scores, but never all.

    Parameters
    ----------
    scores
        Of shape (rows, …): all scores of one output are a row. Of equal scores the first ones stay.
    sparsity
        The share of each row to prune, in [0, 1).

    Examples
    --------
    >>> compute_row_mask([[3.0, 1.0, 4.0, 1.0], [5.0, 9.0, 2.0, 6.0]], 0.5).astype(int).tolist()
    [[1, 0, 1, 0], [0, 1, 0, 1]]
    """
    sparsity, found = check_sparsity("sparsity", sparsity), _scores(scores)
    if found.ndim < 2:
        raise ValueError(f"scores have shape {found.shape}; (rows, …) is accepted")
    rows = found.reshape(len(found), math.prod(found.shape[1:]))
    kept = rows.shape[1] - min(round(sparsity * rows.shape[1]), rows.shape[1] - 1)
    if not rows.size or kept == rows.shape[1]:
        return np.ones(found.shape, np.bool_)
    least = np.partition(rows, -kept, axis=1)[:, -kept, np.newaxis]
    mask = rows > least
    ties = rows == least
    room = kept - np.count_nonzero(mask, axis=1, keepdims=True)
    mask |= ties & (np.cumsum(ties, axis=1) <= room)
    return mask.reshape(found.shape)


def compute_pattern_mask(scores: npt.ArrayLike, n: int, m: int, axis: int = 1) -> Mask:
    """Give the mask that keeps the n largest of each m consecutive scores along an axis; 2:4 is what GPUs speed up.

    Parameters
    ----------
    scores
        An array of scores. Of equal ones the first stay.
    n, m
        How many of how many stay, 0 < n <= m. If the axis is no multiple of m long, its last group has r < m scores,
        of which the n largest stay, or all r if these are no more: no group ever keeps more than n.
    axis
        Along which the groups lie: the inputs, also of a kernel (outputs, inputs, height, width), whose groups are m
        input channels at one place, as NVIDIA's sparse tensor cores and its library ASP have them.

    Examples
    --------
    >>> compute_pattern_mask([[3.0, 1.0, 4.0, 1.0, 5.0, 9.0]], 2, 4).astype(int).tolist()  # 5 and 9: a group of two
    [[1, 0, 1, 0, 1, 1]]
    """
    m = bounds.check_integer("m", m, 1, 2**20)
    n = bounds.check_integer("n", n, 1, m)
    found = _scores(scores)
    if not -found.ndim <= axis < found.ndim:
        raise ValueError(f"axis is {axis}, but scores have shape {found.shape}")
    lines = np.moveaxis(found, axis, -1)
    length = lines.shape[-1]
    padded = np.full((*lines.shape[:-1], -(-length // m) * m), -1, np.float32)  # below every score
    padded[..., :length] = lines
    groups = padded.reshape(-1, m)
    mask = np.zeros(groups.shape, np.bool_)
    order = np.argsort(-groups, axis=1, kind="stable")[:, :n]
    np.put_along_axis(mask, order, True, axis=1)
    return np.ascontiguousarray(np.moveaxis(mask.reshape(padded.shape)[..., :length], -1, axis))


def check_sparsity(name: str, value: float) -> float:
    """Give a share to prune as a float; raise an error that names it if it is not in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}; a number in [0, 1) is accepted")
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; a number in [0, 1) is accepted")
    return float(value)


def _scores(scores: npt.ArrayLike) -> Floats:
    found = floats("scores", scores)
    if found.size and found.min() < 0:
        raise ValueError(f"scores hold {found.min()}; scores of 0 and more are accepted")
    return found
