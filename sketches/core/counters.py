"""What sketches share that keep items with their counters: input, queries and bytes."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.counter_table import CounterTable
from sketches._ext.frequent_items import FrequentItems
from sketches._ext.hashing import Hasher
from sketches._ext.kernel import exact_weight
from sketches.core import bounds
from sketches.core.contract import Sketch
from sketches.core.estimate import Estimate, at_least, at_most
from sketches.core.item_codec import decode_items, encode_items
from sketches.core.items import Block, hash_all, hash_block
from sketches.core.wire import Envelope, require

__all__ = [
    "CounterSketch",
    "Entries",
    "EntrySketch",
    "aligned",
    "read_entries",
    "read_items",
    "require_unsigned",
    "table",
]

Counts = npt.NDArray[np.int64]


class Entries(NamedTuple):
    """Counters in order of their items' hashes: ``counts - errors <= truth <= counts``."""

    hashes: npt.NDArray[np.uint64]
    counts: Counts
    errors: Counts
    items: list[Any]

    def take(self, places: npt.NDArray[np.int64]) -> Entries:
        """Give some of the entries."""
        items = [self.items[i] for i in places.tolist()]
        return Entries(self.hashes[places], self.counts[places], self.errors[places], items)


class EntrySketch(Sketch, CounterTable):
    """A sketch that keeps items themselves, each with a counter."""

    __slots__ = ()

    # Items are fetched after a block, for entries that are still there; most of those that it began are not.
    _block = 1 << 16
    _in_place = (np.int64,)

    @property
    def nbytes(self) -> int:
        """The memory of the counters, in bytes; the items themselves come on top."""
        return self._memory

    def top(self, n: int | None = None) -> npt.NDArray[np.void]:
        """Give the n items of the largest counts (default: all that have a counter).

        Returns
        -------
        array
            Fields item, count, error; by descending count, ties by the items' hashes. An item is the one that was seen
            first among equals, as int, float, str, bytes, tuple or numpy.datetime64.
        """
        return table(self._ranked(n))

    def _ranked(self, n: int | None = None) -> Entries:
        """Give the n entries of the largest counts (default: all) by descending count, ties by hash."""
        if n is not None:
            n = bounds.check_integer("n", n, 0, 2**31)
        entries = Entries(*self._entries())
        return entries.take(np.argsort(-entries.counts, kind="stable")[:n])

    def _add_block(self, block: Block) -> None:
        integers = block.column.integers(block.start, block.stop)
        if integers is not None:
            self._insert_integers(integers, block.counts, block.items)
            return
        hashed = hash_block(block, self.hasher)
        self._insert(hashed.hashes, hashed.counts, hashed.items)
        if hashed.nulls:
            self._add_nulls(hashed.nulls)

    def _entry_fields(self) -> dict[str, Any]:
        entries = Entries(*self._entries())
        items = np.frombuffer(encode_items(entries.items), np.uint8)
        return {"counts": entries.counts, "errors": entries.errors, "items": items}


class CounterSketch(EntrySketch, FrequentItems):
    """A sketch whose counters bound from both sides how often their items occurred.

    For every item of true count f, where `max_error` is part of the sketch's guarantee:

    - with an entry: ``count - error <= f <= count`` and ``error <= max_error``;
    - without one: ``f <= max_error``.
    """

    __slots__ = ()

    def __getitem__(self, item: Any) -> Estimate:
        """Estimate how often one item occurred: at most that often, and at least `.lower` times, for certain."""
        lower, upper = self.bounds([item])
        most = at_least(int(upper[0]))
        return Estimate(most, lower=at_most(int(lower[0])), upper=most)

    def estimate(self, items: Any) -> Counts:
        """Estimate how often each item occurred: an int64 array, ``truth <= estimate <= truth + max_error``."""
        return self.bounds(items)[1]

    def bounds(self, items: Any) -> tuple[Counts, Counts]:
        """Give int64 arrays ``(lower, upper)`` with ``lower <= truth <= upper``, always."""
        hashes = hash_all(items, self.hasher)
        lower, upper = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.int64)
        self._bounds(hashes, lower, upper)
        return lower, upper

    def items_above(self, support: float) -> npt.NDArray[np.void]:
        """Find the items that make up a share `support` of the total, or more.

        Every item with ``truth >= support * total`` is found, and none with ``truth < support * total - error``.

        Parameters
        ----------
        support
            The share, in (0, 1); it must exceed ``max_error / total``, for fewer occurrences may leave no trace.

        Returns
        -------
        array
            As `SpaceSaving.top` gives it.
        """
        bounds.check_fraction("support", support)
        total, error = self.total, self.max_error
        # A quotient of integers is the double nearest to their ratio: an item of 7 in 100 has the share 0.07.
        if total > 0 and error / total >= support:
            raise ValueError(
                f"support is {support}; more than max_error / total = {error} / {total} is accepted, because items as"
                " rare as that may have no counter"
            )
        entries = self._ranked()
        shares = np.array([count / max(total, 1) for count in entries.counts.tolist()])  # NumPy would round them first
        return table(entries.take(np.flatnonzero(shares >= support)))

    def _copy(self) -> Self:  # without writing and reading items
        twin = type(self).__new__(type(self))
        twin._setup(self._limit, self._width, self._deletions)
        twin._load(self.max_error, self.weight % self._width if self._width else 0, *self._entries())
        twin._open(self.hasher, self.total, self.weight, self.nulls)
        return twin


def table(entries: Entries) -> npt.NDArray[np.void]:
    """Give entries as a structured array of items, counts and errors."""
    found = np.empty(len(entries.items), [("item", object), ("count", np.int64), ("error", np.int64)])
    found["count"] = entries.counts
    found["error"] = entries.errors
    found["item"] = np.fromiter(entries.items, object, len(entries.items))  # np.array would unpack tuples
    return found


def aligned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give an array of bytes as kernels read it."""
    return values if values.flags.aligned else values.copy()


def read_entries(fields: dict[str, Any], inserted: int, hasher: Hasher, max_error: int) -> Entries:
    """Give the entries of a layout, or raise ``FormatError`` where no stream of such a count can have left them."""
    counts, errors = aligned(fields["counts"]), aligned(fields["errors"])
    require(len(counts) == len(errors), f"{len(counts)} counts but {len(errors)} errors")
    if len(counts):
        require(counts.min() > max_error, "a count does not exceed the maximum error")
        require(errors.max() <= max_error, "an error exceeds the maximum error")
        require(counts.max() <= inserted, "a count exceeds the total count")
        require(exact_weight(counts) - exact_weight(errors) <= inserted, "the counters exceed the total count")
    hashes, items = read_items(fields, hasher)
    return Entries(hashes, counts, errors, items)


def require_unsigned(envelope: Envelope) -> None:
    """Raise ``FormatError`` where counts were negative."""
    require(envelope.total == envelope.weight, f"the total {envelope.total} is not the weight {envelope.weight}")


def read_items(fields: dict[str, Any], hasher: Hasher) -> tuple[npt.NDArray[np.uint64], list[Any]]:
    """Give hashes and items of a layout's entries, or raise ``FormatError``.

    Their order, by the hashes, and the items' canonical form make equal states equal bytes.
    """
    items = decode_items(fields["items"].data, len(fields["counts"]))
    hashes, valid = np.empty(len(items), np.uint64), np.empty(len(items), np.uint8)
    hasher.objects(items, 0, len(items), hashes, valid)
    require(valid.all(), "an item is null")
    require((hashes[1:] > hashes[:-1]).all(), "the items are not in order of their hashes")
    return hashes, items
