"""What hashed layers share: how many values, which hash, and what is saved of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from sketches.core import bounds
from sketches.nn.torch.hashed import virtual
from sketches.nn.torch.hashed.places import MOST, Places

__all__ = ["HashedModule", "check_ids", "count_entries"]

VERSION = 1  # of the extra state: version, seed, hashes, and the shape


def count_entries(weights: int, ratio: float | None, entries: int | None) -> int:
    """Give how many values stand for so many weights: `entries`, or a ratio-th of them, rounded up."""
    if entries is not None and ratio is None:
        return bounds.check_integer("entries", entries, 1, MOST)
    if ratio is None or entries is not None:
        raise TypeError(f"ratio is {ratio} and entries is {entries}; give one of the two")
    if isinstance(ratio, bool) or not isinstance(ratio, Real):
        raise TypeError(f"ratio is {ratio!r}; a number of 1 or more is accepted")
    if not 1 <= ratio < math.inf:
        raise ValueError(f"ratio is {ratio}; weights for each value, a finite number of 1 or more, are accepted")
    return math.ceil(weights / ratio)


def check_ids(ids: Tensor, rows: int) -> None:
    """Raise an error for numbers of rows that are no int32 or int64, or, on the CPU, outside of [0, rows)."""
    if ids.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"input has dtype {ids.dtype}; int32 and int64 are accepted")
    if virtual.compiled(ids) and ids.numel():
        least, most = int(ids.min()), int(ids.max())
        if least < 0 or most >= rows:
            raise IndexError(f"input holds {least if least < 0 else most}; [0, {rows}) is accepted")


class HashedModule(nn.Module):
    """What hashed layers share: the values, the hash, and what is saved of them.

    Weight i of M, counted row by row, is the sum over j < `hashes` of ``sign(i + j M) * values[bucket(i + j M)]``, with
    the hash of `sketches.nn.HashedWeights`: for one hash, ``HashedWeights(shape, entries, seed=seed).matrix()`` with
    the same values. Layers of the same seed, shape and entries have the same hash; give each its own seed, as
    `hash_` does.

    Attributes
    ----------
    values
        The trained parameter, of shape (entries,).
    weight
        The virtual weights, made when they are asked for; gradients flow to `values`.
    """

    values: nn.Parameter
    places: Places

    def _take(self, shape: tuple[int, ...], ratio: Any, entries: Any, hashes: int, seed: int, **factory: Any) -> None:
        n = count_entries(math.prod(shape), ratio, entries)
        self.places = Places(shape, n, hashes, seed)
        values = torch.empty(n, **factory)
        if not values.is_floating_point():
            raise TypeError(f"dtype is {values.dtype}; a floating-point one is accepted")
        self.values = nn.Parameter(values)

    @property
    def weight(self) -> Tensor:
        """The virtual weights."""
        return virtual.weights(self.values, self.places)

    @property
    def seed(self) -> int:
        """What selects the hash."""
        return self.places.seed

    @property
    def hashes(self) -> int:
        """How many values are added up for each weight."""
        return self.places.hashes

    def get_extra_state(self) -> Tensor:
        """Give what is saved beside the values: version, seed, hashes and shape, as int64."""
        return torch.tensor([VERSION, self.seed, self.hashes, *self.places.shape], device="cpu")

    def set_extra_state(self, state: Any) -> None:
        """Do nothing: `_load_from_state_dict` has compared it."""

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        *others: Any,  # the last of them: messages of errors
    ) -> None:
        stored, mine = state_dict.get(f"{prefix}_extra_state"), self.get_extra_state().tolist()
        found = stored.tolist() if isinstance(stored, Tensor) else stored
        if stored is not None and found != mine:
            others[-1].append(
                f"{prefix}values: saved under another hash: version, seed, hashes and shape are {found}, this layer's"
                f" are {mine}"
            )
            return
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _hash_repr(self) -> str:
        hashes = f", hashes={self.hashes}" if self.hashes > 1 else ""
        return f"entries={self.places.entries}{hashes}, seed={self.seed}"
