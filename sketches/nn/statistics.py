"""What do a network's layers do, while data streams through it?

Calibration tools keep every activation, or a histogram whose range must be guessed. Here each layer has a fixed number
of bytes: the moments of each unit are exact (see `moments`), and questions about the layer's whole stream of values,
firings and on/off patterns go to the sketches of this package. The parts of many machines merge.

The words: a layer has *units*; a sample gives each unit one *activation*; a unit *fires* where its activation is above
zero; the *pattern* of a sample is the set of units that fire.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches.core import bounds, wire
from sketches.core.contract import write_atomically
from sketches.core.stored import Stored
from sketches.core.wire import require
from sketches.nn.arrays import real_numbers
from sketches.nn.layer import LIMIT, SKETCHES, Layer, LayerSummary
from sketches.nn.moments import COUNTS, VALUES, Moments
from sketches.nn.overview import layers_table, units_table
from sketches.nn.report import html
from sketches.nn.table import Table

__all__ = ["StreamingStatistics"]


class StreamingStatistics(Stored):
    """Statistics of the activations of a network's layers, batch by batch.

    Per layer and unit, exactly: counts, mean, variance, minimum, maximum, shares of zeros and of firings, NaNs,
    infinities. Per layer, by sketches with their own guarantees: quantiles of its values (relative error), its most
    active units (``count - error <= truth <= count``), units of certainly at most a share `epsilon`, the
    number of distinct on/off patterns, and the energy of its firings (`LayerSummary` defines each).

    The memory of a layer does not depend on the length of the stream. It is ``72 * units`` bytes for the exact part;
    1 kB for each factor of two between the smallest and the largest activation (at most 4.2 MB, see `Quantiles`);
    at most 68 bytes for each of `top` counters of SpaceSaving, and 272 for each unit (at least 64) of LossyCounting;
    16 kB for patterns and 20 kB for energy.

    Parameters
    ----------
    top
        Counters for the most active units of a layer: up to so many units are ranked exactly; beyond, a count is too
        large by less than 8/7 of the layer's firings divided by `top`.
    epsilon
        Share of a layer's firings up to which a unit is called rare, in [2**-32, 1).
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

    def __init__(self, top: int = 512, epsilon: float = 0.001, *, seed: int = 0) -> None:
        self._top = bounds.check_integer("top", top, 1, 2**20)
        self._epsilon = bounds.check_fraction("epsilon", epsilon)
        if epsilon < 2.0**-32:
            raise ValueError(f"epsilon is {epsilon}; a number in [2**-32, 1) is accepted")
        self._seed = Hasher(seed).seed  # checks it
        self._layers: dict[str, Layer] = {}

    def observe(self, layer: str, activations: Any) -> None:
        """Add a batch of a layer's activations.

        Parameters
        ----------
        layer
            The layer's name.
        activations
            A matrix (samples, units) of real numbers: a NumPy array or what ``numpy.asarray`` makes one of, a DLPack
            or PyTorch tensor (bfloat16, too). Flatten further dimensions, or move channels last and reshape to
            (-1, channels), where each place is a sample.

        Raises
        ------
        TypeError, ValueError
            For a name that is no text, an array of another dtype or shape, or another width than before.
        OverflowError
            If the layer's activations would exceed 2**63 - 1. Nothing changes in all these cases.
        """
        if not isinstance(layer, str):
            raise TypeError(f"layer is {layer!r}; a name (str) is accepted")
        rows = _checked(activations)
        known = self._layers.get(layer)
        if known is not None and known.units != rows.shape[1]:
            raise ValueError(
                f"activations of layer {layer!r} have {rows.shape[1]} units, before they had {known.units}"
            )
        if known is None:
            known = Layer.empty(rows.shape[1], self._top, self._epsilon, self._seed)
        if self._total + len(rows) > LIMIT or (known.samples + len(rows)) * known.units > LIMIT:
            raise OverflowError(f"{len(rows)} samples would take the count of layer {layer!r} beyond {LIMIT}")
        known.observe(rows)
        self._layers[layer] = known

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in the order of their first batch."""
        return tuple(self._layers)

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
            If a parameter, the seed or the width of a layer differs.
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
        return {"top": self._top, "epsilon": self._epsilon, "seed": self._seed}

    def _envelope(self) -> wire.Envelope:
        return wire.Envelope(1, self._seed, self._total, self._total, 0)

    def _fields(self) -> dict[str, Any]:
        names = [name.encode("utf-8", "surrogatepass") for name in self._layers]
        layers = list(self._layers.values())
        sketches = [sketch.to_bytes() for layer in layers for sketch in layer.sketches]
        return {
            "top": self._top,
            "epsilon": self._epsilon,
            "name_sizes": [len(name) for name in names],
            "names": np.frombuffer(b"".join(names), np.uint8),
            "units": [layer.units for layer in layers],
            "samples": [layer.samples for layer in layers],
            "counts": np.concatenate([np.empty(0, np.int64), *(layer.moments.counts.ravel() for layer in layers)]),
            "moments": np.concatenate([np.empty(0), *(layer.moments.values.ravel() for layer in layers)]),
            "sketch_sizes": [len(data) for data in sketches],
            "sketches": np.frombuffer(b"".join(sketches), np.uint8),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope) -> Self:
        require(envelope.total == envelope.weight and not envelope.nulls, "the total is not the weight, or nulls exist")
        require(fields["epsilon"] < 1, "epsilon is 1")
        known = cls(fields["top"], fields["epsilon"], seed=envelope.fingerprint)
        known._layers = dict(_layers(fields, envelope.fingerprint))
        require(len(known._layers) == len(fields["units"]), "two layers of one name")
        require(known._total == envelope.total, f"{known._total} samples, not the total {envelope.total}")
        return known

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in self._parameters().items())
        layers = ", ".join(f"{name!r} ({layer.samples:,} × {layer.units})" for name, layer in self._layers.items())
        return f"<{type(self).__name__}({parameters}): {self.nbytes:,} bytes, layers: {layers or 'none yet'}>"


def _checked(activations: Any) -> npt.NDArray[Any]:
    rows = real_numbers("activations", activations)
    if rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"activations have shape {rows.shape}; (samples, units) is accepted, with one unit or more")
    return rows


def _layers(fields: dict[str, Any], seed: int) -> Iterator[tuple[str, Layer]]:
    """Read the layers; raise ``FormatError`` where they do not fit together."""
    units, samples = fields["units"].tolist(), fields["samples"].tolist()
    top, epsilon = fields["top"], fields["epsilon"]
    require(len(samples) == len(units), f"samples for {len(samples)} layers, units for {len(units)}")
    names = _slices(fields["names"], fields["name_sizes"], len(units), "names")
    blobs = _slices(fields["sketches"], fields["sketch_sizes"], len(SKETCHES) * len(units), "sketches")
    sizes = np.array(units, object)
    counts = _slices(fields["counts"], len(COUNTS) * sizes, len(units), "counts")
    values = _slices(fields["moments"], len(VALUES) * sizes, len(units), "moments")
    for width, seen, name, count, value in zip(units, samples, names, counts, values, strict=True):
        require(width * seen <= LIMIT, f"{seen} samples of {width} units exceed {LIMIT} activations")
        moments = Moments(0)
        moments.counts = count.reshape(len(COUNTS), width).copy()
        moments.values = value.reshape(len(VALUES), width).copy()
        try:
            layer = Layer(moments, seen, [kind.from_bytes(next(blobs)) for kind in SKETCHES])
            layer.check(top, epsilon, seed)
            yield name.tobytes().decode("utf-8", "surrogatepass"), layer
        except wire.FormatError:
            raise
        except ValueError as error:  # a name that is not UTF-8, a sketch with a key
            raise wire.FormatError(f"a layer cannot be read: {error}") from error


def _slices(array: npt.NDArray[Any], sizes: Any, count: int, name: str) -> Iterator[npt.NDArray[Any]]:
    """Cut an array into so many parts of the given sizes."""
    ends = list(accumulate(sizes.tolist(), initial=0))
    require(len(ends) == count + 1, f"{name} for {len(ends) - 1} parts, not {count}")
    require(ends[-1] == len(array), f"{name} have {len(array)} values, not {ends[-1]}")
    return (array[start:end] for start, end in pairwise(ends))
