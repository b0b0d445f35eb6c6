"""A pruned layer that computes from its codebook and indices, without ever being expanded.

Compressed sparse rows, but for values that are indices of a codebook: what S. Han, X. Liu, H. Mao, J. Pu, A. Pedram,
M. Horowitz and W. J. Dally, "EIE: efficient inference engine on compressed deep neural network", ISCA 2016, computes
with in hardware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sketches._ext.shared_csr import PANEL, ROOM, Product
from sketches.core import bounds
from sketches.nn.arrays import real_numbers
from sketches.nn.compression.codebook import check_shared
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.team import share_work

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["SharedCSR"]

Floats = npt.NDArray[np.float32]

PARTS = 4  # of the rows for each of several threads, as one may come late
SHARE = 2**16  # weights times vectors, or panels, that are worth another thread
FEW = 2  # vectors that are multiplied one by one; more are side by side, which costs as much as PANEL of them


class SharedCSR:
    """A sparse matrix of shared weights, 3 bytes for each that is kept, that multiplies vectors.

    ``matrix @ x`` is ``shared.dense() @ x`` but for the order of float32 additions, which depends on how many columns x
    has: each element is off by at most ``(n + 1) * 2**-23`` times the sum of the absolute values of its n products, of
    the weights that are kept, where none leaves float32's normal range. Pruned weights take no part: NaN or infinity in
    their columns changes nothing.

    Parameters
    ----------
    shared
        Weights of two axes, (rows, columns), of at most 65,536 columns and 256 entries besides that of pruned weights.
        Reshape a kernel's ``indices`` to (outputs, inputs × height × width).
    threads
        How many threads share the rows of a product, at most: those of PyTorch, if it is loaded, else others. It cannot
        be changed later. More than one pay for large products on processors that are idle: PyTorch's threads wait for
        each other.

    Attributes
    ----------
    starts, entries, columns
        Where each row starts (int64, one more than rows), and of each weight that is kept the index of its entry
        (uint8) and its column (uint16).
    codebook
        The entries, float32, without that of pruned weights.

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted.

    Examples
    --------
    >>> from sketches.nn import share_weights
    >>> matrix = SharedCSR(share_weights([[0.0, 2.0, 0.0], [3.0, 0.0, 2.0]], bits=1))
    >>> matrix @ np.array([1, 10, 100], np.float32)
    array([ 20., 203.], dtype=float32)
    >>> matrix.nbytes  # 3 weights of 3 bytes, 3 starts of 8, 2 entries of 4
    41
    """

    __array_ufunc__ = None  # `array @ matrix` raises a TypeError instead of making an array of objects

    def __init__(self, shared: SharedWeights, *, threads: int = 1) -> None:
        self._threads = bounds.check_integer("threads", threads, 1, 1024)
        if not isinstance(shared, SharedWeights):
            raise TypeError(f"shared is of type {type(shared).__name__}; SharedWeights are accepted")
        check_shared(shared)
        indices, codebook = shared.indices, shared.codebook[int(shared.sparse) :]
        if indices.ndim != 2 or indices.shape[1] > 2**16:
            raise ValueError(f"shared has shape {indices.shape}; (rows, columns) with up to 65,536 columns is accepted")
        if len(codebook) > ROOM:
            raise ValueError(f"shared has {len(codebook)} entries of kept weights; up to {ROOM} are accepted")
        kept = indices != 0 if shared.sparse else np.ones(indices.shape, np.bool_)
        self.shape: tuple[int, int] = indices.shape
        self.codebook: Floats = codebook.copy()
        self.starts = np.zeros(len(indices) + 1, np.int64)
        np.cumsum(np.count_nonzero(kept, axis=1), out=self.starts[1:])
        self.entries: npt.NDArray[np.uint8] = (indices[kept] - int(shared.sparse)).astype(np.uint8)
        columns = np.arange(indices.shape[1]).astype(np.uint16)
        self.columns: npt.NDArray[np.uint16] = np.broadcast_to(columns, indices.shape)[kept]
        self._room = np.zeros(ROOM, np.float32)
        self._room[: len(codebook)] = codebook
        parts = min(PARTS * threads, len(indices)) if threads > 1 else 1
        self._ends = np.searchsorted(self.starts, np.linspace(0, self.size, max(1, parts) + 1)).astype(np.int64)
        self._freeze()

    def _freeze(self) -> None:
        for part in (self.codebook, self.starts, self.entries, self.columns, self._room, self._ends):
            part.flags.writeable = False  # the kernel relies on them

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, part in state.items():
            borrowed = isinstance(part, np.ndarray) and not part.flags.owndata  # of whoever has unpickled it
            self.__dict__[name] = part.copy() if borrowed else part
        self._freeze()

    @property
    def threads(self) -> int:
        """How many threads share a product, at most."""
        return self._threads

    @property
    def size(self) -> int:
        """How many weights are kept."""
        return len(self.entries)

    @property
    def nbytes(self) -> int:
        """The memory of starts, entries, columns and codebook, in bytes."""
        return self.starts.nbytes + self.entries.nbytes + self.columns.nbytes + self.codebook.nbytes

    def __matmul__(self, x: npt.ArrayLike) -> Floats:
        """Multiply by a vector (columns,) or by several (columns, batch), which are taken as float32."""
        vectors = real_numbers("the array", x).astype(np.float32, copy=False)
        if vectors.ndim not in (1, 2) or len(vectors) != self.shape[1]:
            raise ValueError(
                f"a matrix of shape {self.shape} cannot be multiplied with an array of shape {vectors.shape}"
            )
        if vectors.ndim == 1:
            return self._multiply(vectors[np.newaxis, :, np.newaxis]).reshape(-1)
        columns, batch = vectors.shape
        side = batch - batch % PANEL if batch % PANEL <= FEW else batch  # how many go side by side
        starts = range(0, side, PANEL)
        panels = np.zeros((len(starts), columns, PANEL), np.float32)
        for panel, start in zip(panels, starts, strict=True):
            panel[:, : side - start] = vectors[:, start : min(start + PANEL, side)]
        out = np.empty((self.shape[0], batch), np.float32)
        for panel, start in zip(self._multiply(panels), starts, strict=True):
            out[:, start : min(start + PANEL, side)] = panel[:, : side - start]
        out[:, side:] = self._multiply(vectors.T[side:, :, np.newaxis])[:, :, 0].T
        return out

    def _multiply(self, factors: npt.NDArray[np.float32]) -> Floats:
        """Multiply by factors (n, columns, width), of one vector or PANEL vectors each."""
        out = np.zeros((len(factors), self.shape[0], factors.shape[2]), np.float32)
        own = self.starts, self.entries, self.columns, self._room, len(self.codebook)
        if out.size:
            members = min(self._threads, 1 + self.size * len(factors) // SHARE)
            share_work(Product(*own, np.ascontiguousarray(factors), out, self._ends), members)
        return out

    def dense(self) -> Floats:
        """Give the whole matrix."""
        out = np.zeros(self.shape, np.float32)
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.starts))
        out[rows, self.columns] = self.codebook[self.entries]
        return out

    def to_scipy_csr(self) -> csr_array[Any]:
        """Give the matrix as a `scipy.sparse.csr_array` of float32; it needs SciPy."""
        from scipy.sparse import csr_array

        numbers = np.int32 if self.size < 2**31 else np.int64
        places = self.columns.astype(numbers), self.starts.astype(numbers)
        return csr_array((self.codebook[self.entries], *places), self.shape)

    def __repr__(self) -> str:
        cells = self.shape[0] * self.shape[1]
        return f"<SharedCSR{self.shape}: {self.size:,} of {cells:,} weights, {self.nbytes:,} bytes>"
