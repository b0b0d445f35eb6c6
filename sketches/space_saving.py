"""Which k items are most frequent?

Keep k counters, each with its item. When a new item finds them all taken, the smallest go: the new one may have been
counted in one of those, so it starts at the largest count that was dropped, and remembers that as its possible error.

A. Metwally, D. Agrawal and A. El Abbadi, "Efficient computation of frequent and top-k elements in data streams", ICDT
2005, drop the one smallest counter at a time. Dropping many at once, by a quantile of the counters, takes constant time
an item: D. Anderson et al., "A high-performance algorithm for identifying frequent items in data streams", IMC 2017.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches._ext.kernel import exact_weight
from sketches.core import bounds
from sketches.core.counters import CounterSketch, Entries, read_entries, table
from sketches.core.wire import Envelope, require

__all__ = ["SpaceSaving"]


class SpaceSaving(CounterSketch):
    """The most frequent items, with counts that are never too small.

    In a stream of total count N, for every item of true count f:

    - with a counter: ``count - error <= f <= count``, and ``error <= max_error``;
    - without one: ``f <= max_error``;
    - ``max_error <= N / (k - ceil(k/8) + 1) < 8/7 * N / k``, for merged sketches as well.

    So every item with f above 8/7 N/k has a counter. All of it always holds; nothing is left to chance.

    Parameters
    ----------
    k
        The most counters; memory and accuracy grow with it. To find the top t reliably, take k several times t.
    seed, key
        See `sketches.Hasher`. An item is told from others by its 64-bit hash.

    Raises
    ------
    TypeError, ValueError
        If k is not an integer in [1, 2**31].

    Examples
    --------
    With 20 counters, a count may be off by at most 8/7 of a twentieth of the stream; of N = 200 items, by 11. So "home"
    has a counter, and one that exceeds the truth by no more than its error:

    >>> visits = SpaceSaving(20)
    >>> visits.update(["home"] * 100 + [f"page {i}" for i in range(100)])
    >>> first = visits.top()[0]
    >>> str(first["item"]), bool(first["count"] - first["error"] <= 100 <= first["count"] <= 111)
    ('home', True)
    """

    __slots__ = ()

    def __init__(self, k: int, *, seed: int = 0, key: bytes | None = None) -> None:
        k = bounds.check_integer("k", k, 1, 2**31)
        hasher = Hasher(seed, key)
        self._setup(k, 0)
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

    def top(self, n: int | None = None) -> npt.NDArray[np.void]:
        """Give the n items of the largest counts (default: all that have a counter).

        Returns
        -------
        array
            Fields item, count, error; by descending count, ties by the items' hashes. An item is the one that was seen
            first among equals, as int, float, str, bytes, tuple or numpy.datetime64. Where ``count - error`` of the
            n-th is at least the count of the next one, these n are the most frequent for certain.
        """
        if n is not None:
            n = bounds.check_integer("n", n, 0, 2**31)
        return table(self._ranked())[:n]

    def _parameters(self) -> dict[str, Any]:
        return {"k": self.k}

    def _error(self) -> str:
        return f"counts exceed the truth by ≤ {self.max_error:,}"

    def _merge(self, other: Self) -> None:
        entries, max_error = Entries(*self._union(other)), self.max_error + other.max_error
        if len(entries.counts) > self.k:  # the (k+1)-th largest count: at most k entries exceed it
            place = len(entries.counts) - self.k - 1
            max_error = int(np.partition(entries.counts, place)[place])
        self._load(max_error, 0, *entries, merged=other)

    def _fields(self) -> dict[str, Any]:
        return {**self._parameters(), "max_error": self.max_error, **self._entry_fields()}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        k, max_error = fields["k"], fields["max_error"]
        require(len(fields["counts"]) <= k, f"{len(fields['counts'])} entries, but at most {k} are allowed")
        entries = read_entries(fields, envelope, hasher, max_error)
        # The invariant behind the bound on max_error; see counter_table.h.
        potential = exact_weight(entries.counts) - len(entries.counts) * max_error + (k - (k + 7) // 8 + 1) * max_error
        require(potential <= envelope.weight, "the maximum error is too large for the total count")
        sketch = cls.__new__(cls)
        sketch._setup(k, 0)
        sketch._load(max_error, 0, *entries)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch
