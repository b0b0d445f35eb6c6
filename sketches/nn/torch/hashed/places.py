"""Where the weights of a layer lie among its stored values: the hash of `HashedWeights`, for tensors on any device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sketches._ext.hashed_weights import collect, expand, locate
from sketches._ext.hashing import Hasher
from sketches.core import bounds
from sketches.nn.torch.tensors import readable_array

__all__ = ["MOST", "MOST_HASHES", "Places"]

MOST = 2**31  # values, so that products of 32 bits of a hash with their number fit 63 bits
MOST_HASHES = 64
LOW = 2**32 - 1
GOLDEN = 0x9E3779B97F4A7C15  # of integers' salt, as in include/hash.h
MIX = -0xAE502812AA7333, -0x3B314601E57A13AD  # 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53 as int64


class Places:
    """The hash of a virtual array: weight i is the sum over j of ``sign(i + j * M) * values[bucket(i + j * M)]``.

    The positions i count row by row; M is how many there are; bucket and sign are those of
    ``HashedWeights((hashes, *shape), entries, seed=seed)``, whose ``matrix().sum(axis=0)`` is the virtual array.

    Parameters
    ----------
    shape
        Of the virtual array.
    entries
        How many values there are.
    hashes
        How many values are added up for each weight.
    seed
        Selects the hash.
    """

    def __init__(self, shape: tuple[int, ...], entries: int, hashes: int, seed: int) -> None:
        self.shape = tuple(bounds.check_integer("shape", length, 1, 2**40) for length in shape)
        self.entries = bounds.check_integer("entries", entries, 1, MOST)
        self.hashes = bounds.check_integer("hashes", hashes, 1, MOST_HASHES)
        self.hasher = Hasher(seed)
        self.total, self.width = math.prod(self.shape), math.prod(self.shape[1:])
        if self.total > 2**56:
            raise ValueError(f"shape is {self.shape}; at most 2**56 weights are accepted")
        salted = np.array([(self.seed + 2 * GOLDEN) % 2**64], np.uint64).view(np.int64)
        self._salt = int(_mix(salted)[0])
        self._index: Tensor | None = None  # made when it is first needed, and again on another device

    @property
    def seed(self) -> int:
        """What selects the hash."""
        return self.hasher.seed

    def __reduce__(self) -> tuple[Any, ...]:
        return Places, (self.shape, self.entries, self.hashes, self.seed)

    # The compiled way: float32 or float64 on the CPU; no index is kept.

    def fill(self, values: Tensor, rows: Tensor | tuple[int, int]) -> Tensor:
        """Make the weights of some rows, given by number or as (start, stop); of shape (rows, width)."""
        chosen, start, n = self._runs(rows)
        array = readable_array(values.detach())
        out, part = np.empty(n * self.width, array.dtype), None
        expand(self.hasher, array, start, out, chosen)
        for j in range(1, self.hashes):
            part = np.empty_like(out) if part is None else part
            expand(self.hasher, array, start + j * self.total, part, chosen)
            out += part
        return torch.from_numpy(out).view(n, self.width)

    def gather(self, dense: Tensor, rows: Tensor | tuple[int, int], sums: npt.NDArray[np.float64]) -> None:
        """Add a gradient of these rows' weights to the sums of their values, with signs."""
        chosen, start, _ = self._runs(rows)
        array = readable_array(dense.detach()).reshape(-1)
        for j in range(self.hashes):
            collect(self.hasher, array, start + j * self.total, sums, None, chosen)

    def _runs(self, rows: Tensor | tuple[int, int]) -> tuple[npt.NDArray[np.int64] | None, int, int]:
        if isinstance(rows, Tensor):
            return readable_array(rows), 0, len(rows)
        return None, rows[0] * self.width, rows[1] - rows[0]

    # The way of all devices, dtypes and transformations: gathering by an index of signed places.

    def index(self, device: torch.device) -> Tensor:
        """Give the place of each weight, of shape (hashes, M): the bucket, or entries + bucket if it is negated.

        It is kept for the device that last asked; int32 where that holds it.
        """
        if torch.compiler.is_compiling() or device.type == "meta":  # a compiler makes one loop of it
            return self.locate(torch.arange(self.total, device=device))
        index = self._index  # once: threads of other devices may put theirs there
        if index is None or index.device != device:
            found = np.empty(self.hashes * self.total, np.int64)
            locate(self.hasher, 0, self.entries, found)
            narrow = found.astype(np.int32) if 2 * self.entries <= 2**31 else found
            with torch.inference_mode(False):  # a backward pass may be the next to use it
                self._index = index = torch.from_numpy(narrow).view(self.hashes, self.total).to(device)
        return index

    def locate(self, positions: Tensor) -> Tensor:
        """Give the same for some positions (int64), of shape (hashes, *positions.shape): hashed where they are."""
        return torch.stack([self._locate(positions + j * self.total) for j in range(self.hashes)])

    def _locate(self, positions: Tensor) -> Tensor:
        h = _mix(positions ^ self._salt)
        product = ((h >> 32) & LOW) * self.entries + (((h & LOW) * self.entries) >> 32)
        places: Tensor = (product >> 32) + (h & 1) * self.entries
        return places


def _mix(x: Any) -> Any:
    """MurmurHash3's finaliser of 64 bits, on int64: products wrap, and shifts to the right must not bring in signs."""
    for factor in MIX:
        x = (x ^ ((x >> 33) & (2**31 - 1))) * factor
    return x ^ ((x >> 33) & (2**31 - 1))
