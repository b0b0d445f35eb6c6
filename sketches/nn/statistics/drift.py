"""Have a network's activations changed? Two statistics side by side.

Of a model before and after pruning, of last month's and today's data, of training and serving: for each layer how far
the distributions of values are apart, beside what chance alone would do, and which units moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sketches.core.estimate import Estimate
from sketches.nn.statistics.distances import chance_distance, kolmogorov_smirnov, wasserstein
from sketches.nn.statistics.layer import LayerSummary
from sketches.nn.statistics.table import Column, Table

if TYPE_CHECKING:
    from sketches.nn.statistics.streaming import StreamingStatistics

__all__ = ["Drift", "LayerDrift", "drift"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LayerDrift:
    """How a layer differs between two statistics.

    Attributes
    ----------
    layer, before, after
        The layer's name, and what is known of it in both.
    distance
        The largest difference between the two distribution functions of the layer's values (Kolmogorov–Smirnov), with
        bounds that always hold; see `distances.kolmogorov_smirnov`. NaN where one holds no finite value.
    moved
        The mean way that values went (Wasserstein-1), in their own unit, with bounds that always hold.
    chance
        What `distance` stays below with the given confidence where nothing changed, if samples are independent. In a
        convolution each place is a sample; places of one image are not independent, so there it is too optimistic.
    drifted
        Whether ``distance.lower > chance``.
    shift
        For each unit the difference of means, after minus before, divided by the root of the mean of both variances:
        0 if both are constant and equal, infinite if they are constant and differ, NaN for a unit without values.
        Empty if the widths differ.
    died, revived
        The units that fire before and never after, and those that never do before; empty if the widths differ.
    """

    layer: str
    before: LayerSummary
    after: LayerSummary
    distance: Estimate
    moved: Estimate
    chance: float
    shift: Floats
    died: Integers
    revived: Integers

    @property
    def drifted(self) -> bool:
        """Whether the distance is certainly larger than chance would make it."""
        return self.distance.lower > self.chance

    def most_shifted(self, most: int = 10) -> Integers:
        """Give the units whose mean moved most, relative to their spread; the most first, unmoved ones left out."""
        size = np.abs(np.nan_to_num(self.shift, nan=0.0, posinf=np.inf, neginf=-np.inf))
        order = np.argsort(-size, kind="stable")[:most]
        return order[size[order] > 0]


@dataclass(frozen=True)
class Drift:
    """How two statistics differ.

    Attributes
    ----------
    layers
        A `LayerDrift` for each layer that both have, by descending distance; layers without values come last.
    only_before, only_after
        The names of the layers that only one has.
    """

    layers: tuple[LayerDrift, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    def __getitem__(self, layer: str) -> LayerDrift:
        for found in self.layers:
            if found.layer == layer:
                return found
        raise KeyError(f"layer is {layer!r}; both have {', '.join(repr(found.layer) for found in self.layers)}")

    def table(self) -> Table:
        """Lay it out, a row a layer."""

        def each(value: Callable[[LayerDrift], object]) -> list[object]:
            return [value(found) for found in self.layers]

        return Table(
            f"drift of {len(self.layers)} {'layer' if len(self.layers) == 1 else 'layers'}",
            [
                Column("layer", each(lambda found: found.layer)),
                Column("distance", each(lambda found: float(found.distance)), "number"),
                Column("at least", each(lambda found: found.distance.lower), "number"),
                Column("at most", each(lambda found: found.distance.upper), "number"),
                Column("chance", each(lambda found: found.chance), "number"),
                Column("drifted", each(lambda found: "yes" if found.drifted else "")),
                Column("moved", each(lambda found: float(found.moved)), "number"),
                Column("largest shift", each(_largest_shift), "number"),
                Column("unit", each(lambda found: next(iter(found.most_shifted(1).tolist()), None)), "count"),
                Column("died", each(lambda found: len(found.died)), "count"),
                Column("revived", each(lambda found: len(found.revived)), "count"),
            ],
        )

    def __str__(self) -> str:
        lines = [str(self.table())]
        for which, names in (("before", self.only_before), ("after", self.only_after)):
            if names:
                lines.append(f"only {which}: {', '.join(names)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def drift(before: StreamingStatistics, after: StreamingStatistics, *, confidence: float = 0.99) -> Drift:
    """Compare two statistics of one network.

    Parameters
    ----------
    before, after
        The statistics; layers go by their names.
    confidence
        Of `LayerDrift.chance`, in (0, 1).

    Raises
    ------
    ValueError
        If `confidence` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from sketches.nn import StreamingStatistics, drift
    >>> before, after = StreamingStatistics(), StreamingStatistics()
    >>> batch = np.random.default_rng(1).normal(size=(4000, 3))
    >>> before.observe("hidden", batch)
    >>> after.observe("hidden", batch + [0, 0, 2])  # the third unit moves by two standard deviations
    >>> found = drift(before, after)["hidden"]
    >>> found.drifted, found.most_shifted().tolist(), f"{found.shift[2]:.1f}"
    (True, [2], '2.0')
    """
    chance_distance((1, 1), confidence)  # checks it, also where no layer is common
    layers = []
    for name in (name for name in before.layers if name in after.layers):
        one, other = before.summary(name), after.summary(name)
        alike = len(one.mean) == len(other.mean)
        dead = [np.isin(np.arange(len(found.mean)), found.dead) for found in (one, other)]
        layers.append(
            LayerDrift(
                layer=name,
                before=one,
                after=other,
                distance=kolmogorov_smirnov(one.values, other.values),
                moved=wasserstein(one.values, other.values),
                chance=chance_distance((one.samples, other.samples), confidence),
                shift=_shift(one, other) if alike else np.empty(0),
                died=np.flatnonzero(~dead[0] & dead[1]) if alike else np.empty(0, np.int64),
                revived=np.flatnonzero(dead[0] & ~dead[1]) if alike else np.empty(0, np.int64),
            )
        )
    layers.sort(key=lambda found: -np.inf if np.isnan(found.distance) else float(found.distance), reverse=True)
    return Drift(
        tuple(layers),
        tuple(name for name in before.layers if name not in after.layers),
        tuple(name for name in after.layers if name not in before.layers),
    )


def _shift(one: LayerSummary, other: LayerSummary) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        apart = other.mean - one.mean
        shift = apart / np.sqrt(one.variance / 2 + other.variance / 2)
    return np.where(apart == 0, 0.0, shift)


def _largest_shift(found: LayerDrift) -> float:
    units = found.most_shifted(1)
    return float(found.shift[units[0]]) if len(units) else 0.0
