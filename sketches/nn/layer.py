"""The state of one layer in `StreamingStatistics`, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.ams import AMS
from sketches.core.estimate import Estimate
from sketches.core.wire import require
from sketches.flajolet_martin import FlajoletMartin
from sketches.lossy_counting import LossyCounting
from sketches.nn.moments import Moments
from sketches.quantiles import Quantiles
from sketches.space_saving import SpaceSaving

__all__ = ["LIMIT", "SKETCHES", "Layer", "LayerSummary"]

BLOCK = 1 << 16  # activations read at a time: 512 KiB as float64
WIDTH = 1 << 13  # units of them at most, so that moments and intermediate results stay in the cache; a multiple of 8
LIMIT = 2**63 - 1  # of every count

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LayerSummary:
    """What is known of one layer; arrays have one entry a unit.

    Attributes
    ----------
    layer, samples
        The layer's name, and how many samples it has seen.
    count, nans, infinities
        Finite activations, NaNs and infinities.
    mean, variance, minimum, maximum
        Of the finite activations (variance: of the population, as ``numpy.var``); NaN for a unit without any.
    zeros, fires
        Shares of the samples where the activation is zero, and above zero; NaN without samples.
    values
        The quantiles of all the layer's finite activations: a copy of the sketch.
    active
        The units that fire most, by SpaceSaving: a structured array ``(unit, count, error)``, most active first, with
        ``count - error <= true number of firings <= count``.
    dead
        The units that never fired: exact.
    rare
        The units whose share of the layer's firings is certainly at most `epsilon`, by LossyCounting: every unit of
        less than half that share is among them, dead ones included, and none above it.
    patterns
        How many distinct patterns the samples made, by FlajoletMartin; never more than there are samples.
    energy
        The sum over the units of the squared number of firings (the second moment of the stream of firings), by AMS.
    effective_units
        Squared number of firings over energy: the number of equally active units of the same energy, between 1 (one
        unit fires) and the layer's width (all fire equally often).
    """

    layer: str
    samples: int
    count: Integers
    nans: Integers
    infinities: Integers
    mean: Floats
    variance: Floats
    minimum: Floats
    maximum: Floats
    zeros: Floats
    fires: Floats
    values: Quantiles
    active: npt.NDArray[np.void]
    dead: Integers
    rare: Integers
    patterns: Estimate
    energy: Estimate
    effective_units: Estimate


# The classes of a layer's sketches, in the order of their bytes.
SKETCHES: tuple[type[Any], ...] = (Quantiles, SpaceSaving, LossyCounting, FlajoletMartin, AMS)


class Layer:
    """Exact moments, and a sketch for each question about the layer's streams of values, firings and patterns."""

    __slots__ = ("moments", "samples", "sketches")

    def __init__(self, moments: Moments, samples: int, sketches: list[Any]) -> None:
        self.moments = moments
        self.samples = samples
        self.sketches = sketches

    @classmethod
    def empty(cls, units: int, top: int, epsilon: float, seed: int) -> Layer:
        """Begin a layer."""
        return cls(
            Moments(units),
            0,
            [
                Quantiles(),
                SpaceSaving(top, seed=seed),
                LossyCounting(epsilon / 2, seed=seed),  # so that no unit of less than epsilon / 2 can escape `rare`
                FlajoletMartin(seed=seed),
                AMS(width=512, depth=5, seed=seed),
            ],
        )

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.moments.mean)

    @property
    def nbytes(self) -> int:
        """The memory of the state, in bytes."""
        sketches: int = sum(sketch.nbytes for sketch in self.sketches)
        return self.moments.nbytes + sketches

    def observe(self, rows: npt.NDArray[Any]) -> None:
        """Add samples, a matrix (samples, units)."""
        values, *of_firings, patterns, energy = self.sketches
        fires = self.moments.fires.copy()
        height = max(1, BLOCK // min(self.units, WIDTH))
        for top in range(0, len(rows), height):
            bits = []
            for left in range(0, self.units, WIDTH):
                block = rows[top : top + height, left : left + WIDTH].astype(np.float64, order="C")
                on = block > 0
                self.moments.columns(left, left + WIDTH).observe(block, on)
                finite = np.isfinite(block)
                values.update(block.ravel() if finite.all() else block[finite])
                bits.append(np.packbits(on, axis=1))
            # A row of bits as a byte string: NumPy drops trailing zeros of such, but in rows of equal length these
            # can be told from what is left, so different patterns stay different.
            row = np.concatenate(bits, axis=1)
            patterns.update(row.view(f"S{row.shape[1]}").ravel())
        fires = self.moments.fires - fires
        units = np.flatnonzero(fires > 0)
        for sketch in (*of_firings, energy):
            sketch.update(units, fires[units])
        self.samples += len(rows)

    def merge(self, other: Layer) -> None:
        """Add the samples that `other` has seen."""
        for ours, theirs in zip(self.sketches, other.sketches, strict=True):
            ours.merge(theirs)
        self.moments.merge(other.moments)
        self.samples += other.samples

    def summary(self, name: str, epsilon: float) -> LayerSummary:
        """Say all that is known."""
        values, active, frequent, patterns, energies = self.sketches
        moments, energy = self.moments, energies.second_moment()
        seen = moments.count > 0
        samples = np.where(self.samples > 0, np.float64(self.samples), np.nan)
        most = frequent.estimate(np.arange(self.units))
        return LayerSummary(
            layer=name,
            samples=self.samples,
            count=moments.count.copy(),
            nans=moments.nans.copy(),
            infinities=moments.infinities.copy(),
            mean=np.where(seen, moments.mean, np.nan),
            variance=np.where(seen, moments.squares / np.maximum(moments.count, 1), np.nan),
            minimum=np.where(seen, moments.minimum, np.nan),
            maximum=np.where(seen, moments.maximum, np.nan),
            zeros=moments.zeros / samples,
            fires=moments.fires / samples,
            values=values.copy(),
            active=active.top().astype([("unit", np.int64), ("count", np.int64), ("error", np.int64)]),
            dead=np.flatnonzero(moments.fires == 0),
            rare=np.flatnonzero(most <= epsilon * frequent.total),
            patterns=_at_most(float(self.samples), patterns.count()),
            energy=energy,
            effective_units=_effective(int(moments.fires.sum()), energy, self.units),
        )

    def check(self, top: int, epsilon: float, seed: int) -> None:
        """Raise ``FormatError`` unless moments and sketches may come from one stream of samples."""
        self.moments.check(self.samples)
        for sketch, fresh in zip(self.sketches, Layer.empty(1, top, epsilon, seed).sketches, strict=True):
            name, found, expected = type(sketch).__name__, sketch._parameters(), fresh._parameters()
            require(found == expected, f"a layer's {name} has parameters {found}, not {expected}")
            require(sketch.hasher == fresh.hasher, f"a layer's {name} has {sketch.hasher!r}, not {fresh.hasher!r}")
            require(sketch.nulls == 0, f"a layer's {name} has nulls")
        fires = int(self.moments.fires.sum())
        totals = (int(self.moments.count.sum()), fires, fires, self.samples, fires)
        for sketch, total in zip(self.sketches, totals, strict=True):
            name = type(sketch).__name__
            require(sketch.total == sketch.weight == total, f"{name} of {sketch.total} items, not {total}")
        units = self.sketches[1].top()["item"].tolist()
        require(
            all(type(unit) is int and 0 <= unit < self.units for unit in units), "an active unit is none of the layer"
        )


def _at_most(limit: float, estimate: Estimate) -> Estimate:
    """Cut an estimate and its bounds off at what is possible."""
    value, lower, upper = (min(limit, float(number)) for number in (estimate, estimate.lower, estimate.upper))
    return Estimate(
        value, lower=lower, upper=upper, confidence=estimate.confidence, standard_error=estimate.standard_error
    )


def _effective(fires: int, energy: Estimate, units: int) -> Estimate:
    """Give fires² / energy with the bounds that follow from the energy's, none beyond what any layer can have."""
    if not fires:
        return Estimate(0.0, lower=0.0, upper=0.0)

    def at(value: float) -> float:
        return min(float(units), max(1.0, fires**2 / value)) if value > 0 else float(units)

    return Estimate(at(energy), lower=at(energy.upper), upper=at(energy.lower), confidence=energy.confidence)
