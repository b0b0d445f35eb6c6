"""Units while their places are being found: a forest of those that turned out to be one, and what froze some."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sketches.nn.pruning.unit_choice import Coupling, Place

__all__ = ["Ties"]

Integers = npt.NDArray[np.int64]


class Ties:
    """Units, numbered as they are made; `tie` makes two of them one, `coupling` numbers those that are left."""

    def __init__(self) -> None:
        self.parent: list[int] = []  # of each unit; a root is its own
        self.places: dict[tuple[str, str], Integers | None] = {}  # None: was called with what has no units
        self.reasons: list[tuple[Integers, str]] = []

    def new(self, count: int) -> Integers:
        """Make units."""
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, unit: int) -> int:
        """Give the unit that stands for all that are tied to this one."""
        while self.parent[unit] != unit:
            self.parent[unit] = unit = self.parent[self.parent[unit]]
        return unit

    def tie(self, some: Integers, others: Integers) -> None:
        """Make each of some one with its counterpart."""
        for one, other in zip(some.tolist(), others.tolist(), strict=True):
            self.parent[self.root(one)] = self.root(other)

    def freeze(self, units: Integers, reason: str) -> None:
        """Note that units may not go; the first reason counts."""
        self.reasons.append((units, reason))

    def put(self, layer: str, side: str, units: Integers | None) -> None:
        """Note a place; if the layer was called before, its units are tied to those of that time."""
        before = self.places.setdefault((layer, side), units)
        if before is units:
            return
        if before is None or units is None:
            known = before if units is None else units
            if known is not None:
                self.freeze(known, f"{layer!r} is also called on what has no units")
        else:
            self.tie(before, units)

    def made(self, layer: str, width: int, groups: int = 1) -> Integers:
        """Give the units that a layer makes, the same ones at each call; with groups, each is made in all of them."""
        units = self.places.get((layer, "out"))
        if units is None:
            units = self.places[layer, "out"] = np.tile(self.new(width // groups), groups)
        return units

    def coupling(self, multiply_adds: dict[str, int]) -> Coupling:
        """Give the units that are left after tying, numbered anew, and their groups."""
        roots = np.array([self.root(unit) for unit in range(len(self.parent))], np.int64)
        unique, number = np.unique(roots, return_inverse=True)
        why: dict[int, str] = {}
        for units, reason in self.reasons:
            for unit in number[units].tolist():
                why.setdefault(unit, reason)
        places = [
            Place(layer, side, number[units]) for (layer, side), units in self.places.items() if units is not None
        ]
        groups = np.arange(len(unique))
        frozen = {}
        for place in places:
            if place.side == "out":
                joined = np.unique(groups[place.units])
                groups[np.isin(groups, joined)] = joined[0]
                reasons = [why[unit] for unit in place.units.tolist() if unit in why]
                if reasons:
                    frozen[place.layer] = reasons[0]
        removable = np.array([unit not in why for unit in range(len(unique))], np.bool_)
        groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
        return Coupling(tuple(places), groups, removable, frozen, multiply_adds)
