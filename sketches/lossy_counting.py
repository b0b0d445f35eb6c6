"""Which items make up more than a given share of the stream?

Cut the stream into buckets of w = ceil(1 / epsilon) items. An item that is met gets a counter with its item; at the end
of each bucket, every counter that keeps up with less than one occurrence a bucket is dropped.

G. S. Manku and R. Motwani, "Approximate frequency counts over data streams", VLDB 2002, section 4.2. There a counter f
with error Delta says f <= truth <= f + Delta; here count = f + Delta and error = Delta.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches.core import bounds
from sketches.core.counters import CounterSketch, read_entries, require_unsigned
from sketches.core.wire import Envelope

__all__ = ["LossyCounting"]


class LossyCounting(CounterSketch):
    """The items that exceed a share of the stream, with counts that are never too small.

    In a stream of total count N, for every item of true count f:

    - with a counter: ``count - error <= f <= count``, and ``error <= max_error``;
    - without one: ``f <= max_error``;
    - ``max_error = floor(N / ceil(1 / epsilon)) <= epsilon * N``, for merged sketches as well.

    So every item with f above epsilon N has a counter. All of it always holds; what varies with the stream is the
    memory: at most ``w (1 + ln(1 + N / w))`` counters where w = ceil(1 / epsilon), mostly far fewer, with up to three
    free slots beside each. Merged sketches may hold more, at most as many as both together.

    Parameters
    ----------
    epsilon
        The error as a share of the total, in [2**-40, 1).
    seed, key
        See `sketches.Hasher`. An item is told from others by its 64-bit hash.

    Raises
    ------
    TypeError, ValueError
        If epsilon is no number in [2**-40, 1).

    Examples
    --------
    With epsilon = 0.01, a count may exceed the truth by at most one in a hundred items; of N = 1,000, by 10. Whatever
    has 20 % or more is found, nothing with less than 19 % is:

    >>> votes = LossyCounting(0.01)
    >>> votes.update(["yes"] * 600 + ["no"] * 300 + [f"spoilt {i}" for i in range(100)])
    >>> [row["item"] for row in votes.items_above(0.2)]
    ['yes', 'no']
    >>> 300 <= votes["no"] <= 310
    True
    """

    __slots__ = ()

    def __init__(self, epsilon: float, *, seed: int = 0, key: bytes | None = None) -> None:
        epsilon = bounds.check_fraction("epsilon", epsilon, least=2.0**-40)
        hasher = Hasher(seed, key)
        self._setup(0, bounds.lossy_counting_width(epsilon))
        self._open(hasher)

    @classmethod
    def for_memory(cls, nbytes: int, *, total: int = 10**12, **options: Any) -> Self:
        """Give the smallest epsilon with which no stream up to a total count can take more than `nbytes` bytes.

        The worst case is a stream made for the purpose; others take a small part of it. The items themselves come on
        top, and merged sketches may take more.

        Parameters
        ----------
        nbytes
            The memory.
        total
            The stream's total count, at most; the logarithm of it counts.
        options
            As for the class.
        """
        total = bounds.check_integer("total", total, 1, 2**63 - 1)

        def worst(width: int) -> int:  # a table doubles when more than half of it is in use
            entries = bounds.lossy_counting_entries(1 / width, total)
            return bounds.counter_table_bytes(max(64, 1 << math.ceil(math.log2(2 * entries))))

        nbytes = bounds.check_integer("nbytes", nbytes, worst(2), 2**43)
        width = bisect_right(range(2**40), nbytes, 2, key=worst) - 1
        return cls(1 / width, **options)

    @property
    def epsilon(self) -> float:
        """The error as a share of the total: 1 / ceil(1 / epsilon), no more than was asked for."""
        return 1 / self._width

    def items_above(self, support: float) -> npt.NDArray[np.void]:
        """Find the items that make up a share `support` of the total, or more; support must exceed epsilon.

        Every item with ``truth >= support * total`` is found, and none with ``truth < (support - epsilon) * total``.

        Returns
        -------
        array
            Fields item, count, error; by descending count, ties by the items' hashes. An item is the one that was seen
            first among equals, as int, float, str, bytes, tuple or numpy.datetime64.
        """
        if bounds.check_fraction("support", support) <= self.epsilon:
            raise ValueError(f"support is {support}; more than epsilon = {self.epsilon} is accepted")
        return super().items_above(support)

    def _parameters(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}

    def _error(self) -> str:
        return f"counts exceed the truth by ≤ {self.max_error:,}"

    def _merge(self, other: Self) -> None:
        # floor(N / w) + floor(M / w) <= floor((N + M) / w): the new maximum error covers the sum of both.
        max_error, fill = divmod(self.weight + other.weight, self._width)
        self._load(max_error, fill, *self._union(other), merged=other)

    def _fields(self) -> dict[str, Any]:
        return {"width": self._width, **self._entry_fields()}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        require_unsigned(envelope)
        max_error, fill = divmod(envelope.weight, fields["width"])
        entries = read_entries(fields, envelope.weight, hasher, max_error)
        sketch = cls.__new__(cls)
        sketch._setup(0, fields["width"])
        sketch._load(max_error, fill, *entries)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch
