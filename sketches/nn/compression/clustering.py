"""Which few values stand for all weights? One-dimensional k-means of a histogram, so that no weight need be kept.

The starts are those of S. Han, H. Mao and W. J. Dally, "Deep compression: compressing deep neural networks with
pruning, trained quantization and Huffman coding", ICLR 2016, section 3.2, and S. P. Lloyd's iterations ("Least squares
quantization in PCM", IEEE Transactions on Information Theory 28, 1982) follow them. On a line the best clusters are
runs of neighbours, so that dynamic programming finds them: H. Wang and M. Song, "Ckmeans.1d.dp: optimal k-means
clustering in one dimension by dynamic programming", The R Journal 3 (2011); that the best cuts move one way, which
leaves n log n steps for each cluster: A. Grønlund, K. G. Larsen, A. Mathiasen, J. S. Nielsen, S. Schneider and M. Song,
"Fast exact k-means, k-medians and Bregman divergence clustering in 1D" (2017), arXiv:1701.07204.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sketches._ext.clustering import optimal_runs
from sketches.core import bounds
from sketches.quantiles import Quantiles

__all__ = ["MOST_ENTRIES", "RELATIVE_ERROR", "STARTS", "Histogram", "cluster", "distortion", "histogram", "nearest"]

Floats = npt.NDArray[np.float64]

STARTS = ("linear", "density", "random", "optimal")
MOST_ENTRIES = 1024

EXACT = 2**14  # weights up to which a histogram has each of them
RELATIVE_ERROR = 2**-10  # of a weight in the histogram of more; some 20,000 bins for normally distributed weights
ROUNDS = 10_000  # Lloyd's iterations end by themselves, unless rounding leads them round in a circle


class Histogram(NamedTuple):
    """Different values, ascending, and the mass of each, above 0: how many weights there are, or their importance."""

    values: Floats
    masses: Floats

    @classmethod
    def of_sketch(cls, sketch: Quantiles) -> Histogram:
        """Give the histogram of a sketch without infinities: each bin's middle, off by `relative_error` at most."""
        numbers, counts = sketch.bins()
        lower, upper = np.clip(sketch.edges(numbers), sketch.minimum, sketch.maximum)
        return cls((lower + upper) / 2, counts.astype(np.float64))


def histogram(weights: npt.NDArray[np.float32], importances: npt.NDArray[np.float32] | None = None) -> Histogram:
    """Give the histogram of finite weights: exactly of up to 2**14, within 2**-10 of each weight of more.

    Parameters
    ----------
    weights
        Of any shape.
    importances
        What a weight's squared error counts, as an estimate of the loss's curvature, of the weights' shape; 0 and more.
        None: 1.
    """
    flat, masses = weights.reshape(-1), None if importances is None else importances.reshape(-1)
    if flat.size <= EXACT:
        values, places = np.unique(flat, return_inverse=True)
        found = Histogram(values.astype(np.float64), np.bincount(places, masses, len(values)).astype(np.float64))
    else:
        sketch = Quantiles(RELATIVE_ERROR)
        sketch.update(flat)
        found = Histogram.of_sketch(sketch)
        if masses is not None:
            lower, _ = sketch.edges(sketch.bins()[0])
            places = np.searchsorted(lower, flat, "right") - 1
            found = Histogram(found.values, np.bincount(places, masses, len(lower)).astype(np.float64))
    return Histogram(*(part[found.masses > 0] for part in found)) if masses is not None else found


