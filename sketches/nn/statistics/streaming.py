"""What do a network's layers do, while data streams through it?

Calibration tools keep every activation, or a histogram whose range must be guessed. Here each layer has a fixed number
of bytes: the moments of each unit are exact (see `moments`), and questions about the layer's whole stream of values,
firings and on/off patterns go to the sketches of this package. The parts of many machines merge.

The words: a layer has *units*; a sample gives each unit one *activation*; a unit *fires* where its activation is above
zero; a *pattern* is the set of units that fire together: in a sample, or, of channels-first layers, in one element of a
batch, where each place of each channel counts apart.
"""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np

from sketches._ext.hashing import Hasher
from sketches.core import bounds, wire
from sketches.core.contract import write_atomically
from sketches.core.stored import Stored
from sketches.core.wire import require
from sketches.nn.statistics.layer import LIMIT, NEVER, Layer, LayerSummary
from sketches.nn.statistics.layer_bytes import FIRST, converted, read_layers
from sketches.nn.statistics.overview import layers_table, units_table
from sketches.nn.statistics.reduction import Limits, Reduction, arranged, check, limits_of
from sketches.nn.statistics.report import html
from sketches.nn.statistics.table import Table

__all__ = ["StreamingStatistics"]


class StreamingStatistics(Stored):
    """Statistics of the activations of a network's layers, batch by batch.

    Per layer and unit, exactly: counts, mean, variance, minimum, maximum, norm, shares of zeros, of firings and of
    activations beyond limits, NaNs, infinities. Per layer, by sketches with their own guarantees: quantiles of its
    values (relative error), the number of distinct on/off patterns, the effective rank of its activations
    (`LayerSummary` defines each).

    The memory of a layer does not depend on the length of the stream. It is ``88 * units`` bytes for the exact part;
    ``8 * directions * units`` bytes for directions; 1 kB for each factor of two between the smallest and the largest
    activation (at most 0.6 MB for float32, 4.2 MB for float64, see `Quantiles`); 16 kB for patterns.

    Parameters
    ----------
    epsilon
        Share of a layer's firings up to which a unit is called rare, in [2**-32, 1).
    directions
        ℓ of Frequent Directions (see `Directions`), 1 to 4096: the effective rank is exact while the rows sampled have
        fewer directions, and its bounds are the closer the larger it is.
    seed
        See `sketches.Hasher`.

    Examples
    --------
    >>> import numpy as np
    >>> from sketches.nn import StreamingStatistics
    >>> statistics = StreamingStatistics()
    >>> for batch in np.arange(12.0).reshape(3, 2, 2):  # three batches of two samples for a layer of two units
    ...     statistics.observe("hidden", batch * [1, 0])  # the second unit is dead
    >>> summary = statistics.summary("hidden")
    >>> summary.samples, summary.mean.tolist(), summary.dead.tolist()  # the mean of 0, 2, 4, 6, 8, 10 is 5
    (6, [5.0, 0.0], [1])
    """

    _class = "StreamingStatistics"

    def __init__(self, epsilon: float = 0.001, directions: int = 32, *, seed: int = 0) -> None:
        self._epsilon = bounds.check_fraction("epsilon", epsilon)
        if epsilon < 2.0**-32:
            raise ValueError(f"epsilon is {epsilon}; a number in [2**-32, 1) is accepted")
        self._directions = bounds.check_integer("directions", directions, 1, 2**12)
        self._seed = Hasher(seed).seed  # checks it
        self._layers: dict[str, Layer] = {}

    def observe(self, layer: str, activations: Any, *, axis: int = -1, limits: Limits | None = None) -> None:
        """Add a batch of a layer's activations.

        Parameters
        ----------
        layer
            The layer's name.
        activations
            Real numbers: a NumPy array or what ``numpy.asarray`` makes one of, a DLPack or PyTorch tensor (bfloat16,
            too), of two dimensions or more.
        axis
            Which dimension the units are: -1, the last of (…, units), where each row is a sample and a pattern; or 1,
            of (batch, channels, …), where each place is a sample, and each batch element a pattern.
        limits
            The values ``(low, high)`` between which the layer does not saturate, such as (-0.95, 0.95) of tanh:
            activations ``<= low`` or ``>= high`` are counted as beyond them. The first batch of a layer decides.

        Raises
        ------
        TypeError, ValueError
            For a name that is no text, an array of another dtype or shape, or another width or other limits than
            before.
        OverflowError
            If the layer's activations would exceed 2**63 - 1. Nothing changes in all these cases.
        """
        batch = arranged(activations, axis)
        chunks, units, places = batch.shape
        known = self._opened(layer, units, chunks * places, limits)
        known.observe(batch)
        self._layers[layer] = known

    def absorb(self, layer: str, reduction: Reduction, *, limits: Limits | None = None) -> None:
        """Add a batch of which only the reduction is here, as one made on another device.

        Parameters
        ----------
        layer, limits
            As of `observe`; `limits` must be those that the reduction was made with.
        reduction
            See `Reduction`.

        Raises
        ------
        TypeError, ValueError, OverflowError
            As of `observe`, and for a reduction that no batch has. Nothing changes in all these cases.
        """
        units = check(reduction)
        known = self._opened(layer, units, reduction.samples, limits)
        known.absorb(reduction)
        self._layers[layer] = known

    def _opened(self, name: str, units: int, samples: int, limits: Limits | None) -> Layer:
        """Give the layer to which so many samples may be added: a new one if it is unknown."""
        if not isinstance(name, str):
            raise TypeError(f"layer is {name!r}; a name (str) is accepted")
        limits = limits_of(limits) or NEVER
        known = self._layers.get(name)
        if known is None:
            known = Layer.empty(units, self._directions, self._seed, limits)
        if known.units != units:
            raise ValueError(f"activations of layer {name!r} have {units} units, before they had {known.units}")
        if known.limits != limits:
            raise ValueError(f"limits of layer {name!r} are {_said(limits)}, before they were {_said(known.limits)}")
        if self._total + samples > LIMIT or (known.samples + samples) * units > LIMIT:
            raise OverflowError(f"{samples} samples would take the count of layer {name!r} beyond {LIMIT}")
        return known

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in the order of their first batch."""
        return tuple(self._layers)

    def units(self, layer: str) -> int | None:
        """Give how many units a layer has; None if no batch of it was observed."""
        return self._layers[layer].units if layer in self._layers else None

    def summary(self, layer: str) -> LayerSummary:
        """Say all that is known of a layer; it does not follow later batches.

        Raises
        ------
        KeyError
            If no batch of the layer was observed.
        """
        if layer not in self._layers:
            raise KeyError(f"layer is {layer!r}; known are {', '.join(map(repr, self._layers)) or 'none yet'}")
        return self._layers[layer].summary(layer, self._epsilon)

    def table(self, layer: str | None = None) -> Table:
        """Lay out what is known: a row for each layer or, of one layer, a row for each unit.

        ``print`` shows it, notebooks too; as a sequence it holds a dict a row, for ``pandas.DataFrame(table)``.

        Raises
        ------
        KeyError
            If no batch of the layer was observed.
        """
        if layer is not None:
            return units_table(self.summary(layer))
        return layers_table(self.summary(name) for name in self.layers)

    def report(self, path: str | os.PathLike[str], *, against: StreamingStatistics | None = None) -> None:
        """Write one HTML page that needs nothing beside itself; an interrupted write leaves the file as it was.

        Parameters
        ----------
        path
            Where it goes.
        against
            Earlier statistics of the same network: the page then also says what changed, see `drift`.
        """
        write_atomically(path, html(self, against).encode("utf-8", "backslashreplace"))

    def merge(self, other: StreamingStatistics) -> None:
        """Make these the statistics of both streams; `other` stays as it is. Layers unknown here are taken over.

        Raises
        ------
        TypeError
            If `other` is of another class.
        ValueError
            If a parameter, the seed, or the width or the limits of a layer differ.
        OverflowError
            If a count would exceed 2**63 - 1. Nothing changes in all these cases.
        """
        if type(other) is not type(self):
            raise TypeError(f"cannot merge a {type(self).__name__} with a {type(other).__name__}")
        theirs = other._parameters()
        for name, value in self._parameters().items():
            if value != theirs[name]:
                raise ValueError(f"cannot merge: {name} is {value} here and {theirs[name]} there")
        for name in self._layers.keys() & other._layers.keys():
            here, there = self._layers[name], other._layers[name]
            if here.units != there.units:
                raise ValueError(f"cannot merge: layer {name!r} has {here.units} units here and {there.units} there")
            if here.limits != there.limits:
                found = _said(here.limits), _said(there.limits)
                raise ValueError(f"cannot merge: layer {name!r} has limits {found[0]} here and {found[1]} there")
            if (here.samples + there.samples) * here.units > LIMIT:
                raise OverflowError(f"merging would take the activations of layer {name!r} beyond {LIMIT}")
        if self._total + other._total > LIMIT:
            raise OverflowError(f"merging would take {self._total} + {other._total} samples beyond {LIMIT}")
        merged, added = self.copy(), other.copy()
        for name, layer in added._layers.items():
            if name in merged._layers:
                merged._layers[name].merge(layer)
            else:
                merged._layers[name] = layer
        self._layers = merged._layers

    def __or__(self, other: Self) -> Self:
        if not isinstance(other, StreamingStatistics):
            return NotImplemented
        result = self.copy()
        result.merge(other)
        return result

    def __ior__(self, other: Self) -> Self:
        if not isinstance(other, StreamingStatistics):
            return NotImplemented
        self.merge(other)
        return self

    @property
    def nbytes(self) -> int:
        """The memory of the state, in bytes."""
        return sum(layer.nbytes for layer in self._layers.values())

    @property
    def _total(self) -> int:
        return sum(layer.samples for layer in self._layers.values())

    def _parameters(self) -> dict[str, Any]:
        return {"epsilon": self._epsilon, "directions": self._directions, "seed": self._seed}

    def _envelope(self) -> wire.Envelope:
        return wire.Envelope(1, self._seed, self._total, self._total, 0)

    def _fields(self) -> dict[str, Any]:
        names = [name.encode("utf-8", "surrogatepass") for name in self._layers]
        layers = list(self._layers.values())
        sketches = [sketch.to_bytes() for layer in layers for sketch in (layer.values, layer.patterns)]
        axes = [layer.directions for layer in layers]
        return {
            "epsilon": self._epsilon,
            "directions": self._directions,
            "name_sizes": [len(name) for name in names],
            "names": np.frombuffer(b"".join(names), np.uint8),
            "units": [layer.units for layer in layers],
            "samples": [layer.samples for layer in layers],
            "limits": [limit for layer in layers for limit in layer.limits],
            "counts": np.concatenate([np.empty(0, np.int64), *(layer.moments.counts.ravel() for layer in layers)]),
            "moments": np.concatenate([np.empty(0), *(layer.moments.values.ravel() for layer in layers)]),
            "sketch_sizes": [len(data) for data in sketches],
            "sketches": np.frombuffer(b"".join(sketches), np.uint8),
            "rows": [each.count for each in axes],
            "means": np.concatenate([np.empty(0), *(each.mean for each in axes)]),
            "energies": [number for each in axes for number in (each.energy, each.shrunk)],
            "filled": [each.filled for each in axes],
            "axes": np.concatenate([np.empty(0, np.float32), *(each.rows.ravel() for each in axes)]),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope) -> Self:
        require(envelope.total == envelope.weight and not envelope.nulls, "the total is not the weight, or nulls exist")
        require(fields["epsilon"] < 1, "epsilon is 1")
        if envelope.layout == FIRST:
            fields = converted(fields)
        known = cls(fields["epsilon"], fields["directions"], seed=envelope.fingerprint)
        known._layers = dict(read_layers(fields, envelope.fingerprint))
        require(len(known._layers) == len(fields["units"]), "two layers of one name")
        require(known._total == envelope.total, f"{known._total} samples, not the total {envelope.total}")
        return known

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in self._parameters().items())
        layers = ", ".join(f"{name!r} ({layer.samples:,} × {layer.units})" for name, layer in self._layers.items())
        return f"<{type(self).__name__}({parameters}): {self.nbytes:,} bytes, layers: {layers or 'none yet'}>"


def _said(limits: Limits) -> Limits | None:
    return None if limits == NEVER else limits
