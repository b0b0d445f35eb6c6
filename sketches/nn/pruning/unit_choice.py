"""Which units of a network may go together, and which should? On plain arrays; `torch.coupling` finds the places.

A *unit* is what can be removed from a network on its own: a column of one layer's output, with all that it is tied to.
It has *places*, rows or columns of weights: where it is made, where it is normalised, where it is taken in. Units that
a sum ties (a residual connection) are one unit that several layers make.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Coupling", "Place", "choose_units"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """An axis of a layer's weights, and the unit of each position along it.

    `side` is "out" where the layer makes units (rows of its weights), "in" where it takes them in (columns), "along"
    where it has parameters for each and makes none (batch normalisation, depthwise convolution).
    """

    layer: str
    side: str
    units: Integers


@dataclass(frozen=True)
class Coupling:
    """The units of a network and their places.

    Attributes
    ----------
    places
        All places; a layer has at most one for each side.
    groups
        Of each unit, the number of its group, of shape (units,): units are in one group if one layer makes them.
    removable
        Of each unit, whether it may go.
    frozen
        Of each layer that makes units which may not go, the reason.
    multiply_adds
        Of each layer, how many multiplications and additions of its result one pass of the example inputs takes.
    """

    places: tuple[Place, ...]
    groups: Integers
    removable: Mask
    frozen: dict[str, str]
    multiply_adds: dict[str, int]

    @property
    def layers(self) -> dict[str, Integers]:
        """The layers that make units, some of which may go, and the unit of each of their outputs."""
        made = {place.layer: place.units for place in self.places if place.side == "out"}
        return {layer: units for layer, units in made.items() if self.removable[units].any()}

    def cost(self, keep: Mask) -> float:
        """Give the multiply-adds if only these units, a mask of shape (units,), were kept."""
        shares = dict.fromkeys(self.multiply_adds, 1.0)
        for place in self.places:
            if place.layer in shares:
                shares[place.layer] *= float(keep[place.units].mean())
        return sum(self.multiply_adds[layer] * share for layer, share in shares.items())

    def kept(self, keep: Mask) -> dict[str, Integers]:
        """Give, of each layer in `layers`, the numbers of the outputs that are kept, ascending."""
        return {layer: np.flatnonzero(keep[units]) for layer, units in self.layers.items()}


def choose_units(
    coupling: Coupling,
    scores: Floats,
    *,
    share: float | Mapping[str, float] | None = None,
    multiply_adds: float | None = None,
) -> Mask:
    """Choose the units to keep: those of the highest scores.

    Parameters
    ----------
    coupling
        The network's units.
    scores
        What is lost with a unit, of shape (units,), 0 or more. Scores of one group are compared; with `multiply_adds`,
        those of different groups, too.
    share
        The share of each group's units to remove, in [0, 1): ``floor(share * units)`` of them, or as many as may go.
        Or the shares of the groups of some layers, by the layers' names; others keep all.
    multiply_adds
        The share of multiply-adds to leave, in (0, 1]: units go one by one, always that of the smallest score for each
        multiply-add that goes with it, until ``coupling.cost(keep) <= multiply_adds * coupling.cost(all)``.

    Returns
    -------
    A mask of shape (units,). Every place keeps one unit at least; those that may not go are kept.

    Raises
    ------
    ValueError
        If neither or both targets are given or out of range, if scores do not fit, or if all that may go does not
        suffice.
    """
    if (share is None) == (multiply_adds is None):
        raise ValueError(f"share is {share}, multiply_adds is {multiply_adds}; one of the two is accepted")
    scores = np.asarray(scores, np.float64)
    if scores.shape != coupling.groups.shape or not (np.isfinite(scores).all() and (scores >= 0).all()):
        raise ValueError(f"scores must be {len(coupling.groups)} finite numbers of 0 and more")
    queues = _queues(coupling, scores)
    keep = np.ones(len(scores), np.bool_)
    if share is not None:
        sizes = np.bincount(coupling.groups)
        for group, part in _shares(coupling, share, queues).items():
            keep[queues[group][: math.floor(part * sizes[group] + 1e-9)]] = False
        return keep
    if multiply_adds is None or isinstance(multiply_adds, bool) or not 0 < multiply_adds <= 1:
        raise ValueError(f"multiply_adds is {multiply_adds}; a number in (0, 1] is accepted")
    return _until(coupling, scores, queues, keep, multiply_adds * coupling.cost(keep))


def _shares(coupling: Coupling, share: float | Mapping[str, float], groups: Iterable[int]) -> dict[int, float]:
    """Give the share of each group."""
    if not isinstance(share, Mapping):
        _check_share("share", share)
        return dict.fromkeys(groups, share)
    shares: dict[int, float] = {}
    for layer, part in share.items():
        if layer not in coupling.layers:
            names = ", ".join(map(repr, coupling.layers)) or "none"
            raise ValueError(f"share has {layer!r}; layers with units that may go are {names}")
        _check_share(f"share of {layer!r}", part)
        group = int(coupling.groups[coupling.layers[layer][0]])
        if shares.setdefault(group, part) != part:
            raise ValueError(f"share of {layer!r} is {part}, but that of a layer tied to it is {shares[group]}")
    return shares


def _check_share(name: str, share: float) -> None:
    if isinstance(share, bool) or not 0 <= share < 1:
        raise ValueError(f"{name} is {share}; a number in [0, 1) is accepted")


def _queues(coupling: Coupling, scores: Floats) -> dict[int, Integers]:
    """Give, of each group, the units that may go, lowest scores first; not the best of a place that all might leave."""
    order = np.lexsort((np.arange(len(scores)), scores))
    ranks, may_go = np.argsort(order), coupling.removable.copy()
    for place in coupling.places:
        if coupling.removable[place.units].all():
            may_go[place.units[np.argmax(ranks[place.units])]] = False
    order = order[coupling.removable[order]]
    groups = coupling.groups[order]
    return {group: order[(groups == group) & may_go[order]] for group in np.unique(groups).tolist()}


def _until(coupling: Coupling, scores: Floats, queues: dict[int, Integers], keep: Mask, target: float) -> Mask:
    """Remove units from the fronts of the queues until the cost is at most the target."""
    parts = [place for place in coupling.places if place.layer in coupling.multiply_adds]
    widths = [float(len(place.units)) for place in parts]  # of each place, how many positions are kept
    where: dict[int, list[tuple[int, int]]] = {}  # of each unit, its places and how many positions it has there
    for number, place in enumerate(parts):
        for unit, count in zip(*np.unique(place.units, return_counts=True), strict=True):
            where.setdefault(int(unit), []).append((number, int(count)))
    costs = {layer: float(cost) for layer, cost in coupling.multiply_adds.items()}
    fronts = dict.fromkeys(queues, 0)

    def after(unit: int) -> dict[str, float]:
        changed: dict[str, float] = {}
        for number, count in where.get(unit, []):
            layer = parts[number].layer
            changed[layer] = changed.get(layer, costs[layer]) * (1 - count / widths[number])
        return changed

    while sum(costs.values()) > target * (1 + 1e-12):
        best: tuple[float, int, dict[str, float]] | None = None
        for group, queue in queues.items():
            if fronts[group] < len(queue):
                changed = after(int(queue[fronts[group]]))
                saved = sum(costs[layer] - cost for layer, cost in changed.items())
                price = scores[queue[fronts[group]]] / saved if saved > 0 else math.inf
                if best is None or price < best[0]:
                    best = price, group, changed
        if best is None or best[0] == math.inf:
            raise ValueError(
                f"multiply_adds asks for {target:,.0f} of {coupling.cost(np.ones_like(keep)):,.0f}, "
                f"but {sum(costs.values()):,.0f} are left when all that may go has gone"
            )
        _, group, changed = best
        unit = int(queues[group][fronts[group]])
        for number, count in where[unit]:
            widths[number] -= count
        costs.update(changed)
        keep[unit] = False
        fronts[group] += 1
    return keep
