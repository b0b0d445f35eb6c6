"""How skewed, how alike?

Every item adds its count, with a random sign, to one counter in each of a few rows. The squares of a row's counters sum
to about the second moment, the products of two sketches' counters to about their inner product, and an item's own
counters, with its own signs, tell about its count.

N. Alon, Y. Matias and M. Szegedy, "The space complexity of approximating the frequency moments", STOC 1996. One counter
a row instead of all: M. Charikar, K. Chen and M. Farach-Colton, "Finding frequent items in data streams", ICALP 2002,
and M. Thorup and Y. Zhang, "Tabulation based 4-universal hashing with applications to second moment estimation",
SODA 2004 (SIAM Journal on Computing 41, 2012).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.ams import AMSKernel
from sketches._ext.hashing import Hasher
from sketches.core import bounds
from sketches.core.collisions import mean_excess, median_excess, product_errors
from sketches.core.estimate import Estimate, at_least, at_most
from sketches.core.row_sketch import RowSketch
from sketches.core.wire import Envelope, require

__all__ = ["AMS"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_PRIME = 2**61 - 1
_NORMAL_QUARTILE = NormalDist().inv_cdf(0.75)  # 0.6745: the median of |x| for a standard normal x


class AMS(RowSketch, AMSKernel):
    """Second moment, inner products and signed counts.

    For a stream in which item x has the count f(x), possibly negative, with ``F2 = sum f(x)**2``:

    - ``|second_moment - F2| <= epsilon * F2`` with probability ``1 - delta``, where ``epsilon = sqrt(2 / (width * q))``
      and q is the probability of failure of a row at which more than half of `depth` rows fail with probability delta;
    - ``|inner - sum f(x) g(x)| <= epsilon * sqrt(F2 * G2)`` likewise;
    - ``|estimate(x) - f(x)| <= epsilon * sqrt(F2 / 2)`` likewise.

    None of these is certain; all are proven, and kept far more often. Unless ``guaranteed=True``, bounds come from the
    sketch's own counters instead, and hold about as often as asked for.

    Parameters
    ----------
    width
        Counters a row, 1 to 2**32; errors are proportional to ``1 / sqrt(width)``. Default: 1024. A counter takes a
        byte at first; all grow to 2, 4 or 8 once more than a few need it, see `nbytes`.
    depth
        Rows, an odd number from 1 to 15 (default 5); each makes a large error of their median less probable.
    error, confidence
        Instead of width and depth: the relative error of `second_moment`, and the probability that it is kept (default
        0.95), from which the smallest table follows.
    seed, key
        See `sketches.Hasher`.

    Raises
    ------
    TypeError, ValueError
        If an argument is given twice or out of range.

    Notes
    -----
    The hash functions of the rows are polynomials of degree 3 modulo 2**61 - 1, independent in fours; the seed or key
    determines their coefficients. The probabilities above are over these.

    Examples
    --------
    Every page is visited 10 times, except one 1000 times: F2 is ``1000**2 + 100 * 10**2``, or 1,010,000. With 95 %
    confidence the default table is off by no more than ``sqrt(2 / (1024 * 0.189))``, about a tenth:

    >>> visits = AMS()
    >>> visits.update([f"page {i}" for i in range(100)] * 10 + ["home"] * 1000)
    >>> moment = visits.second_moment()
    >>> abs(moment - 1_010_000) <= 0.102 * 1_010_000
    True
    >>> moment.lower <= 1_010_000 <= moment.upper
    True
    """

    __slots__ = ()

    def __init__(
        self,
        width: int | None = None,
        depth: int | None = None,
        *,
        error: float | None = None,
        confidence: float | None = None,
        seed: int = 0,
        key: bytes | None = None,
    ) -> None:
        if error is not None:
            if width is not None or depth is not None:
                raise TypeError("error is given beside width or depth; it determines both")
            delta = 1 - bounds.check_fraction("confidence", 0.95 if confidence is None else confidence)
            width, depth = bounds.ams_shape(error, delta)
        elif confidence is not None:
            raise TypeError("confidence is given without error")
        width = bounds.check_integer("width", 1024 if width is None else width, 1, bounds.AMS_MOST_WIDTH)
        depth = _check_depth(5 if depth is None else depth)
        hasher = Hasher(seed, key)
        self._setup(width, _coefficients(hasher, depth))
        self._open(hasher)

    @classmethod
    def for_memory(cls, nbytes: int, *, depth: int = 5, **options: Any) -> Self:
        """Give the sketch with the widest table that never takes more than `nbytes` bytes; options as for the class.

        It never does because 8 bytes a counter are reckoned with; as long as most counts are small it takes an eighth
        or a quarter, see `nbytes`. (While a call widens all counters, or answers as many questions as there are
        counters, there are two tables.)
        """
        depth = _check_depth(depth)
        bounds.check_integer("nbytes", nbytes, 8 * depth, 2**35 * depth)
        return cls(nbytes // (8 * depth), depth, **options)

    def second_moment(self, method: str = "median", confidence: float = 0.95, *, guaranteed: bool = False) -> Estimate:
        """Estimate F2, the sum of the squares of all counts.

        Parameters
        ----------
        method
            "median" of the rows: large errors are improbable. "mean": unbiased, and a smaller error on average where
            no items dominate.
        confidence
            The probability that the truth lies between the bounds.
        guaranteed
            Take the bounds that follow from Chebyshev's inequality, of which the probability is proven but far higher
            than asked for: they are about twice as wide. By default the distribution of the error is drawn from the
            sketch's own counters, see `sketches.core.collisions`: on streams of all kinds the truth then lies between
            the bounds about as often as asked for (measured: 93 to 97 % where 95 % are asked for).

        Returns
        -------
        Estimate
            Each row has the variance ``2 / width * (F2**2 - F4)``, with F4 the sum of the counts' fourth powers. The
            standard error of the mean is a row's divided by ``sqrt(depth)``, that of the median by
            ``sqrt(2 * depth / pi)``, as for a normal distribution.
        """
        if method not in ("median", "mean"):
            raise ValueError(f"method is {method!r}; 'median' or 'mean' is accepted")
        return _moment(self.counters.astype(np.float64), self.weight, method, confidence, guaranteed)

    def inner(self, other: AMS, confidence: float = 0.95, *, guaranteed: bool = False) -> Estimate:
        """Estimate the sum of ``count_here(x) * count_there(x)`` over all items x, by the median of rows.

        A row's variance is ``(F2 * G2 + inner**2) / width`` at most. For `guaranteed` see `second_moment`.
        """
        delta = 1 - bounds.check_fraction("confidence", confidence)
        here, there = self._tables(other)
        value, errors = float(np.median((here * there).sum(axis=1))), product_errors(here, there)
        excess = median_excess(errors, delta)
        if guaranteed or excess is None:  # of both moments and the product each may fail with a third of delta
            first, second = (
                math.sqrt(sketch.second_moment("median", 1 - delta / 3, guaranteed=True).upper)
                for sketch in (self, other)
            )
            excess = bounds.ams_error(self.width, self.depth, delta / 3) * first * second
        error = _median_error(errors)
        return Estimate(value, lower=value - excess, upper=value + excess, confidence=confidence, standard_error=error)

    def cosine(self, other: AMS, confidence: float = 0.95) -> Estimate:
        """Estimate ``inner / sqrt(F2 * G2)``, how alike two streams are: the cosine of the angle between their counts.

        The median of the rows' cosines; the bounds follow from the counters, as those of `second_moment` do, by the
        error's linear part. For an empty stream, which has no angle, it is 0.
        """
        delta = 1 - bounds.check_fraction("confidence", confidence)
        here, there = self._tables(other)
        f2, g2 = (np.maximum((table**2).sum(axis=1, keepdims=True), 1.0) for table in (here, there))
        norm = np.sqrt(f2 * g2)
        rows = (here * there).sum(axis=1, keepdims=True) / norm
        # Of inner / sqrt(F2 G2) the relative error is that of inner less half of those of F2 and G2.
        errors = product_errors(here, there) / norm
        errors -= rows / 2 * (product_errors(here, here) / f2 + product_errors(there, there) / g2)
        value, excess = float(np.median(rows)), median_excess(errors, delta)
        excess = 2.0 if excess is None else excess
        error = _median_error(errors)
        lower, upper = max(-1.0, value - excess), min(1.0, value + excess)
        return Estimate(value, lower=lower, upper=upper, confidence=confidence, standard_error=error)

    def distance(self, other: AMS, confidence: float = 0.95, *, guaranteed: bool = False) -> Estimate:
        """Estimate ``sqrt(sum (count_here(x) - count_there(x))**2)``, the L2 distance of two streams' counts.

        The difference of two sketches is the sketch of the differences, of which this is the root of the second moment.
        """
        here, there = self._tables(other)
        square = _moment(here - there, self.weight + other.weight, "median", confidence, guaranteed)
        value, lower, upper = map(math.sqrt, (square, square.lower, square.upper))
        error = square.standard_error / (2 * value) if value else 0.0
        return Estimate(value, lower=lower, upper=upper, confidence=confidence, standard_error=error)

    def _tables(self, other: AMS) -> tuple[Floats, Floats]:
        """Give both tables, which must be of one shape and hash."""
        self._check_mergeable(other)
        here = self.counters.astype(np.float64)
        return here, here if other is self else other.counters.astype(np.float64)

    def __getitem__(self, item: Any) -> Estimate:
        """Estimate the count of one item, with the 95 % `bounds`; a row's variance is ``F2 / width`` at most."""
        (value,) = self.estimate([item]).tolist()
        excess = self._excess(0.05, False)
        error = _median_error(self.counters.astype(np.float64))
        lower, upper = at_most(value) - excess, at_least(value) + excess
        return Estimate(value, lower=lower, upper=upper, confidence=0.95, standard_error=error)

    def estimate(self, items: Any, threshold: bool = False) -> Counts:
        """Estimate the count of each item: an int64 array, the median over rows of the item's signed counters.

        Parameters
        ----------
        items
            As for `update`, without nulls.
        threshold
            Report 0 where an estimate could well be noise: below 3 standard deviations of the counters, estimated
            robustly as ``median(abs(counters)) / 0.6745``. The mean error over many rare items is far smaller so.
        """
        counts = self._answers(items, np.int64)
        if threshold:
            counts[np.abs(counts) < 3 * np.median(np.abs(self.counters)) / _NORMAL_QUARTILE] = 0
        return counts

    def bounds(self, items: Any, confidence: float = 0.95, *, guaranteed: bool = False) -> tuple[Floats, Floats]:
        """Give ``(lower, upper)`` arrays: ``lower <= truth <= upper``, for each item with the given confidence.

        An item's error in a row is what the others in its counter sum to: distributed as the counters are that it does
        not have. The bounds follow from how all counters are distributed, which is far narrower than their variance
        tells where few items dominate. For `guaranteed` see `second_moment`.
        """
        excess = self._excess(1 - bounds.check_fraction("confidence", confidence), guaranteed)
        exact = self.estimate(items)
        counts = exact.astype(np.float64)
        lower, upper = counts - excess, counts + excess
        rounded = np.abs(exact) > 2**53
        lower[rounded], upper[rounded] = np.nextafter(lower[rounded], -np.inf), np.nextafter(upper[rounded], np.inf)
        return lower, upper

    def _excess(self, delta: float, guaranteed: bool) -> float:
        excess = median_excess(self.counters, delta)
        if not guaranteed and excess is not None:
            return excess
        moment = self.second_moment(confidence=1 - delta / 2, guaranteed=True)  # it may fail with half of delta
        return bounds.ams_error(self.width, self.depth, delta / 2, variance=1.0) * math.sqrt(moment.upper)

    @property
    def _signed(self) -> bool:
        return True

    def _parameters(self) -> dict[str, Any]:
        return {"width": self.width, "depth": self.depth}

    def _error(self) -> str:
        return f"second moment ± {bounds.ams_error(self.width, self.depth, 0.05):.2g} of it (95 %)"

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        require(fields["depth"] % 2, f"depth is {fields['depth']}, an even number")
        reader = cls._reader(fields, envelope)
        # Signs keep parity: modulo 2, a row's sum is the sum of all counts.
        require(
            all(total % 2 == envelope.total % 2 for total in reader.sums),
            "a row's sum does not go with the total count",
        )
        sketch = cls.__new__(cls)
        sketch._setup(fields["width"], _coefficients(hasher, fields["depth"]))
        sketch._fill(reader)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch


def _check_depth(depth: int) -> int:
    depth = bounds.check_integer("depth", depth, 1, 15)
    if depth % 2 == 0:
        raise ValueError(f"depth is {depth}; an odd number is accepted, so that the median is one row's")
    return depth


def _coefficients(hasher: Hasher, depth: int) -> npt.NDArray[np.uint64]:
    """Give the rows' polynomials: pseudorandom numbers below the prime, from the seed or the secret key."""
    numbers = [[hasher.item(("AMS", row, i)) or 0 for i in range(4)] for row in range(depth)]
    return np.array(numbers, np.uint64) % np.uint64(_PRIME)


def _moment(table: Floats, weight: int, method: str, confidence: float, guaranteed: bool) -> Estimate:
    """Estimate the sum of the squares of counts from their table; their absolute values sum to `weight` at most."""
    delta = 1 - bounds.check_fraction("confidence", confidence)
    depth, width = table.shape
    rows, errors = (table**2).sum(axis=1), product_errors(table, table)
    if method == "median":
        value, error = float(np.median(rows)), _median_error(errors)
        excess, epsilon = median_excess(errors, delta), bounds.ams_error(width, depth, delta)
    else:
        value, error = float(rows.mean()), math.sqrt(float((errors**2).mean()) / depth)
        excess, epsilon = mean_excess(errors, delta), bounds.ams_mean_error(width, depth, delta)
    lower = value / (1 + epsilon)  # |value - F2| <= epsilon F2, solved for F2
    if not guaranteed and excess is not None:
        lower, epsilon = max(0.0, value - excess), excess / value if value else 0.0
    upper = value / (1 - epsilon) if epsilon < 1 else math.inf  # errors drawn are too small where the value is
    upper = max(value, min(upper, at_least(weight**2)))
    return Estimate(value, lower=lower, upper=upper, confidence=confidence, standard_error=error)


def _median_error(errors: Floats) -> float:
    """Give the standard error of the rows' median from draws of a row's: as for a normal distribution."""
    return min(1.0, math.sqrt(math.pi / (2 * len(errors)))) * math.sqrt(float((errors**2).mean()))