def cluster(
    values: npt.ArrayLike, masses: npt.ArrayLike, entries: int, start: str = "optimal", *, seed: int = 0
) -> Floats:
    """Give the means of clusters, ascending: those of which the sum of ``mass * distance**2`` to the nearest is small.

    - From "optimal" it is the least that so many means can have, up to rounding, for the histogram. Let w be the vector
      of the weights that were counted, each within ``e * abs(weight)`` of its value in the histogram (e is 0 for
      different values and counts, `relative_error` for a `Quantiles`). Then the root of the weights' own cost obeys
      ``root <= best + 2 * e * norm(w)``, where `best` is the least root that so many means have for the weights
      themselves: a vector's distance to the set of those with so many different elements changes by no more than the
      vector does, once from the weights to the histogram and once back.
    - From the other starts it is a local minimum, and at most the cost of the start.

    Parameters
    ----------
    values, masses
        A `Histogram`: n different values in ascending order, each with a mass above 0.
    entries
        How many means, 1 to 1,024. Fewer are given if there are fewer values, or if clusters became empty.
    start
        "optimal": dynamic programming, some ``entries * n * log2(n)`` steps. Or where Lloyd's iterations begin:
        "linear", evenly between the least and the largest value; "density", evenly by mass; "random", at values chosen
        with probability proportional to their masses.
    seed
        Of the random start.

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted.

    Examples
    --------
    Of 0, 1, 2, 10 and 12, the values up to 2 and those from 10 on are nearest to their means:

    >>> cluster([0, 1, 2, 10, 12], [1, 1, 1, 1, 1], 2)
    array([ 1., 11.])
    """
    points, weights = np.asarray(values, np.float64), np.asarray(masses, np.float64)
    entries = bounds.check_integer("entries", entries, 1, MOST_ENTRIES)
    if start not in STARTS:
        raise ValueError(f"start is {start!r}; {', '.join(map(repr, STARTS))} are accepted")
    if points.ndim != 1 or points.shape != weights.shape or not np.isfinite(points).all():
        raise ValueError(f"values of shape {points.shape} with masses of shape {weights.shape}: finite ones, one each")
    if not (np.diff(points) > 0).all() or not ((weights > 0) & np.isfinite(weights)).all():
        raise ValueError("values do not ascend, or a mass is not above 0")
    if len(points) <= entries:
        return points.copy()
    sums = _Sums(points, weights)
    if start == "optimal":
        return sums.means(optimal_runs(sums.mass, sums.first, sums.second, entries))
    return _lloyd(points, sums, _start(points, weights, entries, start, seed))


def distortion(values: npt.ArrayLike, masses: npt.ArrayLike, means: npt.ArrayLike) -> float:
    """Give the sum of ``mass * distance**2`` to the nearest mean, of which at least one is given, ascending."""
    points, centres = np.asarray(values, np.float64), np.asarray(means, np.float64)
    return float(np.asarray(masses, np.float64) @ (points - centres[nearest(points, centres)]) ** 2)


def nearest(values: npt.NDArray[np.floating], means: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Give which of several ascending means is nearest to each value; halfway between two, the lower one."""
    middles = (means[1:].astype(np.float64) + means[:-1]) / 2
    if values.dtype == np.float32:  # the largest float32 numbers up to them divide float32 numbers as they do
        rounded = middles.astype(np.float32)
        middles = np.where(rounded > middles, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return np.searchsorted(middles, values)


class _Sums:
    """Sums over all values from the median to each: of masses, and of masses times values and times their squares.

    Values are taken from the median, too, and those before it count negatively: differences of the sums lose few
    digits, whatever lies far out on either side.
    """

    def __init__(self, values: Floats, masses: Floats) -> None:
        self.values, self.masses = values, masses
        cumulated = np.cumsum(masses)
        median = int(np.searchsorted(cumulated, cumulated[-1] / 2))
        self.mass, self.first, self.second = (
            _sums_from(median, masses * (values - values[median]) ** power) for power in range(3)
        )

    def means(self, bounds: npt.NDArray[np.int64]) -> Floats:
        """Give the means of the runs between bounds, none of which is empty: each lies within its run."""
        sums, masses = (np.add.reduceat(part, bounds[:-1]) for part in (self.masses * self.values, self.masses))
        return np.clip(sums / masses, self.values[bounds[:-1]], self.values[bounds[1:] - 1])


def _sums_from(start: int, parts: Floats) -> Floats:
    return np.concatenate([-np.cumsum(parts[:start][::-1])[::-1], [0.0], np.cumsum(parts[start:])])


def _start(values: Floats, masses: Floats, entries: int, start: str, seed: int) -> Floats:
    if start == "linear":
        return np.linspace(values[0], values[-1], entries)
    if start == "density":
        shares = (np.arange(entries) + 0.5) / entries
        cumulated = np.cumsum(masses)
        return np.unique(values[np.searchsorted(cumulated, shares * cumulated[-1])])
    random = np.random.default_rng(bounds.check_integer("seed", seed, 0, 2**64 - 1))
    return np.sort(random.choice(values, entries, replace=False, p=masses / masses.sum()))


def _lloyd(values: Floats, sums: _Sums, means: Floats) -> Floats:
    """Move each mean to that of the values nearest to it, until none moves; one that has none is dropped."""
    cuts = np.empty(0, np.int64)
    for _ in range(ROUNDS):
        middles = (means[1:] + means[:-1]) / 2
        found = np.unique(np.concatenate([[0], np.searchsorted(values, middles, "right"), [len(values)]]))
        if np.array_equal(found, cuts):
            break
        cuts = found
        means = sums.means(cuts)
    return means
