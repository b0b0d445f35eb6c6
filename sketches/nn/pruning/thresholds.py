"""Which weights may go? Scores stream past twice at most, and a threshold remains; no one sorts all weights.

A first pass counts scores in a `Quantiles` table; it gives a threshold at the edge of a bin, and how many weights lie
below it. A second pass, over the same scores, looks only into the bin where the wanted threshold falls, and finds it
exactly: together the passes are a radix select on the bits of float32. The scores are in `scores`.

The schedule: M. Zhu and S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression"
(2017).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.pruning.masks import Mask, check_sparsity, compute_mask, compute_row_mask
from sketches.nn.pruning.scores import Floats, floats
from sketches.quantiles import Quantiles

__all__ = ["SCOPES", "StreamingPruner", "compute_masks", "cubic_schedule"]

SCOPES = ("global", "layer", "row")

BLOCK = 2**18  # scores looked at in one step of the second pass
RELATIVE_ERROR = 2**-10  # of the first pass: halves the 23 bits of a float32's mantissa between the passes


def cubic_schedule(step: int, steps: int, final_sparsity: float, initial: float = 0.0) -> float:
    """Give the sparsity at a step: from `initial` up to `final_sparsity` at `steps`, steeply at first, then flatter.

    ``final + (initial - final) * (1 - step / steps)**3`` (Zhu and Gupta 2017, equation 1), and `final_sparsity` after.
    Early, when many weights are superfluous, many go; late, when each matters, few.

    Examples
    --------
    Halfway, (1/2)**3 = 1/8 of the way is left:

    >>> round(cubic_schedule(50, 100, 0.8), 9)  # 0.8 * 7/8
    0.7
    """
    steps = bounds.check_integer("steps", steps, 1, 2**62)
    step = bounds.check_integer("step", step, 0, 2**62)
    initial, final = check_sparsity("initial", initial), check_sparsity("final_sparsity", final_sparsity)
    left = (1 - min(step / steps, 1.0)) ** 3
    return initial * left + final * (1 - left)  # both ends exactly


def compute_masks(scores: Mapping[str, npt.ArrayLike], sparsity: float, *, scope: str = "global") -> dict[str, Mask]:
    """Give the masks of the weights to keep, of several layers, without a sort of all scores.

    Parameters
    ----------
    scores
        The scores by the layer's name.
    sparsity
        The share of weights to prune, in [0, 1).
    scope
        Which scores are compared: "global", all (see `StreamingPruner` for the guarantee); "layer", those of a layer;
        "row", those of one output of a layer (see `compute_row_mask`).

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted; the message names the layer.
    """
    sparsity = check_sparsity("sparsity", sparsity)
    if scope not in SCOPES:
        raise ValueError(f"scope is {scope!r}; {', '.join(map(repr, SCOPES))} are accepted")
    checked = {layer: _scores(layer, values) for layer, values in scores.items()}
    if scope == "row":
        return {layer: compute_row_mask(values, sparsity) for layer, values in checked.items()}
    pruner = StreamingPruner(sparsity, per_layer=scope == "layer")
    for layer, values in checked.items():
        pruner.update(layer, values)
    for layer, values in checked.items():
        pruner.refine(layer, values)
    return {layer: pruner.mask(layer, values) for layer, values in checked.items()}


class StreamingPruner:
    """A threshold on scores that prunes a given share of the weights, from one or two passes over them.

    Of N weights k = round(sparsity * N) should go. Weights with ``score <= threshold`` do, in every case exactly
    `achieved` of them:

    - after `update` of every layer, the threshold is the edge of a bin: ``abs(pruned - k) <= n / 2``, where n is the
      number of weights in k's bin, whose scores differ by at most 2**-9 of themselves;
    - after `refine` of every layer as well, it is a score: ``abs(pruned - k) <= ties / 2``, where ties is the number of
      weights whose score equals the k-th smallest; without ties ``pruned == k``.

    But never do all weights go; if the nearest threshold would prune them all, the next smaller one is taken.

    Parameters
    ----------
    sparsity
        The share of weights to prune, in [0, 1).
    per_layer
        Whether each layer loses this share; otherwise all layers share one threshold, and those with small scores
        lose more.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range.

    Notes
    -----
    Scores are compared as float32. Memory is, for all layers together or for each (`per_layer`), a `Quantiles` table of
    4 kB for every factor of two between the least and the largest score (about 120 kB for trained weights), and 131 kB
    more in the second pass.

    Examples
    --------
    >>> from sketches.nn import magnitude_scores
    >>> rng = np.random.default_rng(1)
    >>> layers = {"first": rng.normal(size=(300, 100)), "second": rng.normal(size=(10, 300))}
    >>> pruner = StreamingPruner(0.9)
    >>> for name, weights in layers.items():
    ...     pruner.update(name, magnitude_scores(weights))
    >>> abs(pruner.achieved() - 0.9) < 0.005  # half a bin; a bin holds less than 1 % of the weights
    True
    >>> for name, weights in layers.items():
    ...     pruner.refine(name, magnitude_scores(weights))
    >>> pruner.achieved()  # 29,700 of 33,000: no two scores are equal
    0.9
    >>> masks = {name: pruner.mask(name, magnitude_scores(weights)) for name, weights in layers.items()}
    >>> int(sum(mask.sum() for mask in masks.values()))
    3300
    """

    def __init__(self, sparsity: float, *, per_layer: bool = False) -> None:
        self.sparsity = check_sparsity("sparsity", sparsity)
        self.per_layer = bool(per_layer)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._refined: set[str] = set()
        self._selections: dict[str | None, _Selection] = {}

    def update(self, layer: str, scores: npt.ArrayLike) -> None:
        """Take in the scores of a layer, each layer once: the first pass.

        Raises
        ------
        TypeError, ValueError
            If scores are no real numbers, not finite or negative, if the layer is known, or if the second pass has
            begun.
        """
        if not isinstance(layer, str):
            raise TypeError(f"layer is {layer!r}; a str is accepted")
        if layer in self._shapes:
            raise ValueError(f"layer {layer!r} was given before; each layer is taken in once a pass")
        if self._refined:
            raise ValueError(f"layer {layer!r} comes after the second pass began")
        checked = _scores(layer, scores)
        scope = layer if self.per_layer else None
        self._selections.setdefault(scope, _Selection(self.sparsity)).update(checked)
        self._shapes[layer] = checked.shape

    def refine(self, layer: str, scores: npt.ArrayLike) -> None:
        """Take in the same scores of a layer again, after all layers were taken in once: the second pass.

        Raises
        ------
        TypeError, ValueError
            As for `update`, and if the layer is unknown, its shape has changed or it was refined before.
        """
        checked = self._known(layer, scores)
        if layer in self._refined:
            raise ValueError(f"layer {layer!r} was refined before; each layer is taken in once a pass")
        self._selections[layer if self.per_layer else None].refine(checked)
        self._refined.add(layer)

    def threshold(self, layer: str | None = None) -> float:
        """Give the threshold: weights of this score or less go.

        Parameters
        ----------
        layer
            The layer, if thresholds are per layer; otherwise it makes no difference.

        Raises
        ------
        ValueError
            If the layer is unknown, if the second pass saw some layers but not all, or if scores changed between
            the passes.
        """
        return self._selection(layer).choose()[0]

    def achieved(self, layer: str | None = None) -> float:
        """Give the share of weights that go, exactly: of all layers, or of one if thresholds are per layer."""
        if layer is not None and not self.per_layer:
            raise ValueError(f"layer is {layer!r}, but all layers share one threshold; the layer's mask has its share")
        layers = [layer] if layer is not None or not self.per_layer else list(self._shapes)
        selections = [self._selection(name) for name in layers]
        total = sum(selection.total for selection in selections)
        return sum(selection.choose()[1] for selection in selections) / total if total else 0.0

    def mask(self, layer: str, scores: npt.ArrayLike) -> Mask:
        """Give the mask of the weights to keep, in the shape of the layer; see `compute_mask`."""
        return compute_mask(self._known(layer, scores), self.threshold(layer))

    def _known(self, layer: str, scores: npt.ArrayLike) -> Floats:
        self._check_known(layer)
        checked = _scores(layer, scores)
        if checked.shape != self._shapes[layer]:
            raise ValueError(f"scores of layer {layer!r} have shape {checked.shape}, before {self._shapes[layer]}")
        return checked

    def _check_known(self, layer: str) -> None:
        if layer not in self._shapes:
            raise ValueError(f"layer {layer!r} is unknown; update() has seen {', '.join(self._shapes) or 'no layers'}")

    def _selection(self, layer: str | None) -> _Selection:
        """Find the selection of a layer (None: of all), and make sure that its passes are whole."""
        if layer is not None:
            self._check_known(layer)
        elif self.per_layer:
            raise ValueError("layer is missing, but thresholds are per layer")
        members = [layer] if layer is not None and self.per_layer else list(self._shapes)
        if not members:
            raise ValueError("update() has seen no layers")
        missing = [name for name in members if name not in self._refined]
        if missing and len(missing) < len(members):
            raise ValueError(f"the second pass has begun, but refine() has not seen layer {missing[0]!r}")
        return self._selections[layer if self.per_layer else None]


class _Selection:
    """The choice of one threshold: a table of all scores, then one of the scores in a single bin of it."""

    def __init__(self, sparsity: float) -> None:
        self.sparsity = sparsity
        self.table = Quantiles(RELATIVE_ERROR)
        self.fine: npt.NDArray[np.int64] | None = None  # how often each float32 of the bin occurs, in ascending order
        self.refined = 0, 0  # scores below the bin, and in it, in the second pass

    @property
    def total(self) -> int:
        return self.table.total

    @property
    def target(self) -> int:
        return round(self.sparsity * self.total)

    def bin(self) -> tuple[np.float32, np.float32, int, int]:
        """Give the bin that holds the target-th smallest score: its least and largest float32, scores below and in it.

        A double's bin may reach beyond the scores, and, at subnormal float32 numbers, end between two of them.
        """
        numbers, counts = self.table.bins()
        cumulated = np.cumsum(counts)
        i = int(np.searchsorted(cumulated, self.target))
        lower, upper = self.table.edges(numbers[i : i + 1])
        least, most = max(lower[0], self.table.minimum), min(upper[0], self.table.maximum)
        low, high = np.float32(least), np.float32(most)
        low = np.nextafter(low, np.float32(np.inf)) if low < least else low
        high = np.nextafter(high, np.float32(0)) if high > most else high
        return low, high, int(cumulated[i] - counts[i]), int(counts[i])

    def update(self, scores: Floats) -> None:
        self.table.update(scores.reshape(-1))

    def refine(self, scores: Floats) -> None:
        if not self.target:
            return
        low, high, _, _ = self.bin()
        first = int(low.view(np.int32))  # float32 numbers of one sign are consecutive integers
        if self.fine is None:
            self.fine = np.zeros(int(high.view(np.int32)) - first + 1, np.int64)
        below, inside = self.refined
        flat = scores.reshape(-1)
        for start in range(0, len(flat), BLOCK):
            block = flat[start : start + BLOCK]
            found = block[(block >= low) & (block <= high)]
            self.fine += np.bincount((found.view(np.int32) & 0x7FFFFFFF) - first, minlength=len(self.fine))
            below += int(np.count_nonzero(block < low))
            inside += len(found)
        self.refined = below, inside

    def choose(self) -> tuple[float, int]:
        """Give the threshold and how many scores it prunes: the nearest number to the target, but not all."""
        target = self.target
        if not target:
            return -math.inf, 0
        low, high, below, inside = self.bin()
        through = below + inside
        if self.fine is not None:
            if self.refined != (below, inside):
                raise ValueError(f"scores changed: (below, in) the bin are {self.refined}, before {(below, inside)}")
            cumulated = below + np.cumsum(self.fine)
            i = int(np.searchsorted(cumulated, target))
            low = high = (low.view(np.int32) + np.int32(i)).view(np.float32)
            below, through = int(cumulated[i] - self.fine[i]), int(cumulated[i])
        if through < self.total and through - target <= target - below:
            return float(high), through
        return float(np.nextafter(low, np.float32(-np.inf))), below


def _scores(layer: str, scores: npt.ArrayLike) -> Floats:
    array = floats(f"scores of layer {layer!r}", scores)
    if array.size and array.min() < 0:
        raise ValueError(f"scores of layer {layer!r} hold {array.min()}; scores of 0 and more are accepted")
    return array
