"""What is lost with a unit? Scores on plain arrays, and how the layers that took it in make up for it.

Norms of filters: H. Li, A. Kadav, I. Durdanovic, H. Samet and H. P. Graf, "Pruning filters for efficient ConvNets",
ICLR 2017. Taylor: P. Molchanov, A. Mallya, S. Tyree, I. Frosio and J. Kautz, "Importance estimation for neural network
pruning", CVPR 2019, equation 8. Constant units as a bias, and duplicates as one unit: J. Sietsma and R. Dow, "Creating
artificial neural networks that generalize", Neural Networks 4 (1991).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sketches.nn.arrays import real_numbers

__all__ = ["contribution_scores", "filter_norms", "first_equal", "folded_bias", "taylor_unit_scores"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def filter_norms(weights: npt.ArrayLike, order: int = 2) -> Floats:
    """Score every unit by the norm of the weights that make it, of order 1 or 2.

    Parameters
    ----------
    weights
        An array of shape (units, …), as PyTorch's layers have. The scores have the shape (units,).
    order
        1 for the sum of absolute weights, 2 for the root of their sum of squares.
    """
    if order not in (1, 2):
        raise ValueError(f"order is {order!r}; 1 and 2 are accepted")
    rows = np.abs(_rows(weights))
    return np.asarray(rows.sum(axis=1) if order == 1 else np.sqrt((rows**2).sum(axis=1)))


def contribution_scores(weights: npt.ArrayLike, variances: npt.ArrayLike) -> Floats:
    """Score every input of a layer by its share of what moves the layer: ``variance * ‖weights[:, input]‖²``.

    That is how much the layer's outputs vary, summed over them, if this input alone varies; what does not vary is
    made up for by a bias (`folded_bias`). A layer's scores are divided by their sum, so they compare across layers.

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


def first_equal(weights: npt.ArrayLike) -> Integers:
    """Give, of every row of weights, the number of the first row that equals it: its own if it is no duplicate."""
    rows = _rows(weights) + 0.0  # -0.0 becomes 0.0
    _, first, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[number.reshape(-1)], np.int64)


def folded_bias(weights: npt.ArrayLike, means: npt.ArrayLike, groups: int = 1) -> Floats:
    """Give what a layer's bias has to grow by if some inputs are replaced by their means: ``Σ weights * mean``.

    Exactly what the layer loses if those inputs are constant. A convolution that pads with zeros loses less at its
    borders, where the bias is then too large.

    Parameters
    ----------
    weights
        Of shape (outputs, inputs / groups, …).
    means
        Of the inputs, of shape (inputs,), 0 for those that stay.
    groups
        The groups of a convolution: outputs take in only the inputs of their own.
    """
    columns = _columns(weights).sum(axis=2)
    values = _rows(means, "means")[:, 0]
    if values.shape != (columns.shape[1] * groups,):
        raise ValueError(f"means must be {columns.shape[1] * groups} numbers, for weights of shape {np.shape(weights)}")
    parts = columns.reshape(groups, -1, columns.shape[1])
    return np.asarray(np.einsum("goi,gi->go", parts, values.reshape(groups, -1)).reshape(-1))


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
