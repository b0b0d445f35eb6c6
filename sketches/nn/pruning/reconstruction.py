"""Which weights can a layer lose so that its outputs stay, and what do the others become?

Inputs with covariance S, of which weights r are lost, change an output by ``r S r`` in the mean square, once the bias
has taken over what they gave on average (`sketches.nn.compensated_bias`). Scores of single weights, like Wanda's, take
S for diagonal; but inputs of networks are correlated, and a weight is lost at little cost if what it gave cancels with
what another lost weight gave. Here S is known whole: units² numbers, from one pass.

Elimination of one weight after another is the oldest of ways to choose regressors (M. Efroymson, "Multiple regression
analysis", 1960); with second derivatives it is that of B. Hassibi and D. Stork, "Second order derivatives for network
pruning: Optimal brain surgeon", NeurIPS 1992, and layer by layer that of E. Frantar and D. Alistarh, "Optimal brain
compression", NeurIPS 2022. These change the weights that are kept at each step; elimination here does not, which takes
no inverse of S, and `refit_weights` does so at the end. Preconditioned conjugate gradients for a fixed mask: X. Meng,
K. Behdin, H. Wang and R. Mazumder, "ALPS", NeurIPS 2024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.pruning.masks import Mask
from sketches.nn.pruning.scores import Floats, floats

__all__ = ["InputMoments", "checked", "elimination_scores", "reconstruction_errors", "refine_mask", "refit_weights"]

Doubles = npt.NDArray[np.float64]

ROWS = 64  # outputs worked on at once, so that intermediate results stay in the cache


class InputMoments:
    """The means of a layer's inputs and their covariances, exactly, from a stream of batches.

    Memory is ``8 * units * (units + 1)`` bytes however long the stream. Batches and merges combine as in
    `sketches.nn.statistics.moments`, so that large means do not cancel.

    Parameters
    ----------
    units
        The number of inputs.

    Attributes
    ----------
    samples
        How many samples were seen.
    mean
        float64 of shape (units,); zeros before the first sample.

    Examples
    --------
    >>> moments = InputMoments(2)
    >>> moments.observe([[0.0, 1.0], [2.0, 1.0]])
    >>> moments.observe([[1.0, 4.0]])
    >>> moments.mean.tolist(), moments.covariance.tolist()  # of 0, 2, 1 and 1, 1, 4, which do not covary
    ([1.0, 2.0], [[0.6666666666666666, 0.0], [0.0, 2.0]])
    """

    def __init__(self, units: int) -> None:
        units = bounds.check_integer("units", units, 1, 2**20)
        self.samples = 0
        self.mean: Doubles = np.zeros(units)
        self._scatter: Doubles = np.zeros((units, units))

    def observe(self, inputs: npt.ArrayLike) -> None:
        """Add a batch of shape (…, units).

        Raises
        ------
        TypeError, ValueError
            For another shape, or values that are not finite; nothing changes.
        """
        rows = floats("inputs", inputs)
        if rows.ndim < 1 or rows.shape[-1] != len(self.mean):
            raise ValueError(f"inputs have shape {rows.shape}; (…, {len(self.mean)}) is accepted")
        rows = rows.reshape(-1, len(self.mean))
        if len(rows):
            mean = rows.mean(axis=0, dtype=np.float64)
            centred = rows - mean.astype(np.float32)
            slip = centred.mean(axis=0, dtype=np.float64)  # what rounding the mean to float32 left
            scatter = (centred.T @ centred).astype(np.float64) - len(rows) * np.outer(slip, slip)
            self._add(len(rows), mean, scatter)

    def merge(self, other: InputMoments) -> None:
        """Add the samples that `other` has seen; ``ValueError`` if it has not as many units."""
        if other.mean.shape != self.mean.shape:
            raise ValueError(f"cannot merge: units are {len(self.mean)} here and {len(other.mean)} there")
        if other.samples:
            self._add(other.samples, other.mean, other._scatter)

    def _add(self, samples: int, mean: Doubles, scatter: Doubles) -> None:
        total = self.samples + samples
        apart = mean - self.mean
        self._scatter += scatter
        self._scatter += np.outer(apart, apart) * (self.samples * (samples / total))
        self.mean = self.mean + apart * (samples / total)
        self.samples = total

    @property
    def covariance(self) -> Doubles:
        """The population's covariances, float64 of shape (units, units); zeros before the first sample."""
        return self._scatter / max(self.samples, 1)

    @property
    def nbytes(self) -> int:
        """The memory of the state, in bytes."""
        return self.mean.nbytes + self._scatter.nbytes


