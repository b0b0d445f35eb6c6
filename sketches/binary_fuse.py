"""In the set?

For a set that is known in advance, a table can be solved for: such that the xor of three of its slots, chosen by an
item's hash, is another few bits of the hash, the item's fingerprint. For an item that is not in the set, it is so by
chance alone. If the slots lie in three neighbouring segments of the table, nine slots for eight items suffice.

T. M. Graf and D. Lemire, "Binary fuse filters: Fast and smaller than xor filters", ACM Journal of Experimental
Algorithmics 27 (2022); S. Walzer, "Peeling close to the orientability threshold: Spatial coupling in hashing-based data
structures", SODA 2021.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.binary_fuse import BinaryFuseKernel, solve
from sketches._ext.hashing import Hasher
from sketches.core import filter_bounds
from sketches.core.hash_sketch import HashSketch
from sketches.core.items import blocks, hash_block
from sketches.core.wire import Envelope, require

__all__ = ["BinaryFuseFilter"]


class BinaryFuseFilter(HashSketch, BinaryFuseKernel):
    """A fixed set that answers "certainly not" or "probably", in less memory than a `BloomFilter`.

    - ``x in fuse`` is True for every x of the set: never a false negative.
    - For another x it is True with probability 2**-bits, over the choice of x.

    It takes ``1.13 * bits`` bits for each different item of a set of a million, 1.19 of a hundred thousand and 1.41 of
    a thousand; building it takes some 40 bytes for each, for a moment. Nothing can be added to it or merged into it,
    and the same set gives the same filter, in whatever order and however often its items come.

    Parameters
    ----------
    items
        The whole set, as anything that `update` of other sketches takes: a list or any iterable, an array, a column.
        Repeated items count once; nulls are skipped, and counted in `nulls`. At most 2**31 different items.
    bits
        8 or 16: the rate of false positives is 1/256 or 1/65536.
    seed, key
        See `sketches.Hasher`. Whoever knows the seed can choose items for which there is no filter.

    Attributes
    ----------
    total, weight
        The number of different items (by their 64-bit hashes).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or if no filter was found for the set. Items that hash at random fail one of 64
        attempts now and then, and all of them never.

    Examples
    --------
    Of 10,000 strangers, 10,000 / 256, about 39, are expected to be taken for members, with a standard deviation of 6:

    >>> members = BinaryFuseFilter([f"user {i}" for i in range(1000)])
    >>> "user 7" in members
    True
    >>> strangers = [f"stranger {i}" for i in range(10_000)]
    >>> 9 <= members.contains(strangers).tolist().count(True) <= 69
    True
    """

    __slots__ = ()

    def __init__(self, items: Any, bits: int = 8, *, seed: int = 0, key: bytes | None = None) -> None:
        if isinstance(bits, bool) or not hasattr(bits, "__index__") or bits not in (8, 16):
            raise ValueError(f"bits is {bits!r}; 8 or 16 is accepted")
        hasher = Hasher(seed, key)
        hashes, nulls = _distinct_hashes(items, hasher)
        n = len(hashes)
        if n > filter_bounds.BINARY_FUSE_MOST_ITEMS:
            raise ValueError(
                f"items hold {n} different ones; at most {filter_bounds.BINARY_FUSE_MOST_ITEMS} are accepted"
            )
        log_length, segments = filter_bounds.binary_fuse_shape(n)
        slots = segments + 2 << log_length if n else 0
        for attempt in range(filter_bounds.BINARY_FUSE_ATTEMPTS):
            table = np.zeros(slots * bits // 8, np.uint8)
            if solve(hashes, table, log_length, bits, attempt):
                break
        else:
            raise ValueError(
                f"items: no filter was found for this set of {n} in {attempt + 1} attempts, which only happens to items"
                " chosen by someone who knows the seed; pass 16 secret bytes as key="
            )
        self._setup(table, log_length, bits, attempt)
        self._open(hasher, n, n, nulls)

    @property
    def nbytes(self) -> int:
        """The memory of the fingerprints, in bytes."""
        return self._table.nbytes

    @property
    def fingerprints(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """The table of fingerprints, read-only."""
        table = self._table.view(f"u{self.bits // 8}")
        table.flags.writeable = False
        return table

    def contains(self, items: Any) -> npt.NDArray[np.bool_]:
        """Whether each item may be in the set: an array of bools; False is certain, and the answer for a null."""
        return self._answers(items, np.bool_, null=False)

    def false_positive_rate(self) -> float:
        """Give the probability that an item that is not in the set seems to be: 2**-bits, or 0 for the empty set."""
        return 2.0**-self.bits if self.nbytes else 0.0

    def add(self, item: Any, count: int = 1) -> NoReturn:
        """Raise: the set is fixed."""
        raise TypeError(_FIXED)

    def update(self, items: Any, counts: Any = None, *, threads: int | None = 1) -> NoReturn:
        """Raise: the set is fixed."""
        raise TypeError(_FIXED)

    def merge(self, *others: Any) -> NoReturn:
        """Raise: the set is fixed."""
        raise TypeError(_FIXED)

    def _parameters(self) -> dict[str, Any]:
        return {"bits": self.bits}

    def _error(self) -> str:
        return f"false positives {self.false_positive_rate():.2g}"

    def _fields(self) -> dict[str, Any]:
        swapped = self.fingerprints.astype(f"<u{self.bits // 8}", copy=False)
        return {
            "bits": self.bits,
            "attempt": self.attempt,
            "log_length": self.log_length,
            "fingerprints": swapped.view(np.uint8),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        bits, log_length, stored = fields["bits"], fields["log_length"], fields["fingerprints"]
        require(bits in (8, 16), f"fingerprints of {bits} bits; 8 and 16 are known")
        require(len(stored) % (bits // 8 << log_length) == 0, f"{len(stored)} bytes are no whole number of segments")
        slots = len(stored) * 8 // bits
        require(slots == 0 or 3 << log_length <= slots < 2**32, f"{slots} slots in segments of {1 << log_length}")
        require(envelope.total == envelope.weight, f"total {envelope.total} of a weight of {envelope.weight}")
        require((envelope.total > 0) == (slots > 0), f"{slots} slots for {envelope.total} items")
        require(envelope.total <= slots, f"{envelope.total} items in {slots} slots")
        table = stored.view(f"<u{bits // 8}").astype(f"u{bits // 8}")  # a copy
        used = np.count_nonzero(table)
        require(used <= envelope.total, f"{used} slots are used by {envelope.total} items")
        sketch = cls.__new__(cls)
        sketch._setup(table.view(np.uint8), log_length, bits, fields["attempt"])
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch


_FIXED = (
    "a BinaryFuseFilter is a fixed set: make a new one of all items, BinaryFuseFilter(items), or use a BloomFilter, to"
    " which items can be added and filters merged"
)


def _distinct_hashes(items: Any, hasher: Hasher) -> tuple[npt.NDArray[np.uint64], int]:
    """Give the different hashes of items in ascending order, and the number of nulls."""
    found, nulls = [np.empty(0, np.uint64)], 0
    for block in blocks(items):
        hashed = hash_block(block, hasher)
        found.append(hashed.hashes)
        nulls += hashed.nulls
    hashes = np.concatenate(found)
    hashes.sort()
    first = np.ones(len(hashes), np.bool_)
    np.not_equal(hashes[1:], hashes[:-1], out=first[1:])
    return hashes if first.all() else hashes[first], nulls
