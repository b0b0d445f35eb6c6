"""How much does a weight matter? Scores of weights, and of units, as functions of arrays.

The less a score, the sooner the weight goes; `StreamingPruner` and the functions of `masks` turn scores into masks.

Magnitudes: S. Han, J. Pool, J. Tran and W. Dally, "Learning both weights and connections for efficient neural
networks", NeurIPS 2015. Magnitude times the norm of the input: M. Sun, Z. Liu, A. Bair and J. Z. Kolter, "A simple and
effective pruning approach for large language models" (Wanda), ICLR 2024. First-order Taylor: P. Molchanov, S. Tyree,
T. Karras, T. Aila and J. Kautz, "Pruning convolutional neural networks for resource efficient inference", ICLR 2017.
What pruned weights contributed on average goes to the bias: Y. An, X. Zhao, T. Yu, M. Tang and J. Wang,
"Fluctuation-based adaptive structured pruning for large language models", AAAI 2024.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.arrays import real_numbers

__all__ = [
    "activation_scores",
    "compensated_bias",
    "floats",
    "magnitude_scores",
    "redundant_units",
    "taylor_scores",
]

Floats = npt.NDArray[np.float32]

_ROWS = 1024  # units compared at once


def magnitude_scores(weights: npt.ArrayLike) -> Floats:
    """Score every weight by its absolute value, as float32."""
    return np.abs(floats("weights", weights))


def activation_scores(weights: npt.ArrayLike, input_norms: npt.ArrayLike, *, groups: int = 1) -> Floats:
    """Score every weight by its absolute value times the norm of the input that it multiplies (Wanda), as float32.

    Wanda compares the scores of one output (row) with each other; see `sketches.nn.compute_row_mask`. With standard
    deviations in place of norms, and `compensated_bias`, an input that hardly varies costs nothing.

    Parameters
    ----------
    weights
        An array of shape (outputs, inputs / groups, …), as PyTorch's layers have.
    input_norms
        The Euclidean norm of each input over a stream of samples, of shape (inputs,).
    groups
        Of a grouped convolution: outputs and inputs fall into so many groups, and meet only within one.
    """
    matrix, norms = floats("weights", weights), floats("input_norms", input_norms)
    groups = bounds.check_integer("groups", groups, 1, 2**31)
    if matrix.ndim < 2 or norms.shape != (groups * matrix.shape[1],) or matrix.shape[0] % groups:
        of_groups = f" and {groups} groups" if groups > 1 else ""
        raise ValueError(f"input_norms have shape {norms.shape}, but weights have shape {matrix.shape}{of_groups}")
    if (norms < 0).any():
        raise ValueError(f"input_norms hold {norms.min()}; norms of 0 and more are accepted")
    grouped = np.abs(matrix).reshape(groups, -1, *matrix.shape[1:])
    with np.errstate(over="ignore"):
        scores = grouped * norms.reshape(groups, 1, -1, *[1] * (matrix.ndim - 2))
    return floats("scores", scores.reshape(matrix.shape))


def taylor_scores(weights: npt.ArrayLike, gradients: npt.ArrayLike) -> Floats:
    """Score every weight by how much the loss changes, to first order, where it becomes zero: ``abs(w * g)``.

    Over several batches, average the scores: the mean of the gradients would vanish where training has converged.

    Parameters
    ----------
    weights, gradients
        Of one shape.
    """
    first, second = floats("weights", weights), floats("gradients", gradients)
    if first.shape != second.shape:
        raise ValueError(f"gradients have shape {second.shape}, but weights have shape {first.shape}")
    with np.errstate(over="ignore"):
        return floats("scores", np.abs(first * second))


def compensated_bias(
    bias: npt.ArrayLike | None,
    weights: npt.ArrayLike,
    mask: npt.ArrayLike,
    input_means: npt.ArrayLike,
    *,
    groups: int = 1,
) -> Floats:
    """Give the bias that takes over what pruned weights contribute on average, so that the mean of each output stays.

    Parameters
    ----------
    bias
        Of shape (outputs,), or None for zeros.
    weights
        Before pruning, of shape (outputs, inputs / groups, …). Where they are kernels, the means of the outputs stay
        the same but for those at a padded border.
    mask
        True for weights that are kept.
    input_means
        The mean of each input, of shape (inputs,).
    groups
        Of a grouped convolution, as for `activation_scores`.
    """
    matrix, means = floats("weights", weights), floats("input_means", input_means)
    groups = bounds.check_integer("groups", groups, 1, 2**31)
    kept = np.asarray(mask)
    if kept.dtype != np.bool_ or kept.shape != matrix.shape:
        raise ValueError(f"mask is {kept.dtype} of shape {kept.shape}; bool of shape {matrix.shape} is accepted")
    if matrix.ndim < 2 or means.shape != (groups * matrix.shape[1],) or len(matrix) % groups:
        of_groups = f" and {groups} groups" if groups > 1 else ""
        raise ValueError(f"input_means have shape {means.shape}, but weights have shape {matrix.shape}{of_groups}")
    before = np.zeros(len(matrix), np.float32) if bias is None else floats("bias", bias)
    if before.shape != matrix.shape[:1]:
        raise ValueError(f"bias has shape {before.shape}, but weights have shape {matrix.shape}")
    sums = np.where(kept, 0, matrix).reshape(groups, -1, matrix.shape[1], matrix[0, 0].size).sum(3, dtype=np.float64)
    lost = (sums @ means.reshape(groups, -1, 1)).reshape(-1)
    return floats("bias", before + lost)


def redundant_units(weights: npt.ArrayLike, tolerance: float = 1e-6) -> npt.NDArray[np.int64]:
    """Give for each unit the first one whose weights point the same way: itself, unless it is redundant.

    Where units are rectified, which keeps their ratio, such a unit can be merged into the first one: what reads it
    reads that one instead, times the ratio of the two norms. Append the bias to `weights` as a further column.

    Parameters
    ----------
    weights
        Of shape (units, …), a row for each unit. A unit without any weights is like no other.
    tolerance
        How far from 1 the cosine between two units of one direction is at most, in (0, 1).

    Examples
    --------
    >>> redundant_units([[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]]).tolist()
    [0, 0, 2, 3]
    """
    tolerance = bounds.check_fraction("tolerance", tolerance)
    rows = floats("weights", weights).astype(np.float64)
    if rows.ndim < 2:
        raise ValueError(f"weights have shape {rows.shape}; (units, …) is accepted")
    rows = rows.reshape(len(rows), -1)
    norms = np.linalg.norm(rows, axis=1)
    rows /= np.where(norms, norms, 1)[:, np.newaxis]
    first = np.arange(len(rows))
    for start in range(0, len(rows), _ROWS):
        block = slice(start, start + _ROWS)
        alike = rows[block] @ rows[: start + _ROWS].T >= 1 - tolerance
        own = first[block]
        first[block] = np.where(alike.any(axis=1), np.minimum(alike.argmax(axis=1), own), own)
    return first


def floats(name: str, numbers: npt.ArrayLike) -> Floats:
    """Give numbers as float32; ``ValueError`` names them where one is not finite, as such or as float32."""
    array = real_numbers(name, numbers)
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN, infinity or numbers beyond the range of float32")
    return array