def reconstruction_errors(weights: npt.ArrayLike, pruned: npt.ArrayLike, covariance: npt.ArrayLike) -> Doubles:
    """Give each output's mean squared change, the bias compensated: ``d S d`` for the row d of ``weights - pruned``.

    Parameters
    ----------
    weights, pruned
        Of shape (outputs, inputs), before and after.
    covariance
        Of the inputs, of shape (inputs, inputs).
    """
    matrix, squares = checked(weights, covariance)
    lost = matrix - _alike("pruned", pruned, matrix)
    errors: npt.NDArray[np.float64] = np.einsum("ij,ij->i", lost @ squares, lost)
    return errors


def elimination_scores(weights: npt.ArrayLike, covariance: npt.ArrayLike) -> Floats:
    """Score every weight by how much the error of its output grows when its turn to go comes, as float32.

    In each row the weight whose loss costs least goes first, then the one that costs least besides it, and so on; a
    score is the growth of `reconstruction_errors`, or that of an earlier weight of the row if this was larger. So every
    threshold prunes a first part of each row's sequence, and scores serve one row (`sketches.nn.compute_row_mask`), a
    layer or, times how much each output matters, all layers (`sketches.nn.compute_masks`).

    The scores of uncorrelated inputs are those of `activation_scores` with standard deviations, squared.

    Parameters
    ----------
    weights
        Of shape (outputs, inputs).
    covariance
        Of the inputs, of shape (inputs, inputs), as `InputMoments` has it. Time is outputs × inputs².

    Examples
    --------
    Two inputs that are always equal, with weights 1 and -1, and a third that is independent with weight 0.5, all of
    variance 1: to lose the third costs 0.25, then one of the first two costs 1, and the other then -1.

    >>> elimination_scores([[1.0, -1.0, 0.5]], [[1, 1, 0], [1, 1, 0], [0, 0, 1]]).tolist()
    [[1.0, 1.0, 0.25]]
    """
    matrix, squares = checked(weights, covariance)
    scores = np.empty(matrix.shape, np.float64)
    for top in range(0, len(matrix), ROWS):
        _eliminate(matrix[top : top + ROWS], squares, scores[top : top + ROWS])
    return floats("scores", scores)


def _eliminate(rows: Doubles, squares: Doubles, scores: Doubles) -> None:
    # With lost weights r, weight i costs 2 w_i (S r)_i + w_i² S_ii; when j goes, that grows by 2 w_i S_ij w_j.
    number, double = np.arange(len(rows)), 2 * rows
    costs = rows * rows * np.diagonal(squares)
    highest = np.zeros(len(rows))
    change = np.empty_like(rows)
    for _ in range(rows.shape[1]):
        least = costs.argmin(axis=1)
        np.maximum(highest, costs[number, least], out=highest)
        scores[number, least] = highest
        np.take(squares, least, axis=0, out=change)
        change *= rows[number, least, np.newaxis]
        change *= double
        costs += change
        costs[number, least] = np.inf


def refine_mask(weights: npt.ArrayLike, mask: npt.ArrayLike, covariance: npt.ArrayLike, *, rounds: int = 200) -> Mask:
    """Give a mask that keeps as many weights of each row, but lowers `reconstruction_errors`: one comes back, one goes.

    In each round the lost weight of a row whose return helps most is exchanged for the kept one that is then cheapest,
    if the error shrinks; until no row has such a pair.

    Parameters
    ----------
    weights, covariance
        As for `elimination_scores`.
    mask
        True for weights that are kept, of shape (outputs, inputs).
    rounds
        At most so many exchanges in a row.
    """
    matrix, squares = checked(weights, covariance)
    kept = _kept(mask, matrix).copy()
    rounds = bounds.check_integer("rounds", rounds, 0, 2**31)
    for top in range(0, len(matrix), ROWS):
        _refine(matrix[top : top + ROWS], kept[top : top + ROWS], squares, rounds)
    return kept


