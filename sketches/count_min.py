"""How often does x occur?

Every item owns one counter in each of a few rows, shared with the items that happen to hash there. Adding an item
raises all its counters; the least of them is never too small, and rarely much too large.

G. Cormode and S. Muthukrishnan, "An improved data stream summary: the Count-Min sketch and its applications", Journal
of Algorithms 55 (2005). Conservative update: C. Estan and G. Varghese, "New directions in traffic measurement and
accounting", SIGCOMM 2002.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.count_min import CountMinKernel
from sketches._ext.hashing import Hasher
from sketches.core import bounds
from sketches.core.collisions import exceeded_by, product_errors
from sketches.core.estimate import Estimate, at_least, at_most
from sketches.core.row_sketch import RowSketch
from sketches.core.wire import Envelope, require

__all__ = ["CountMin"]

Counts = npt.NDArray[np.int64]


class CountMin(RowSketch, CountMinKernel):
    """Counts of items, never too small.

    For every item of true count f in a stream of total count N:

    - ``f <= estimate``, always (with negative counts: as long as no item's true count is negative; where that was
      broken, an estimate below zero reads as zero);
    - ``estimate <= f + epsilon * N`` with probability ``1 - delta``, where ``epsilon = delta**(-1/depth) / width``.

    So upper bounds are certain and lower bounds probable. Those that answers carry come from the sketch's own counters
    and are tighter than epsilon tells, see `bounds`.

    Parameters
    ----------
    width
        Counters a row; the error is inversely proportional to it. A counter takes a byte at first; all grow to 2, 4 or
        8 once more than a few need it, see `nbytes`.
    depth
        Rows, 1 to 16 (default 4); each multiplies the probability of a large error down.
    epsilon, delta
        Instead of width and depth: the accuracy, from which the smallest table follows (delta: default 0.01).
    conservative
        Raise counters no further than the new estimate: errors several times smaller on skewed streams. Counts must
        then not be negative, `inner` is refused, and a merged sketch keeps both bounds but differs from the sketch
        of the whole stream.
    seed, key
        See `sketches.Hasher`.

    Raises
    ------
    TypeError, ValueError
        If an argument is missing, given twice or out of range.

    Examples
    --------
    With 2,000 columns and 4 rows, epsilon at delta = 0.01 is 0.01**(-1/4) / 2000, about 0.0016, so that of N = 1,000
    items at most one and a half more than the truth are counted:

    >>> visits = CountMin(width=2000)
    >>> visits.update(["home"] * 900 + [f"page {i}" for i in range(100)])
    >>> 900 <= visits["home"] <= 900 + 0.0016 * 1000
    True
    >>> visits["home"].upper == visits["home"]  # the estimate is its own upper bound
    True
    """

    __slots__ = ()

    def __init__(
        self,
        width: int | None = None,
        depth: int | None = None,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        conservative: bool = False,
        seed: int = 0,
        key: bytes | None = None,
    ) -> None:
        if (width is None) == (epsilon is None):
            raise TypeError("CountMin needs either width (and depth) or epsilon (and delta)")
        if epsilon is not None:
            if depth is not None:
                raise TypeError("depth is given beside epsilon; delta determines it")
            delta = bounds.check_fraction("delta", 0.01 if delta is None else delta)
            width, depth = bounds.count_min_shape(epsilon, delta)
        elif delta is not None:
            raise TypeError("delta is given beside width; it goes with epsilon")
        width = bounds.check_integer("width", width or 0, 1, bounds.COUNT_MIN_MOST_WIDTH)
        depth = bounds.check_integer("depth", 4 if depth is None else depth, 1, 16)
        hasher = Hasher(seed, key)
        self._setup(depth, width, bool(conservative))
        self._open(hasher)

    @classmethod
    def for_memory(cls, nbytes: int, *, depth: int = 3, **options: Any) -> Self:
        """Give the sketch with the most accurate table that never takes more than `nbytes` bytes.

        It never does because 8 bytes a counter are reckoned with; as long as most counters are small it takes an eighth
        or a quarter, see `nbytes`. (While a call widens all counters, or answers as many questions as there are
        counters, there are two tables.) Of as many counters in all, three rows have the least proven error at 95 %,
        which is proportional to ``depth * 0.05**(-1 / depth)``, and on Zipf streams a mean error 0.8 times that of four
        rows. With four, the rare large errors are smaller; more are worse at both. Options as for the class.
        """
        depth = bounds.check_integer("depth", depth, 1, 16)
        bounds.check_integer("nbytes", nbytes, 8 * depth, 2**43)
        return cls(width=nbytes // (8 * depth), depth=depth, **options)

    def __getitem__(self, item: Any) -> Estimate:
        """Estimate how often one item occurred, with 95 % bounds; see `bounds`."""
        (count,) = self.estimate([item]).tolist()
        value, lower = at_least(count), at_most(count) - self._excess(0.05, False)
        return Estimate(value, lower=max(0.0, lower), upper=value, confidence=0.95)

    def estimate(self, items: Any) -> Counts:
        """Estimate how often each item occurred: an int64 array, ``truth <= estimate``."""
        counts: Counts = self._answers(items, np.int64)
        np.maximum(counts, 0, out=counts)
        return counts

    def bounds(
        self, items: Any, confidence: float = 0.95, *, guaranteed: bool = False
    ) -> tuple[npt.NDArray[np.float64], Counts]:
        """Give ``(lower, upper)`` arrays: ``truth <= upper`` always, ``lower <= truth`` with the given confidence.

        Parameters
        ----------
        items
            As for `update`, without nulls.
        confidence
            The probability, for each item, that its lower bound holds.
        guaranteed
            Take the lower bound ``upper - epsilon * total``, of which the probability is proven but far higher than
            asked for. By default it follows from the sketch's own counters: an item's excess in a row is distributed as
            the counters are that it does not have, and the least of `depth` rows exceeds what a share p of counters
            does with probability ``p**depth``. On skewed streams that is many times tighter.
        """
        excess = self._excess(1 - bounds.check_fraction("confidence", confidence), guaranteed)
        upper = self.estimate(items)
        counts = upper.astype(np.float64)
        counts[upper > 2**53] = np.nextafter(counts[upper > 2**53], 0)  # which may have been rounded up
        return np.maximum(0.0, counts - excess), upper

    def inner(self, other: CountMin, confidence: float = 0.95, *, guaranteed: bool = False) -> Estimate:
        """Estimate the sum of ``count_here(x) * count_there(x)`` over all items x (the size of a join).

        The estimate is never too small. It exceeds the truth by at most ``epsilon * N * M`` with probability 1 - delta
        (`guaranteed`); by default the lower bound follows from the counters, as that of `bounds` does: see
        `sketches.core.collisions`.
        """
        delta = 1 - bounds.check_fraction("confidence", confidence)
        self._check_mergeable(other)
        if self.conservative:
            raise ValueError("inner is refused: conservative is True, and such counters do not bound a product")
        here, there = self.counters.astype(np.float64), other.counters.astype(np.float64)
        value = max(0.0, float((here * there).sum(axis=1).min()))
        if guaranteed:
            excess = self._excess(delta, True) * max(0, other.total)
        else:
            excess = exceeded_by(product_errors(here, there), delta ** (1 / self.depth))
        lower = max(0.0, value - excess)
        value *= 1 + 2.0**-44 if value > 2**53 else 1  # as far as rounding may have taken it below the sum
        return Estimate(value, lower=lower, upper=value, confidence=confidence)

    def _excess(self, delta: float, guaranteed: bool) -> float:
        """Give what an estimate exceeds the truth by with probability delta at most."""
        if guaranteed:  # N is below zero only where an item's true count is, and then nothing is promised
            return bounds.count_min_epsilon(self.width, self.depth, delta) * max(0, self.total)
        return max(0.0, exceeded_by(self.counters, delta ** (1 / self.depth)))

    @property
    def _signed(self) -> bool:
        return not self.conservative

    def _parameters(self) -> dict[str, Any]:
        return {"width": self.width, "depth": self.depth, "conservative": self.conservative}

    def _error(self) -> str:
        return f"excess ≤ {bounds.count_min_epsilon(self.width, self.depth, 0.05):.2g} of total (95 %)"

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        conservative, reader = bool(fields["conservative"]), cls._reader(fields, envelope)
        if conservative:
            require(reader.least >= 0, "negative counters in a conservative table")
        else:
            require(set(reader.sums) == {envelope.total}, "a row's sum is not the total count")
        sketch = cls.__new__(cls)
        sketch._setup(fields["depth"], fields["width"], conservative)
        sketch._fill(reader)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch
