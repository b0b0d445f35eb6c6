"""The state of one layer in `StreamingStatistics`, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches._ext.activations import combine, observe, take_in
from sketches.core.estimate import Estimate
from sketches.core.wire import require
from sketches.flajolet_martin import FlajoletMartin
from sketches.nn import team
from sketches.nn.statistics.directions import Directions
from sketches.nn.statistics.moments import Moments
from sketches.nn.statistics.reduction import Limits, Reduction, rows_of
from sketches.nn.team import share_work
from sketches.quantiles import Quantiles

__all__ = ["LIMIT", "NEVER", "SKETCHES", "Layer", "LayerSummary"]

BLOCK = 1 << 17  # activations copied at a time
SMALL = 30_000  # activations of a part of a batch that is read by several threads, at least
LARGE = 1 << 22  # of four parts, at most, unless there are sixteen
LIMIT = 2**63 - 1  # of every count
NEVER = (-np.inf, np.inf)  # the limits of a layer that has none
KEPT = 1 << 24  # bytes of scratch memory, at most, that are kept for the next batch
SATURATED = 0.95  # the share of its samples beyond the limits from which a unit is called saturated

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
        The units that fire: a structured array ``(unit, count)``, most active first.
    dead
        The units that never fired.
    rare
        The units whose share of the layer's firings is at most `epsilon`, dead ones included.
    beyond
        Shares of the samples where the activation is at or beyond the layer's limits; NaN without limits or samples.
    saturated
        The units of which 95 % of the samples or more are beyond the limits.
    constant
        The units all of whose finite activations are one number.
    norms
        Of each unit, the Euclidean norm of its finite activations, sqrt(Σx²).
    patterns
        How many distinct patterns the samples (of channels-first layers: the batch elements) made, by FlajoletMartin;
        never more than there were.
    energy
        The sum over the units of the squared number of firings.
    effective_units
        Squared number of firings over energy: the number of equally active units of the same energy, between 1 (one
        unit fires) and the layer's width (all fire equally often); 0 if none fires.
    effective_rank
        In how many directions the sampled activations vary: exp of the entropy of the normalised eigenvalues of their
        covariance matrix, between 1 and the layer's width; 0 if nothing varies. Bounds are certain for the samples
        that `reduction.sampled` names; of n of these, no more than n - 1 directions can be seen.
    stable_rank
        Sum of those eigenvalues over the largest, with certain bounds, too.
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
    beyond: Floats
    saturated: Integers
    constant: Integers
    norms: Floats
    patterns: Estimate
    energy: Estimate
    effective_units: Estimate
    effective_rank: Estimate
    stable_rank: Estimate


SKETCHES = (Quantiles, FlajoletMartin)  # the classes of a layer's sketches, in the order of their bytes


class Layer:
    """Exact counts and moments of units, and a sketch for each question about the layer's whole stream."""

    __slots__ = ("directions", "limits", "moments", "patterns", "samples", "values")

    def __init__(
        self,
        moments: Moments,
        samples: int,
        values: Quantiles,
        patterns: FlajoletMartin,
        directions: Directions,
        limits: Limits,
    ) -> None:
        self.moments = moments
        self.samples = samples
        self.values = values
        self.patterns = patterns
        self.directions = directions
        self.limits = limits

    @classmethod
    def empty(cls, units: int, directions: int, seed: int, limits: Limits) -> Layer:
        """Begin a layer."""
        return cls(Moments(units), 0, Quantiles(), FlajoletMartin(seed=seed), Directions(directions, units), limits)

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.moments.mean)

    @property
    def nbytes(self) -> int:
        """The memory of the state, in bytes."""
        return self.moments.nbytes + self.values.nbytes + self.patterns.nbytes + self.directions.nbytes

    def observe(self, batch: npt.NDArray[Any]) -> None:
        """Add a batch (chunks, units, places): what `absorb` would of its reduction.

        Large batches are read in parts, by all threads that there are, and added in order: the same moments always.
        """
        chunks, units, places = batch.shape
        number = max(1, min(chunks, batch.size // SMALL, 4 * min(-(-batch.size // LARGE), 4)))
        hashes, width = np.empty(chunks, np.uint64), -(-units * places // 8)
        if batch.dtype == np.float32 and _is_plain(batch) and batch.size:
            members, hasher = min(number, team.CORES), self.patterns.hasher
            memory, parts, patterns = _scratch(number, units, chunks, width)
            observe(batch, self._limits, parts, patterns, hasher, hashes, self.values, share_work, members, self)
        else:
            memory, parts, patterns = None, [Moments(units) for _ in range(number)], np.empty((chunks, width), np.uint8)
            values = Quantiles()  # of this batch: if it is interrupted, nothing has changed
            cuts, left = [chunks * part // number for part in range(number + 1)], iter(range(number))

            def read() -> None:
                for part in left:
                    these = slice(cuts[part], cuts[part + 1])
                    self._read(batch[these], parts[part], patterns[these], values)

            share_work(read, number)
            self.patterns.hasher.fixed_bytes(patterns, True, hashes)
            take_in(self, parts, chunks * places, hashes if patterns.size else hashes[:0], values)
        self.directions.observe(rows_of(batch))
        if memory is not None and memory.nbytes <= KEPT:
            _spare.append(memory)

    @property
    def _limits(self) -> Limits | None:
        return None if self.limits == NEVER else self.limits

    def _read(
        self, batch: npt.NDArray[Any], moments: Moments, patterns: npt.NDArray[np.uint8], values: Quantiles
    ) -> None:
        """Add to moments, write the bits of chunks, and count values, by this thread alone."""
        chunks, units, places = batch.shape
        dtype = np.float32 if np.can_cast(batch.dtype, np.float32) else np.float64
        if batch.dtype == dtype and _is_plain(batch):
            observe(batch, self._limits, [moments], patterns, None, None, values, share_work, 1)
            return
        # Parts of it are copied: some chunks, of so many units that whole bytes of patterns belong to each.
        height, width = max(1, BLOCK // max(units * places, 1)), max(8, BLOCK // max(places, 1) // 8 * 8)
        for top in range(0, chunks, height):
            rows = batch[top : top + height]
            for left in range(0, units, width):
                with np.errstate(invalid="ignore"):  # NaN may signal
                    block = np.ascontiguousarray(rows[:, left : left + width], dtype)
                start, stop = left * places // 8, -(-min(left + width, units) * places // 8)
                part = Moments(block.shape[1])
                bits = patterns[top : top + height, start:stop]
                observe(block, self._limits, [part], bits, None, None, values, share_work, 1)
                _join(moments.columns(left, left + width), part)

    def absorb(self, reduction: Reduction) -> None:
        """Add a batch that was reduced."""
        least, most = reduction.values[2].min(initial=np.inf), reduction.values[3].max(initial=-np.inf)
        values = Quantiles.from_bins(*reduction.bins, least + 0.0, most + 0.0)  # not -0.0
        require(values.total == reduction.counts[0].sum(), f"bins of {values.total} values, not as many as counted")
        if reduction.patterns.size:
            self.patterns.update(_texts(reduction.patterns))
        self.values.merge(values)
        self.moments.add(reduction.counts, reduction.values)
        self.directions.observe(reduction.rows)
        self.samples += reduction.samples

    def merge(self, other: Layer) -> None:
        """Add the samples that `other` has seen."""
        self.values.merge(other.values)
        self.patterns.merge(other.patterns)
        self.moments.add(other.moments.counts, other.moments.values)
        self.directions.merge(other.directions)
        self.samples += other.samples

    def summary(self, name: str, epsilon: float) -> LayerSummary:
        """Say all that is known."""
        moments, fires = self.moments, self.moments.fires
        seen = moments.count > 0
        samples = np.where(self.samples > 0, np.float64(self.samples), np.nan)
        beyond = moments.beyond / (samples if self.limits != NEVER else np.nan)
        order = np.argsort(-fires, kind="stable")[: np.count_nonzero(fires)]
        active = np.empty(len(order), [("unit", np.int64), ("count", np.int64)])
        active["unit"], active["count"] = order, fires[order]
        counts = fires.tolist()  # Python's integers: squares exceed 64 bits
        total, energy = sum(counts), sum(count * count for count in counts)
        with np.errstate(over="ignore"):
            norms = np.sqrt(moments.squares + moments.count * moments.mean * moments.mean)
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
            fires=fires / samples,
            values=self.values.copy(),
            active=active,
            dead=np.flatnonzero(fires == 0),
            rare=np.flatnonzero(fires <= epsilon * total),
            beyond=beyond,
            saturated=np.flatnonzero(beyond >= SATURATED),
            constant=np.flatnonzero(moments.minimum == moments.maximum),
            norms=norms,
            patterns=_at_most(float(self.patterns.total), self.patterns.count()),
            energy=_exact(float(energy)),
            effective_units=_exact(total**2 / energy if energy else 0.0),
            effective_rank=self.directions.effective_rank(),
            stable_rank=self.directions.stable_rank(),
        )

    def check(self, seed: int) -> None:
        """Raise ``FormatError`` unless all parts may come from one stream of samples."""
        self.moments.check(self.samples)
        self.directions.check(self.samples)
        low, high = self.limits
        require(low < high, f"limits are {low} and {high}")
        require(self.limits != NEVER or not self.moments.beyond.any(), "activations beyond no limits")
        fresh = Layer.empty(1, 1, seed, NEVER)
        for sketch, other in ((self.values, fresh.values), (self.patterns, fresh.patterns)):
            name, found, expected = type(sketch).__name__, sketch._parameters(), other._parameters()
            require(found == expected, f"a layer's {name} has parameters {found}, not {expected}")
            require(sketch.hasher == other.hasher, f"a layer's {name} has {sketch.hasher!r}, not {other.hasher!r}")
            require(sketch.nulls == 0, f"a layer's {name} has nulls")
        total = int(self.moments.count.sum())
        require(self.values.total == total, f"Quantiles of {self.values.total} items, not {total}")
        count = self.patterns.total
        require(count == self.patterns.weight <= self.samples, f"{count} patterns of {self.samples} samples")


_spare: list[npt.NDArray[np.uint8]] = []  # scratch memory that is not in use: new memory comes page by page


def _is_plain(batch: npt.NDArray[Any]) -> bool:
    return batch.flags.c_contiguous and batch.flags.aligned


def _scratch(
    number: int, units: int, chunks: int, width: int
) -> tuple[npt.NDArray[np.uint8], list[Moments], npt.NDArray[np.uint8]]:
    """Give memory, and in it moments of some parts and bytes of patterns, all to be written."""
    size = number * Moments.SIZE * units
    memory = _spare.pop() if _spare else np.empty(0, np.uint8)
    if memory.nbytes < size + chunks * width:
        memory = np.empty(size + chunks * width, np.uint8)
    return memory, Moments.within(memory[:size], number), memory[size : size + chunks * width].reshape(chunks, width)


def _join(moments: Moments, part: Moments) -> None:
    if not combine(moments.counts, moments.values, part.counts, part.values):
        moments.add(part.counts, part.values)


def _texts(patterns: npt.NDArray[np.uint8]) -> npt.NDArray[np.bytes_]:
    """Give rows of bits as byte strings.

    NumPy drops trailing zeros of such, but in rows of equal length these can be told from what is left, so different
    patterns stay different.
    """
    return np.ascontiguousarray(patterns).view(f"S{patterns.shape[1]}").ravel()


def _exact(value: float) -> Estimate:
    return Estimate(value, lower=value, upper=value)


def _at_most(limit: float, estimate: Estimate) -> Estimate:
    """Cut an estimate and its bounds off at what is possible."""
    value, lower, upper = (min(limit, float(number)) for number in (estimate, estimate.lower, estimate.upper))
    return Estimate(
        value, lower=lower, upper=upper, confidence=estimate.confidence, standard_error=estimate.standard_error
    )