def _refine(rows: Doubles, kept: Mask, squares: Doubles, rounds: int) -> None:
    lost = np.where(kept, 0, rows)
    along = lost @ squares
    worth = 1e-9 * np.einsum("ij,ij->i", along, lost)  # less is not told from rounding
    own, active = rows * rows * np.diagonal(squares), np.flatnonzero(kept.any(axis=1) & ~kept.all(axis=1))
    for _ in range(rounds):
        row, keep = rows[active], kept[active]
        linear = 2 * row * along[active]
        number = np.arange(len(active))
        back = np.where(keep, np.inf, own[active] - linear).argmin(axis=1)
        pulled = row[number, back, np.newaxis] * squares[back]
        costs = np.where(keep, own[active] + linear - 2 * row * pulled, np.inf)
        gone = costs.argmin(axis=1)
        gain = (linear - own[active])[number, back] - costs[number, gone]
        better = gain > worth[active]
        active, back, gone = active[better], back[better], gone[better]
        if not len(active):
            break
        kept[active, back], kept[active, gone] = True, False
        along[active] += rows[active, gone, np.newaxis] * squares[gone] - pulled[better]


def refit_weights(
    weights: npt.ArrayLike, mask: npt.ArrayLike, covariance: npt.ArrayLike, *, ridge: float = 0.01, rounds: int = 100
) -> Floats:
    """Give the kept weights the values that bring the outputs closest to those before pruning, as float32.

    Each row v, which is 0 where the mask is False, minimises ``(w - v) S (w - v) + a |v - w|²`` over the kept weights,
    where a is `ridge` times the mean of the inputs' variances, by conjugate gradients, all rows at once.

    Parameters
    ----------
    weights, mask, covariance
        As for `refine_mask`.
    ridge
        How much it costs to leave the weights as they were; keeps few samples from fitting noise. At least 0.
    rounds
        Steps of the conjugate gradients at most; they end at a residual of 1e-6 of the first one.
    """
    matrix, squares = checked(weights, covariance)
    kept = _kept(mask, matrix)
    rounds = bounds.check_integer("rounds", rounds, 0, 2**31)
    if isinstance(ridge, bool) or not isinstance(ridge, int | float):
        raise TypeError(f"ridge is {ridge!r}; a number of 0 or more is accepted")
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge is {ridge}; a number of 0 or more is accepted")
    added = ridge * np.diagonal(squares).mean()
    scale = np.diagonal(squares) + added
    scale = np.where(scale > 0, scale, 1)
    found = np.where(kept, matrix, 0)
    residual = np.where(kept, (matrix - found) @ squares, 0)  # of the normal equations; the ridge adds none at w
    toward = residual / scale
    inner = np.einsum("ij,ij->i", residual, toward)
    step, end = toward, 1e-12 * inner
    for _ in range(rounds):
        if (inner <= end).all():
            break
        along = np.where(kept, step @ squares + added * step, 0)
        curved = np.einsum("ij,ij->i", step, along)
        length = np.divide(inner, curved, out=np.zeros_like(inner), where=(curved > 0) & (inner > end))[:, np.newaxis]
        found += length * step
        residual = residual - length * along
        toward = residual / scale
        after = np.einsum("ij,ij->i", residual, toward)
        step = toward + np.divide(after, inner, out=np.zeros_like(inner), where=inner > 0)[:, np.newaxis] * step
        inner = after
    return floats("refitted weights", found)


def checked(weights: npt.ArrayLike, covariance: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    """Give weights of shape (outputs, inputs) and their inputs' covariances as float64."""
    matrix, squares = floats("weights", weights), np.asarray(covariance)
    if matrix.ndim != 2:
        raise ValueError(f"weights have shape {matrix.shape}; (outputs, inputs) is accepted")
    if squares.shape != (matrix.shape[1],) * 2:
        raise ValueError(f"covariance has shape {squares.shape}, but weights have shape {matrix.shape}")
    floats("covariance", squares)  # finite real numbers
    return matrix.astype(np.float64), squares.astype(np.float64)


def _alike(name: str, numbers: Any, matrix: Doubles) -> Floats:
    array = floats(name, numbers)
    if array.shape != matrix.shape:
        raise ValueError(f"{name} has shape {array.shape}; {matrix.shape} is accepted")
    return array


def _kept(mask: Any, matrix: Doubles) -> Mask:
    kept = np.asarray(mask)
    if kept.dtype != np.bool_ or kept.shape != matrix.shape:
        raise ValueError(f"mask is {kept.dtype} of shape {kept.shape}; bool of shape {matrix.shape} is accepted")
    return kept
