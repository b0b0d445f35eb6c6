"""Trained quantisation: many weights share few values, which go on learning.

S. Han, H. Mao and W. J. Dally, "Deep compression: compressing deep neural networks with pruning, trained quantization
and Huffman coding", ICLR 2016, section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.arrays import real_numbers
from sketches.nn.compression.clustering import (
    MOST_ENTRIES,
    RELATIVE_ERROR,
    STARTS,
    Histogram,
    cluster,
    histogram,
    nearest,
)
from sketches.nn.compression.shared import SharedWeights
from sketches.quantiles import Quantiles

__all__ = ["StreamingSharer", "centroid_gradients", "share_weights"]

BLOCK = 2**20  # weights that are mapped at a time

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.uint8 | np.uint16]


def share_weights(
    weights: npt.ArrayLike,
    bits: int | None = None,
    *,
    entries: int | None = None,
    start: str = "optimal",
    mask: npt.ArrayLike | None = None,
    importances: npt.ArrayLike | None = None,
    seed: int = 0,
) -> SharedWeights:
    """Give weights that share few values: to each weight the nearest one, which is the mean of its weights.

    From "optimal" the Euclidean norm of the error is at most ``best + 2 * e * norm(weights)``, where `best` is the
    least that so many values can have, e is 0 for up to 2**14 weights that are kept and 2**-10 for more, up to the
    rounding of the codebook to float32 (with `importances`, norms are weighted by these). Weights that have no more
    different values than there are entries, and are up to 2**14, are kept exactly.

    Parameters
    ----------
    weights
        Finite numbers of any shape; they are taken as float32.
    bits
        Of an index: 2**bits values are shared by the weights that are kept, 1 to 10. Zero comes on top where weights
        are pruned.
    entries
        How many values are shared, 1 to 1,024, instead of `bits`.
    start
        "optimal", "linear", "density" or "random": where the search for the values begins; see
        `sketches.nn.compression.clustering.cluster`. Of those before the optimal one, the paper found "linear" best.
    mask
        True where a weight is kept, of the weights' shape; the others are pruned, whatever they are. None: those that
        are zero are pruned.
    importances
        What a weight's squared error counts, of the weights' shape, finite, 0 and more: the mean square of its gradient
        (the diagonal of the Fisher information), for instance. None: 1.
    seed
        Of the random start.

    Returns
    -------
    SharedWeights
        The codebook ascends but for entry 0, where that is the zero of pruned weights. Indices are uint8 if the
        codebook has up to 256 entries, else uint16.

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted; a weight that is not finite is named with its place.

    Examples
    --------
    Of the four weights that are kept, two are nearer to -1, two to 2.5:

    >>> shared = share_weights([[0.0, 2.0, 3.0], [-1.25, 0.0, -0.75]], bits=1)
    >>> shared.dense()
    array([[ 0. ,  2.5,  2.5], [-1. ,  0. , -1. ]], dtype=float32)
    >>> shared.codebook, shared.sparse
    (array([ 0. , -1. ,  2.5], dtype=float32), True)
    """
    count = _entries(bits, entries)
    dense = _finite("weights", weights)
    kept = dense != 0 if mask is None else _mask(mask, dense.shape)
    weight = None if importances is None else _importances(importances, dense.shape)[kept]
    chosen = dense[kept]
    values, masses = histogram(chosen, weight)
    if chosen.size and not len(values):
        raise ValueError("importances of the weights that are kept are all 0")
    means = cluster(values, masses, count, start, seed=seed)
    sparse = len(chosen) < dense.size or not dense.size
    indices = np.zeros(dense.shape, _dtype(len(means) + sparse))
    places = np.empty(len(chosen), indices.dtype)
    sums = np.zeros((2, len(means)))
    for first in range(0, len(chosen), BLOCK):
        part = slice(first, first + BLOCK)
        found = nearest(chosen[part], means)
        sums += _sums(chosen[part], found, None if weight is None else weight[part], len(means))
        places[part] = found + sparse
    indices[kept] = places
    return SharedWeights(indices, _codebook(_means(means, *sums), sparse), sparse)


def centroid_gradients(gradients: npt.ArrayLike, indices: npt.ArrayLike, entries: int) -> npt.NDArray[np.float64]:
    """Give the derivative of a loss by each entry of a codebook: the sum over its weights (the paper's equation 3).

    Parameters
    ----------
    gradients
        The derivative by each weight, finite or not, of any shape.
    indices
        Of the entries, of the same shape, below `entries`. Where entry 0 stands for pruned weights, leave it at 0.
    entries
        The length of the codebook.

    Examples
    --------
    >>> centroid_gradients([1.0, 2.0, 4.0, 8.0], [0, 1, 1, 0], 3)
    array([9., 6., 0.])
    """
    slopes, places = real_numbers("gradients", gradients), np.asarray(indices)
    if places.dtype.kind not in "iu":
        raise TypeError(f"indices are of dtype {places.dtype}; integers are accepted")
    if slopes.shape != places.shape:
        raise ValueError(f"gradients have shape {slopes.shape}, but indices have shape {places.shape}")
    entries = bounds.check_integer("entries", entries, 1, 2**16)
    if places.size and not 0 <= places.min() <= places.max() < entries:
        raise ValueError(f"indices lie in [{places.min()}, {places.max()}]; [0, {entries - 1}] is accepted")
    return np.bincount(places.reshape(-1), slopes.reshape(-1), entries).astype(np.float64)


class StreamingSharer:
    """Share the weights of a layer that is larger than memory, in two passes over its blocks.

    The first pass counts weights in a `Quantiles` table, `update`; the second maps them to the nearest of the values
    found, `indices`, and sums them up: then the codebook has the means of the weights that were mapped to each. The
    bound is that of `share_weights`, with e = 2**-10. Weights that are zero are pruned.

    Parameters
    ----------
    bits, entries, start, seed
        As for `share_weights`.

    Examples
    --------
    >>> blocks = [np.array([1.0, 0.0, 1.5]), np.array([4.0, 4.5])]
    >>> sharer = StreamingSharer(bits=1)
    >>> for block in blocks:
    ...     sharer.update(block)
    >>> [sharer.indices(block).tolist() for block in blocks]
    [[1, 0, 1], [2, 2]]
    >>> sharer.codebook
    array([0.  , 1.25, 4.25], dtype=float32)
    """

    def __init__(
        self, bits: int | None = None, *, entries: int | None = None, start: str = "optimal", seed: int = 0
    ) -> None:
        if start not in STARTS:
            raise ValueError(f"start is {start!r}; {', '.join(map(repr, STARTS))} are accepted")
        self.entries, self.start, self.seed = _entries(bits, entries), start, seed
        self._table = Quantiles(RELATIVE_ERROR)
        self._means: npt.NDArray[np.float64] | None = None  # of the clusters of the table, once it is complete
        self._sums = np.zeros((2, 0))  # of the weights mapped to each, and how many they are

    def update(self, weights: npt.ArrayLike) -> None:
        """Count a block of weights, of any shape, in the first pass.

        Raises
        ------
        TypeError, ValueError
            If the weights are not finite numbers, or the second pass has begun; nothing is counted then.
        """
        if self._means is not None:
            raise ValueError("the second pass has begun: update() comes before indices() and codebook")
        self._table.update(_finite("weights", weights).reshape(-1))

    def indices(self, weights: npt.ArrayLike) -> Indices:
        """Give the indices of a block of weights in the second pass, of its shape; each block is to be given once.

        Raises
        ------
        TypeError, ValueError
            If the weights are not finite numbers, or some are zero, or not zero, where none were in the first pass.
        """
        dense = _finite("weights", weights)
        means, sparse = self._clusters(), self.sparse
        kept = dense != 0
        chosen = dense[kept]
        if (chosen.size and not len(means)) or (chosen.size < dense.size and not sparse):
            raise ValueError("weights are not those of the first pass, in which none were zero, or all")
        places = nearest(chosen, means)
        self._sums += _sums(chosen, places, None, len(means))
        indices = np.zeros(dense.shape, _dtype(len(means) + sparse))
        indices[kept] = places + sparse
        return indices

    @property
    def sparse(self) -> bool:
        """Whether some weight is zero, so that entry 0 stands for pruned weights."""
        return not self._table.total or bool((self._table.bins()[0] == 0).any())

    @property
    def codebook(self) -> Floats:
        """The values that are shared: means of the weights mapped to each so far, of its cluster before there are any.

        The second pass begins when it is first asked for.
        """
        return _codebook(_means(self._clusters(), *self._sums), self.sparse)

    def _clusters(self) -> npt.NDArray[np.float64]:
        if self._means is None:
            values, masses = Histogram.of_sketch(self._table)
            kept = values != 0
            self._means = cluster(values[kept], masses[kept], self.entries, self.start, seed=self.seed)
            self._sums = np.zeros((2, len(self._means)))
        return self._means


def _entries(bits: int | None, entries: int | None) -> int:
    if (bits is None) == (entries is None):
        raise ValueError(f"bits is {bits}, and entries is {entries}; one of them is accepted")
    if bits is not None:
        return 1 << bounds.check_integer("bits", bits, 1, MOST_ENTRIES.bit_length() - 1)
    return bounds.check_integer("entries", entries, 1, MOST_ENTRIES)  # type: ignore[arg-type]


def _finite(name: str, numbers: Any) -> Floats:
    array = real_numbers(name, numbers)
    with np.errstate(over="ignore"):
        found = array.astype(np.float32, copy=False)
    finite = np.isfinite(found)
    if not finite.all():
        place = tuple(int(axis[0]) for axis in np.nonzero(~finite)) if found.ndim else ()
        where = f" at {list(place)}" if place else ""
        raise ValueError(f"{name} hold {array[place]}{where}; finite numbers in the range of float32 are accepted")
    return found


def _mask(mask: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    kept = np.asarray(mask)
    if kept.dtype != np.bool_ or kept.shape != shape:
        raise ValueError(f"mask is {kept.dtype} of shape {kept.shape}; bool of shape {shape} is accepted")
    return kept


def _importances(importances: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    found = _finite("importances", importances)
    if found.shape != shape:
        raise ValueError(f"importances have shape {found.shape}, but weights have shape {shape}")
    if found.size and found.min() < 0:
        raise ValueError(f"importances hold {found.min()}; 0 and more are accepted")
    return found


def _sums(
    weights: Floats, places: npt.NDArray[np.intp], importances: Floats | None, entries: int
) -> npt.NDArray[np.float64]:
    """Give, for each entry, the sum of its weights, and how many they are or what they count."""
    products = weights if importances is None else weights.astype(np.float64) * importances
    return np.array([np.bincount(places, part, entries) for part in (products, importances)], np.float64)


def _means(
    means: npt.NDArray[np.float64], sums: npt.NDArray[np.float64], masses: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.divide(sums, masses, out=means.copy(), where=masses > 0)


def _codebook(means: npt.NDArray[np.float64], sparse: bool) -> Floats:
    return np.concatenate([np.zeros(int(sparse)), means]).astype(np.float32)


def _dtype(entries: int) -> type[np.uint8 | np.uint16]:
    return np.uint8 if entries <= 256 else np.uint16
