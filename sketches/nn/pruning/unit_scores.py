"""What is lost with a unit? Scores of units on their own, on plain arrays; `unit_reconstruction` scores sequences.

Taylor: P. Molchanov, A. Mallya, S. Tyree, I. Frosio and J. Kautz, "Importance estimation for neural network pruning",
CVPR 2019, equation 8. What varies little is made up for by a bias: J. Sietsma and R. Dow, "Creating artificial neural
networks that generalize", Neural Networks 4 (1991).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sketches.nn.arrays import real_numbers

__all__ = ["contribution_scores", "taylor_unit_scores"]

Floats = npt.NDArray[np.float64]


def contribution_scores(weights: npt.ArrayLike, variances: npt.ArrayLike) -> Floats:
    """Score every input of a layer by its share of what moves the layer: ``variance * ‖weights[:, input]‖²``.

    That is how much the layer's outputs vary, summed over them, if this input alone varies; what does not vary is
    made up for by a bias (`sketches.nn.compensated_bias`). A layer's scores are divided by their sum, so they compare
    across layers.

    Parameters
    ----------
    weights
        Of the layer that takes the inputs in, of shape (outputs, inputs, …).
    variances
        Of the inputs over a stream, of shape (inputs,).

    Examples
    --------
    The second input has the smaller weights, but varies more: 1 * 2² beside 36 * 1².

    >>> contribution_scores([[2.0, 1.0]], [1.0, 36.0]).tolist()
    [0.1, 0.9]
    """
    columns = _columns(weights)
    spread = _rows(variances, "variances")[:, 0]
    if spread.shape != columns.shape[1:2] or not (spread >= 0).all():
        raise ValueError(f"variances must be {columns.shape[1]} numbers of 0 and more, for weights of {columns.shape}")
    scores = spread * (columns**2).sum(axis=(0, 2))
    total = scores.sum()
    return np.asarray(scores / total if total > 0 else scores)


def taylor_unit_scores(weights: npt.ArrayLike, gradients: npt.ArrayLike) -> Floats:
    """Score every unit by the square of what its removal changes the loss to first order: ``(Σ weight * gradient)²``.

    Both are of shape (units, …), the scores of shape (units,). To score by a stream, add up the scores of its batches.
    """
    rows, slopes = _rows(weights), _rows(gradients, "gradients")
    if rows.shape != slopes.shape:
        raise ValueError(f"gradients have shape {np.shape(gradients)}, but weights have shape {np.shape(weights)}")
    return np.asarray((rows * slopes).sum(axis=1) ** 2)


def _rows(numbers: npt.ArrayLike, name: str = "weights") -> Floats:
    array = real_numbers(name, numbers).astype(np.float64)
    if array.ndim < 1 or not np.isfinite(array).all():
        raise ValueError(f"{name} of shape {array.shape} must have one axis or more and be finite")
    return array.reshape(len(array), -1)


def _columns(weights: npt.ArrayLike) -> Floats:
    array = real_numbers("weights", weights).astype(np.float64)
    if array.ndim < 2 or not np.isfinite(array).all():
        raise ValueError(f"weights of shape {array.shape} must be (outputs, inputs, …) and finite")
    return array.reshape(*array.shape[:2], -1)
