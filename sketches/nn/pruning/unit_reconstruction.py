"""What is lost with a unit if the layers that take it in make up for it with the units that stay? On plain arrays.

Each output of a layer is a regression on its inputs. A unit that goes takes its inputs along, all of them at once, and
what it gave is fitted by those that stay; the unit whose loss then costs least goes first. That is backward elimination
of groups of regressors, or the optimal brain surgeon (B. Hassibi and D. Stork, NeurIPS 1992) with a layer's squared
error and whole units: E. Kurtic, E. Frantar and D. Alistarh, "ZipLM", NeurIPS 2023; for convolutions, with another
order of choice, J.-H. Luo, J. Wu and W. Lin, "ThiNet", ICCV 2017.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.pruning.reconstruction import checked

__all__ = ["fit_to_inputs", "unit_elimination_scores"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def unit_elimination_scores(
    weights: npt.ArrayLike, covariance: npt.ArrayLike, units: npt.ArrayLike | None = None, *, ridge: float = 0.01
) -> Floats:
    """Score every unit that a layer takes in by how much the layer's error grows when its turn to go comes.

    Units go one after another, always that whose loss costs least once the weights of those that stay are fitted anew
    (`sketches.nn.refit_weights`). A score is the growth of the error, or that of an earlier unit if this was larger, as
    a share of the variance of the layer's outputs: so every number of units to keep is a last part of the sequence, and
    scores compare across layers.

    Parameters
    ----------
    weights
        Of the layer that takes the units in, of shape (outputs, inputs).
    covariance
        Of the inputs, of shape (inputs, inputs), as `InputMoments` has it.
    units
        Of each input, the number of its unit, of shape (inputs,), or -1 for inputs that stay; without it, each input is
        one.
    ridge
        As for `refit_weights`, with which the fitted weights agree; more than 0.

    Returns
    -------
    float64 of shape (units,), 0 for numbers that no input has. Time is inputs³ for all units together, and for each
    unit once more outputs × inputs × the inputs of one unit.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or numbers are not finite or out of range.

    Examples
    --------
    The first two inputs are always equal: either can stand for both, at no cost but the ridge's. The second one of them
    to go costs what both gave, (1 + 1)² of a variance of (1 + 1)² + 0.5².

    >>> equal = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    >>> unit_elimination_scores([[1.0, 1.0, 0.5]], equal, ridge=1e-6).round(3).tolist()
    [0.0, 0.941, 0.059]
    """
    matrix, squares = checked(weights, covariance)
    ridge = bounds.check_fraction("ridge", ridge)
    owners = np.arange(matrix.shape[1]) if units is None else np.asarray(units)
    if owners.shape != matrix.shape[1:] or owners.dtype.kind not in "iu" or (owners < -1).any():
        raise ValueError(f"units must be {matrix.shape[1]} integers of -1 and more, for weights of {matrix.shape}")
    scores = np.zeros(int(owners.max(initial=-1)) + 1)
    added = ridge * np.diagonal(squares).mean()
    whole = np.einsum("ij,ij->", matrix @ squares, matrix)
    if added <= 0 or whole <= 0:  # nothing varies, or nothing that does is taken in: nothing is lost
        return scores
    inverse = np.linalg.inv(squares + added * np.eye(len(squares)))
    left = _by_size(owners)
    highest = 0.0
    while left:
        cost, unit, gone = min(
            (cost, unit, places)
            for members, places_of in left
            for cost, unit, places in zip(
                _costs(matrix, inverse, places_of).tolist(), members.tolist(), places_of.tolist(), strict=True
            )
        )
        highest = max(highest, cost / whole)
        scores[unit] = highest
        pull = np.linalg.solve(inverse[np.ix_(gone, gone)], inverse[gone])
        matrix = matrix - matrix[:, gone] @ pull
        inverse = inverse - inverse[:, gone] @ pull
        left = [(m[m != unit], p[m != unit]) for m, p in left if len(m) > 1 or m[0] != unit]
    return scores


def fit_to_inputs(weights: Floats, covariance: Floats, kept: npt.NDArray[np.bool_], *, ridge: float = 0.01) -> Floats:
    """Give what `sketches.nn.refit_weights` gives where all outputs keep the same inputs: one system for all."""
    added = ridge * np.diagonal(covariance).mean()
    after = np.where(kept, weights, 0.0)
    if added > 0:  # else nothing varies
        squares = covariance[np.ix_(kept, kept)] + added * np.eye(int(kept.sum()))
        after[:, kept] += np.linalg.solve(squares, covariance[np.ix_(kept, ~kept)] @ weights[:, ~kept].T).T
    return after


def _by_size(owners: Integers) -> list[tuple[Integers, Integers]]:
    """Give units of as many inputs each, and their inputs, of shape (units, inputs of each)."""
    going = np.flatnonzero(owners >= 0)
    numbers, counts = np.unique(owners[going], return_counts=True)
    order = going[np.argsort(owners[going], kind="stable")]
    starts = np.cumsum(counts) - counts
    found = []
    for size in np.unique(counts).tolist():
        same = counts == size
        found.append((numbers[same], order[starts[same, np.newaxis] + np.arange(size)]))
    return found


def _costs(matrix: Floats, inverse: Floats, places: Integers) -> Floats:
    """Give what the squared error grows by without each unit: the trace of W_g (H⁻¹_gg)⁻¹ W_gᵀ."""
    rows = matrix.T[places]
    grams = rows @ rows.transpose(0, 2, 1)
    blocks = inverse[places[:, :, np.newaxis], places[:, np.newaxis, :]]
    return np.asarray(np.trace(np.linalg.solve(blocks, grams), axis1=1, axis2=2))
