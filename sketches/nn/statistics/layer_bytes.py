"""Layers of `StreamingStatistics` from the fields of their bytes, of which nothing is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import wire
from sketches.core.wire import require
from sketches.flajolet_martin import FlajoletMartin
from sketches.nn.statistics.directions import Directions
from sketches.nn.statistics.layer import LIMIT, NEVER, Layer
from sketches.nn.statistics.moments import COUNTS, VALUES, Moments
from sketches.quantiles import Quantiles

__all__ = ["FIRST", "converted", "read_layers"]

FIRST = 8  # the number of the first layout


def converted(fields: dict[str, Any]) -> dict[str, Any]:
    """Give fields of the first layout as the newest has them: without beyond, directions, and sketches of firings."""
    units = fields["units"].tolist()
    counts = _slices(fields["counts"], 5 * np.array(units, object), len(units), "counts")
    blobs = list(_slices(fields["sketches"], fields["sketch_sizes"], 5 * len(units), "sketches"))
    kept = [blob for first in range(0, len(blobs), 5) for blob in (blobs[first], blobs[first + 3])]
    padded = [part for width, count in zip(units, counts, strict=True) for part in (count, np.zeros(width, np.int64))]
    return fields | {
        "directions": 32,
        "limits": np.array(NEVER * len(units)),
        "counts": np.concatenate([np.empty(0, np.int64), *padded]),
        "sketch_sizes": np.array([len(blob) for blob in kept], np.uint64),
        "sketches": np.concatenate([np.empty(0, np.uint8), *kept]),
        "rows": np.zeros(len(units), np.int64),
        "means": np.zeros(sum(units)),
        "energies": np.zeros(2 * len(units)),
        "filled": np.zeros(len(units), np.uint32),
        "axes": np.empty(0, np.float32),
    }


def read_layers(fields: dict[str, Any], seed: int) -> Iterator[tuple[str, Layer]]:
    """Read the layers; raise ``FormatError`` where they do not fit together."""
    units, number = fields["units"].tolist(), len(fields["units"])
    sizes = np.array(units, object)
    for key, each in (("samples", 1), ("rows", 1), ("filled", 1), ("limits", 2), ("energies", 2)):
        require(len(fields[key]) == each * number, f"{key} for {len(fields[key]) / each:g} layers, not {number}")
    names = _slices(fields["names"], fields["name_sizes"], number, "names")
    blobs = _slices(fields["sketches"], fields["sketch_sizes"], 2 * number, "sketches")
    counts = _slices(fields["counts"], len(COUNTS) * sizes, number, "counts")
    values = _slices(fields["moments"], len(VALUES) * sizes, number, "moments")
    means = _slices(fields["means"], sizes, number, "means")
    axes = _slices(fields["axes"], fields["filled"].astype(object) * sizes, number, "axes")
    scalars = (fields[key].tolist() for key in ("samples", "rows"))
    pairs = (fields[key].reshape(-1, 2).tolist() for key in ("limits", "energies"))
    for width, seen, rows, limits, energies in zip(units, *scalars, *pairs, strict=True):
        require(width * seen <= LIMIT, f"{seen} samples of {width} units exceed {LIMIT} activations")
        moments, name = Moments(0), next(names)
        moments.counts = next(counts).reshape(len(COUNTS), width).copy()
        moments.values = next(values).reshape(len(VALUES), width).copy()
        directions = Directions(fields["directions"], 0)
        directions.restore(rows, next(means).copy(), next(axes).reshape(-1, width), *energies)
        try:
            sketches = Quantiles.from_bytes(next(blobs)), FlajoletMartin.from_bytes(next(blobs))
            layer = Layer(moments, seen, *sketches, directions, tuple(limits))
            layer.check(seed)
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
