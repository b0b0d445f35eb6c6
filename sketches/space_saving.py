"""Which k items are most frequent?

Keep k counters, each with its item. When a new item finds them all taken, the smallest go: the new one may have been
counted in one of those, so it starts at the largest count that was dropped, and remembers that as its possible error.

A. Metwally, D. Agrawal and A. El Abbadi, "Efficient computation of frequent and top-k elements in data streams", ICDT
2005, drop the one smallest counter at a time. Dropping many at once, by a quantile of the counters, takes constant time
an item: D. Anderson et al., "A high-performance algorithm for identifying frequent items in data streams", IMC 2017.

Deletions: F. Zhao, D. Agrawal, A. El Abbadi and A. Metwally, "SpaceSaving±: an optimal algorithm for frequency
estimation and frequent items in the bounded-deletion model", PVLDB 15 (2022). There an entry keeps what was deleted
apart, because the smallest counter bounds what items without one may have; here `max_error` does, so that an entry that
falls below it just goes.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches._ext.kernel import exact_weight
from sketches.core import bounds
from sketches.core.counters import CounterSketch, Entries, read_entries, require_unsigned
from sketches.core.wire import Envelope, require

__all__ = ["SpaceSaving"]


class SpaceSaving(CounterSketch):
    """The most frequent items, with counts that are never too small.

    In a stream of total count N, for every item of true count f:

    - with a counter: ``count - error <= f <= count``, and ``error <= max_error``;
    - without one: ``f <= max_error``;
    - ``max_error <= N / (k - max(1, floor(k/8)) + 1)``, at most 8/7 of the ``N / (k + 1)`` that no k counters can
      improve on (for k of 7 and more), and so it stays through merges of any number and order.

    So every item with f above 8/7 N/(k+1) has a counter. All of it always holds; nothing is left to chance.

    Parameters
    ----------
    k
        The most counters; memory and accuracy grow with it. To find the top t reliably, take k several times t.
    deletions
        Whether counts may be negative, to take back earlier ones. Then the above holds with the sum I of the positive
        counts for N: ``max_error <= I / (k - max(1, floor(k/8)) + 1)``. Where D is deleted in all and
        ``D <= (1 - 1/alpha) I``, that is at most 8/7 alpha of the ``(I - D) / (k + 1)`` that is the best without
        deletions. Lower bounds ask that no item is ever deleted more often than it was inserted before, in any of the
        streams merged; upper bounds hold regardless.
    seed, key
        See `sketches.Hasher`. An item is told from others by its 64-bit hash.

    Raises
    ------
    TypeError, ValueError
        If k is not an integer in [1, 2**31], or `deletions` is no bool.

    Examples
    --------
    With 20 counters, of which at least 18 + 1 outlast each rise of the error, a count may be off by at most a 19th of
    the stream; of N = 200 items, by 10. So "home" has a counter, and one that exceeds the truth by no more than its
    error:

    >>> visits = SpaceSaving(20)
    >>> visits.update(["home"] * 100 + [f"page {i}" for i in range(100)])
    >>> first = visits.top()[0]
    >>> str(first["item"]), bool(first["count"] - first["error"] <= 100 <= first["count"] <= 110)
    ('home', True)

    Of 200 visits 50 were by robots, and are taken back; the bound, a 19th of what was ever inserted, stays:

    >>> people = SpaceSaving(20, deletions=True)
    >>> people.update(["home"] * 100 + [f"page {i}" for i in range(100)])
    >>> people.add("home", -50)
    >>> people["home"].lower <= 50 <= people["home"] <= 60, people.total
    (True, 150)
    """

    __slots__ = ()

    def __init__(self, k: int, *, deletions: bool = False, seed: int = 0, key: bytes | None = None) -> None:
        k = bounds.check_integer("k", k, 1, 2**31)
        if not isinstance(deletions, bool):
            raise TypeError(f"deletions is {deletions!r}; True or False is accepted")
        hasher = Hasher(seed, key)
        self._setup(k, 0, deletions)
        self._open(hasher)

    @classmethod
    def for_memory(cls, nbytes: int, **options: Any) -> Self:
        """Give the sketch of most counters whose table never exceeds `nbytes` bytes; options as for the class.

        The table takes 48 to 60 bytes a counter; the items themselves come on top.
        """
        nbytes = bounds.check_integer("nbytes", nbytes, bounds.counter_table_bytes(1), 2**43)
        k = bisect_right(range(2**31), nbytes, 1, key=bounds.counter_table_bytes) - 1
        return cls(k, **options)

    @property
    def k(self) -> int:
        """The most counters."""
        return self._limit

    @property
    def deletions(self) -> bool:
        """Whether counts may be negative."""
        return self._deletions

    @property
    def _signed(self) -> bool:
        return self._deletions

    def update(self, items: Any, counts: Any = None, *, threads: int | None = 1) -> None:
        """Count many items; as `Sketch.update`, but counts that may be negative are read by one thread.

        A thread that deletes what another inserted would break the lower bounds of its own part.
        """
        super().update(items, counts, threads=1 if self.deletions and counts is not None else threads)

    def top(self, n: int | None = None) -> npt.NDArray[np.void]:
        """Give the n items of the largest counts (default: all that have a counter).

        Returns
        -------
        array
            Fields item, count, error; by descending count, ties by the items' hashes. An item is the one that was seen
            first among equals, as int, float, str, bytes, tuple or numpy.datetime64. Where ``count - error`` of the
            n-th is at least the count of the next one, these n are the most frequent for certain.
        """
        return super().top(n)

    def _parameters(self) -> dict[str, Any]:
        return {"k": self.k, "deletions": self.deletions}

    def _error(self) -> str:
        return f"counts exceed the truth by ≤ {self.max_error:,}"

    def _merge(self, other: Self) -> None:
        entries, max_error = Entries(*self._union(other)), self.max_error + other.max_error
        if len(entries.counts) > self.k:  # the (k+1)-th largest count: at most k entries exceed it; see make_room
            place = len(entries.counts) - self.k - 1
            max_error = int(np.partition(entries.counts, place)[place])
        self._load(max_error, 0, *entries, merged=other)

    def _envelope(self) -> Envelope:
        return super()._envelope()._replace(layout=40 if self.deletions else 5)

    def _fields(self) -> dict[str, Any]:
        return {**self._parameters(), "max_error": self.max_error, **self._entry_fields()}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        k, max_error, deletions = fields["k"], fields["max_error"], envelope.layout == 40
        if not deletions:
            require_unsigned(envelope)
        inserted, odd = divmod(envelope.weight + envelope.total, 2)
        require(not odd, f"no counts have the total {envelope.total} and the weight {envelope.weight}")
        require(len(fields["counts"]) <= k, f"{len(fields['counts'])} entries, but at most {k} are allowed")
        entries = read_entries(fields, inserted, hasher, max_error)
        # The invariant behind the bound on max_error; see counter_table.h. Earlier versions rounded k/8 up.
        potential = exact_weight(entries.counts) - len(entries.counts) * max_error + (k - (k + 7) // 8 + 1) * max_error
        require(potential <= inserted, "the maximum error is too large for the total count")
        sketch = cls.__new__(cls)
        sketch._setup(k, 0, deletions)
        sketch._load(max_error, 0, *entries)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch
