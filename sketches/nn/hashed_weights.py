"""A large matrix in few numbers: every weight is ± one of a few stored values, chosen by a hash of its position.

W. Chen, J. Wilson, S. Tyree, K. Weinberger and Y. Chen, "Compressing neural networks with the hashing trick", ICML
2015. The signs, and the variance that they leave: K. Weinberger, A. Dasgupta, J. Langford, A. Smola and J. Attenberg,
"Feature hashing for large scale multitask learning", ICML 2009.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.hashed_weights import collect, expand
from sketches._ext.hashing import Hasher
from sketches.core import bounds, wire
from sketches.core.stored import Stored
from sketches.nn.arrays import real_numbers
from sketches.nn.hashed_fit import fit_values, row_blocks

__all__ = ["HashedWeights"]

Floats = npt.NDArray[np.float32]


class HashedWeights(Stored):
    """A virtual array of weights, regenerated from `size` stored float32 values.

    Weight i (counted row by row) is ``sign(i) * values[bucket(i)]``, with both taken from the 64-bit hash of i: the
    bucket from its high bits, the sign from its lowest bit. Only `values` takes memory: 4 bytes each.

    With M weights and K values, over the choice of the seed, for any fixed w and x of M elements:

    - ``gradient(w) @ gradient(x)`` has the expectation ``w @ x`` and the variance
      ``((w @ w) * (x @ x) + (w @ x)**2 - 2 * sum(w**2 * x**2)) / K`` (Weinberger et al. 2009, Lemma 2);
    - `from_matrix` leaves the least squared error that K values can have under the hash. Its expectation is
      ``(1 - r) * (w @ w)`` with ``r = K / M * (1 - (1 - 1 / K)**M)``, close to the share K / M of values. The fit is
      shrunk: the expectation of its inner product with x is ``r * (w @ x)``. (Weight i is its own part of a mean of n
      weights, and the others' signs are random, so it keeps 1 / n of itself on average; r is the expectation of 1 / n.)
      Matrices that were not trained under the hash therefore lose most of themselves at high compression: train or
      fine-tune `values` through `gradient`.

    Parameters
    ----------
    shape
        The shape of the virtual array, at least one dimension.
    size
        The number of stored values; all are 0 at first.
    seed
        Selects the hash: an integer in [0, 2**32).

    Attributes
    ----------
    values
        The stored values, a float32 array of length `size`, to be changed in place or assigned as a whole.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range.

    Examples
    --------
    A layer of 300 × 1,000 weights in 10,000 values, 30 times fewer:

    >>> layer = HashedWeights((300, 1000), 10_000)
    >>> layer.values[:] = np.random.default_rng(1).normal(size=10_000)
    >>> layer.nbytes
    40000
    >>> x = np.ones(1000, np.float32)
    >>> bool(np.allclose(layer @ x, layer.matrix() @ x, atol=1e-3))
    True

    One step down the gradient of half the squared output, which is the outer product of output and input:

    >>> output = layer @ x
    >>> layer.values -= 1e-7 * layer.gradient(np.outer(output, x))
    >>> bool(np.linalg.norm(layer @ x) < np.linalg.norm(output))
    True
    """

    _class = "HashedWeights"

    __array_ufunc__ = None  # makes `array @ weights` call __rmatmul__

    def __init__(self, shape: Sequence[int], size: int, *, seed: int = 0) -> None:
        if isinstance(shape, str | bytes) or not isinstance(shape, Sequence):
            raise TypeError(f"shape is {shape!r}; a tuple of integers is accepted")
        if not 1 <= len(shape) <= 8:
            raise ValueError(f"shape is {tuple(shape)}; 1 to 8 dimensions are accepted")
        self.shape = tuple(bounds.check_integer("shape", length, 1, 2**40) for length in shape)
        if math.prod(self.shape) > 2**62:
            raise ValueError(f"shape is {self.shape}; at most 2**62 weights are accepted")
        self._hasher = Hasher(seed)
        self._values: Floats = np.zeros(bounds.check_integer("size", size, 1, 2**40), np.float32)

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike, size: int, *, seed: int = 0) -> Self:
        """Give the weights that are closest to a matrix (least squares), in one pass over blocks of its rows.

        Every value is the mean of its weights, their signs undone.

        Raises
        ------
        TypeError, ValueError
            If the matrix holds anything but finite real numbers, or an argument is out of range.
        """
        matrix = real_numbers("matrix", matrix)
        return cls.from_blocks(matrix.shape, (matrix[a:b] for a, b in row_blocks(matrix.shape)), size, seed=seed)

    @classmethod
    def from_blocks(cls, shape: Sequence[int], blocks: Iterable[npt.ArrayLike], size: int, *, seed: int = 0) -> Self:
        """Do as `from_matrix` with weights that come as consecutive blocks of rows, such as `TensorFile.blocks` gives.

        Raises
        ------
        TypeError, ValueError
            If the blocks hold anything but finite real numbers or do not make up `shape`, or an argument is out of
            range.
        """
        weights = cls(shape, size, seed=seed)
        means = fit_values(weights.shape, blocks, size, seed=seed)
        if not (np.abs(means) <= np.finfo(np.float32).max).all():
            raise ValueError("weights hold numbers beyond the range of float32")
        weights.values = means
        return weights

    @property
    def values(self) -> Floats:
        """The stored values; assigning copies into this array, which keeps its place and its length."""
        return self._values

    @values.setter
    def values(self, values: npt.ArrayLike) -> None:
        array = real_numbers("values", values)
        if array.shape != self._values.shape:
            raise ValueError(f"values have shape {array.shape}; {self._values.shape} is accepted")
        self._values[:] = array

    @property
    def size(self) -> int:
        """The number of stored values."""
        return len(self.values)

    @property
    def seed(self) -> int:
        """What selects the hash."""
        return self._hasher.seed

    @property
    def nbytes(self) -> int:
        """The memory of the values, in bytes."""
        return self.values.nbytes

    def matrix(self) -> Floats:
        """Make all weights, an array of shape `shape`."""
        return self.rows(0, self.shape[0])

    def rows(self, start: int, stop: int) -> Floats:
        """Make the weights of rows [start, stop), that is ``matrix()[start:stop]``, and nothing else."""
        start = bounds.check_integer("start", start, 0, self.shape[0])
        stop = bounds.check_integer("stop", stop, start, self.shape[0])
        out = np.empty((stop - start, *self.shape[1:]), np.float32)
        expand(self._hasher, self._values, start * self._width, out.reshape(-1))
        return out

    def __matmul__(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """Multiply the matrix by a vector or a matrix, a block of rows at a time."""
        x = self._operand(x, 1, 0)
        dtype = np.result_type(x, np.float32)
        out = np.empty((self.shape[0], *x.shape[1:]), dtype)
        for start, stop in row_blocks(self.shape):
            out[start:stop] = self.rows(start, stop) @ x
        return out

    def __rmatmul__(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """Multiply a vector or a matrix by this one, a block of rows at a time."""
        x = self._operand(x, 0, -1)
        out = np.zeros((*x.shape[:-1], self.shape[1]), np.result_type(x, np.float32))
        for start, stop in row_blocks(self.shape):
            out += x[..., start:stop] @ self.rows(start, stop)
        return out

    def gradient(self, dense_gradient: npt.ArrayLike) -> Floats:
        """Pass a gradient of the weights on to the values: the sums over each value's weights, with their signs.

        Parameters
        ----------
        dense_gradient
            The derivative of a loss by every weight, of shape `shape`; it is read a block of rows at a time.
        """
        dense = real_numbers("dense_gradient", dense_gradient)
        if dense.shape != self.shape:
            raise ValueError(f"dense_gradient has shape {dense.shape}; {self.shape} is accepted")
        sums = np.zeros(self.size, np.float64)
        for start, stop in row_blocks(self.shape):
            block = np.ascontiguousarray(dense[start:stop], np.float64).reshape(-1)
            collect(self._hasher, block, start * self._width, sums, None)
        return sums.astype(np.float32)

    @property
    def _width(self) -> int:
        return math.prod(self.shape[1:])  # weights a row

    def _operand(self, x: npt.ArrayLike, mine: int, theirs: int) -> npt.NDArray[Any]:
        x = real_numbers("the array", x)
        if len(self.shape) != 2:
            raise ValueError(f"the weights have shape {self.shape}; @ needs two dimensions")
        if x.ndim not in (1, 2) or x.shape[theirs] != self.shape[mine]:
            raise ValueError(f"weights of shape {self.shape} cannot be multiplied with an array of shape {x.shape}")
        return x

    def _envelope(self) -> wire.Envelope:
        return wire.Envelope(1, self.seed, 0, 0, 0)

    def _fields(self) -> dict[str, Any]:
        return {"shape": self.shape, "values": self.values}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope) -> Self:
        wire.require(envelope.weight == envelope.nulls == 0, "hashed weights that have counted something")
        shape, values = tuple(fields["shape"].tolist()), fields["values"]
        wire.require(1 <= len(shape) <= 8, f"{len(shape)} dimensions, outside [1, 8]")
        wire.require(math.prod(shape) <= 2**62, f"a shape of {math.prod(shape)} weights, above 2**62")
        wire.require(len(values), "no values")
        weights = cls(shape, 1, seed=envelope.fingerprint)
        weights._values = values.copy()
        return weights

    def __repr__(self) -> str:
        ratio = math.prod(self.shape) / self.size
        return f"<HashedWeights({self.shape}, {self.size}, seed={self.seed}): {self.nbytes:,} bytes, {ratio:.3g} : 1>"
