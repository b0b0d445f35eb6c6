"""Which value has rank q?

The bits of a positive float64, read as an integer, grow with the number. Their top bits (the exponent and a few of the
mantissa) are therefore the number of a bin, bins lie in the order of the numbers, and each is as wide as a fixed share
of the numbers in it. A counter for every bin answers any quantile with a fixed *relative* error, and two tables merge
by adding counters.

Bins of constant relative width go back to histograms of latencies; their quantiles are analysed in C. Masson,
J. E. Rim and H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", PVLDB
12 (2019). That float64 bits are a logarithm, linear inside an octave, is their "linearly interpolated" mapping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches._ext.quantiles import QuantilesKernel
from sketches.core import bins, bounds, selection
from sketches.core.contract import Sketch
from sketches.core.estimate import Estimate
from sketches.core.items import Block, number_block
from sketches.core.ranks import Answers, Located, located, numbers_of, shaped
from sketches.core.wire import Envelope, require

__all__ = ["Quantiles"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Array = Sequence[float] | npt.NDArray[Any]

SPECIAL = ("nans", "negative_infinities", "zeros", "positive_infinities")
OCTAVES = 64  # that `for_memory` provides for


class Quantiles(Sketch, QuantilesKernel):
    """Values by rank, with a relative error that always holds.

    The quantile q of N numbers is the smallest of them, x, such that at least ``q * N`` of them are ``<= x``: the one
    of rank ``max(1, ceil(q * N))``, NumPy's method ``"inverted_cdf"`` (``q * N`` is rounded to a float64, as there).
    For every q:

    - ``lower <= x <= upper``, always, where lower and upper are the least and the largest number of x's bin;
    - ``abs(estimate - x) <= relative_error * abs(x)``, always, for ``abs(x) >= 2**-1022``. Zeros and infinities are
      exact; numbers between 0 and 2**-1022 are off by at most ``relative_error * 2**-1022``.

    Numbers are taken as float64, so integers beyond 2**53 are rounded. NaN has no rank: it is counted in `nans`, and
    N is ``total - nans``. Nothing is hashed, so there is no seed and no key.

    Parameters
    ----------
    relative_error
        The largest error relative to the value, in [2**-17, 1); rounded down to a power of two.

    Raises
    ------
    TypeError, ValueError
        If `relative_error` is no number, or out of range.

    Notes
    -----
    Memory grows with the range of magnitudes, not with N: 8 bytes for each of ``1 / (2 * relative_error)`` bins an
    octave (a factor of two) between the least and the largest magnitude, for each sign that occurs, zero and infinities
    apart. Numbers of one sign from a millionth to a million, 40 octaves, take 41 kB at the default error; the worst
    case, both signs and all 2,047 octaves, is ``16,376 / relative_error`` bytes: 4.2 MB. A table never shrinks.

    Ranks are as good as bins are narrow beside the spread of the numbers. Where all lie close together, far from zero,
    as temperatures in kelvin or points in time, subtract what they have in common, or ask for a smaller error.

    Examples
    --------
    Of the numbers 1 to 1,000 the smallest that has 99 % of them at or below it is 990, and 2**-8 of it is 3.9:

    >>> latency = Quantiles()
    >>> latency.update(range(1, 1001))
    >>> slow = latency.quantile(0.99)
    >>> abs(slow - 990) <= 2**-8 * 990 and slow.lower <= 990 <= slow.upper
    True
    >>> latency.quantile([0, 1])  # the extremes are tracked exactly
    array([   1., 1000.])
    >>> found = latency.rank(500)
    >>> found.lower <= 500 <= found.upper
    True
    """

    __slots__ = ()

    _hashes = False
    _in_place = (np.float32, np.float64)

    def __init__(self, relative_error: float = 2**-8) -> None:
        self._setup(bounds.quantiles_mantissa_bits(relative_error))
        self._open(Hasher())

    @classmethod
    def for_memory(cls, nbytes: int) -> Self:
        """Give the most accurate sketch of at most `nbytes` bytes (1,056 or more) for a range of 64 octaves.

        That is: numbers of both signs whose largest magnitude is at most 2**63 (9e18) times their smallest; zeros and
        infinities cost nothing. A stream of a wider range takes more, at most 32 times `nbytes`.
        """
        nbytes = bounds.check_integer("nbytes", nbytes, bounds.quantiles_nbytes(0, OCTAVES), 2**63 - 1)
        bits = bounds.MOST_MANTISSA_BITS
        while bounds.quantiles_nbytes(bits, OCTAVES) > nbytes:
            bits -= 1
        return cls(bounds.quantiles_error(bits))

    @property
    def relative_error(self) -> float:
        """The largest error relative to the value, a power of two."""
        return bounds.quantiles_error(self.mantissa_bits)

    @property
    def nbytes(self) -> int:
        """The memory of the counters, in bytes."""
        return self.counters.nbytes

    @property
    def nans(self) -> int:
        """How many NaN were counted; they have no rank."""
        return int(self.counters[0])

    @property
    def minimum(self) -> float:
        """The least number, exactly; NaN if there is none."""
        return self._range[0] if self._ranked else float("nan")

    @property
    def maximum(self) -> float:
        """The largest number, exactly; NaN if there is none."""
        return self._range[1] if self._ranked else float("nan")

    @property
    def _ranked(self) -> int:
        return self.total - self.nans

    def bins(self) -> tuple[Integers, Integers]:
        """Give ``(numbers, counts)`` of the bins that are not empty, in ascending order; `edges` gives their values."""
        keys, counters = self._table
        places = np.flatnonzero(counters[1:]) + 1
        return bins.keyed(places, keys, self.mantissa_bits), counters[places]

    @classmethod
    def from_bins(
        cls, numbers: Integers, counts: Integers, minimum: float, maximum: float, *, relative_error: float = 2**-8
    ) -> Self:
        """Give the sketch whose `bins` are these, as another program may have counted them.

        Parameters
        ----------
        numbers, counts
            What `bins` gives: the numbers of bins, ascending, and a count of 1 or more for each, both int64.
        minimum, maximum
            The least and the largest number counted; (inf, -inf) if there is none.
        relative_error
            As in the constructor.

        Raises
        ------
        ValueError
            If no stream of numbers has these bins and extremes.
        """
        mantissa_bits = bounds.quantiles_mantissa_bits(relative_error)
        numbers, counts = np.asarray(numbers, np.int64), np.asarray(counts, np.int64)
        last = (bins.INFINITY_BITS >> 52 - mantissa_bits) + 1  # the number of infinity's bin
        require(numbers.ndim == 1 and numbers.shape == counts.shape, "numbers and counts differ in shape")
        require((np.diff(numbers) > 0).all() and (np.abs(numbers) <= last).all(), "numbers do not ascend, or too far")
        require((counts > 0).all(), "a count is below 1")
        fields: dict[str, Any] = {"mantissa_bits": mantissa_bits, "minimum": minimum, "maximum": maximum, "nans": 0}
        for name, number in (("negative_infinities", -last), ("zeros", 0), ("positive_infinities", last)):
            fields[name] = int(counts[numbers == number].sum())
        for name, size in (("negative", -numbers[::-1]), ("positive", numbers)):
            inside = (size > 0) & (size < last)
            keys = size[inside] - 1
            low = int(keys[0]) if len(keys) else 0
            filled = np.zeros(int(keys[-1]) - low + 1 if len(keys) else 0, np.int64)
            filled[keys - low] = (counts if name == "positive" else counts[::-1])[inside]
            fields |= {f"{name}_low": low, f"{name}s": filled}
        total = sum(counts.tolist())
        require(total < 2**63, "the counts add up to 2**63 or more")
        return cls._from_fields(fields, Envelope(0, 0, total, total, 0), Hasher())

    def edges(self, numbers: Integers) -> tuple[Floats, Floats]:
        """Give ``(lower, upper)``: the least and the largest float64 of each bin, both inclusive."""
        return bins.edges(numbers, self.mantissa_bits)

    @overload
    def quantile(self, q: float, *, interpolate: bool = False) -> Estimate: ...
    @overload
    def quantile(self, q: Array, *, interpolate: bool = False) -> Floats: ...
    def quantile(self, q: float | Array, *, interpolate: bool = False) -> Estimate | Floats:
        """Give the value of rank q (several: an array), where 0 is the minimum, 0.5 the median, 1 the maximum.

        Parameters
        ----------
        q
            In [0, 1].
        interpolate
            Give not the middle of the value's bin but the place in it that the rank suggests, if the bin's numbers
            are spread evenly; or its end that is nearer to zero, where an integer would lie, if no number fell into the
            bins beside it. The rank is then right to a small part of what the bin holds; but the value may be off by up
            to ``2 * relative_error * abs(x)``. Bounds are the same.

        Raises
        ------
        ValueError
            If a q is outside [0, 1], or if there are no numbers.
        """
        return shaped(self._quantiles(numbers_of("q", q), interpolate), q)

    @classmethod
    def exact(cls, numbers: Any, q: float | Array) -> float | Floats:
        """Give exact quantiles of numbers at rest, in two passes over them and bounded memory.

        The first pass makes a sketch, the second gathers the numbers of the bins that hold the ranks asked for. Where
        these are more than four million, up to five passes in between narrow them down (more, for thousands of ranks).
        Besides the sketch and the answers this takes 100 MB at most, however many numbers there are.

        Parameters
        ----------
        numbers
            An array (as a `numpy.memmap`), a list, an Arrow column, a Series: what `update` takes, but no iterator,
            which can be read only once. Or a function, called for each pass, that gives an iterable of these: of the
            parts of what is larger than memory. NaN have no rank, nulls are skipped.
        q
            In [0, 1]; several: an array.

        Returns
        -------
        float or array
            NumPy's ``quantile(numbers, q, method="inverted_cdf")``, as float64.

        Raises
        ------
        ValueError
            If a q is outside [0, 1], or if there are no numbers.
        RuntimeError
            If a later pass does not meet the numbers of the first.

        Examples
        --------
        >>> Quantiles.exact(range(1, 1001), [0.5, 0.999])  # ranks 500 and 999 of 1 to 1,000
        array([500., 999.])
        >>> parts = [[3.0, 1.0], [2.0]]
        >>> Quantiles.exact(lambda: parts, 0.5)
        2.0
        """
        asked = numbers_of("q", q)
        passes = selection.chunks(numbers)
        sketch = Quantiles(2.0 ** (selection.SHIFT - 53))
        for chunk in passes():
            sketch.update(chunk)
        located = sketch._located(asked)
        found: Floats = located.lower.ravel()
        unknown = np.flatnonzero(found < located.upper.ravel())
        if len(unknown):
            parts = located.numbers, located.counts, located.ranks
            bin_numbers, counts, ranks = (part.ravel()[unknown] for part in parts)
            wanted, first, places = np.unique(bin_numbers, return_index=True, return_inverse=True)
            found[unknown] = selection.select(passes, sketch.edges(wanted)[0], counts[first], places, ranks)
        return found.reshape(asked.shape) if asked.ndim else float(found[0])

    def bounds(self, q: Array) -> tuple[Floats, Floats]:
        """Give ``(lower, upper)`` arrays that enclose the exact quantiles, always."""
        _, lower, upper = self._quantiles(numbers_of("q", q))
        return lower, upper

    def _quantiles(self, q: Floats, interpolate: bool = False) -> Answers:
        numbers, counts, alone, ranks, lower, upper = self._located(q)
        if interpolate:
            shares = np.where(alone, numbers < 0, (ranks - 0.5) / counts)
            return Answers(lower + shares * (upper - lower), lower, upper)
        return Answers(np.clip(bins.middles(numbers, self.mantissa_bits), lower, upper), lower, upper)

    def _located(self, q: Floats) -> Located:
        numbers, counts = self.bins()
        return located(numbers, counts, q, self._range, self.mantissa_bits)

    @overload
    def rank(self, x: float) -> Estimate: ...
    @overload
    def rank(self, x: Array) -> Floats: ...
    def rank(self, x: float | Array) -> Estimate | Floats:
        """Give the number of items ``<= x`` (several: an array), with bounds that always hold.

        Items in bins below x's are counted exactly. Of x's own bin the part that is ``<= x`` counts; all of it, if
        items fell elsewhere but not into the bins beside it, as with small integers: it is then taken to hold one
        number, and x to be that.
        """
        return shaped(self._ranks(numbers_of("x", x), 1 if np.ndim(x) else 3), x)

    def cdf(self, xs: Array) -> Floats:
        """Give the share of items ``<= x`` for each x: the ranks divided by the number of items that are not NaN."""
        if not self._ranked:
            raise ValueError("the sketch holds no numbers, so that no share exists")
        return self._ranks(numbers_of("xs", xs), 1).estimate / self._ranked

    def _ranks(self, x: Floats, rows: int) -> Answers:
        """Give the estimated ranks and, if asked for three rows, their bounds."""
        if np.isnan(x).any():
            raise ValueError("x is NaN, which has no rank")
        answers = np.empty((rows, x.size))
        self._rank(np.ravel(x), answers)
        return Answers(*answers.reshape(rows, *x.shape))

    def _parameters(self) -> dict[str, Any]:
        return {"relative_error": self.relative_error}

    def _error(self) -> str:
        return f"values within {self.relative_error:.2g} of themselves"

    def _add_block(self, block: Block) -> None:
        numbers, weights, nulls = number_block(block)
        if weights is not None and not weights.all():  # a count of 0 says nothing about extremes
            numbers, weights = numbers[weights > 0], weights[weights > 0]
        self._insert(numbers, weights)
        if nulls:
            self._add_nulls(nulls)

    def _fields(self) -> dict[str, Any]:
        special, negative_low, negatives, positive_low, positives = self._stored()
        minimum, maximum = self._range
        return {
            "mantissa_bits": self.mantissa_bits,
            "minimum": minimum,
            "maximum": maximum,
            **dict(zip(SPECIAL, special, strict=True)),
            "negative_low": negative_low,
            "negatives": negatives,
            "positive_low": positive_low,
            "positives": positives,
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        sketch = cls.__new__(cls)
        sketch._setup(fields["mantissa_bits"])
        for sign in ("negative", "positive"):
            low, counts = fields[f"{sign}_low"], fields[f"{sign}s"]
            require(low + len(counts) <= 0x7FF << fields["mantissa_bits"], f"{sign}s reach beyond the largest float64")
            require(len(counts) or not low, f"{sign}_low is {low} without {sign}s")
            require(not len(counts) or (counts[0] and counts[-1]), f"{sign}s begin or end with 0")
        minimum, maximum = fields["minimum"], fields["maximum"]
        total = sketch._restore(
            [fields[name] for name in SPECIAL],
            fields["negative_low"],
            fields["negatives"].view(np.uint8),  # they need not be aligned
            fields["positive_low"],
            fields["positives"].view(np.uint8),
            minimum,
            maximum,
        )
        require(total == envelope.total == envelope.weight, f"the counts add up to {total}, not to the total count")
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        if total == fields["nans"]:
            require((minimum, maximum) == (math.inf, -math.inf), "a minimum or maximum without numbers")
            return sketch
        require(not math.isnan(minimum) and not math.isnan(maximum), "the minimum or maximum is NaN")
        require(sketch._outermost(minimum, maximum), "the minimum or maximum is not in the outermost bin")
        require(minimum <= maximum, "the minimum exceeds the maximum")
        require(total - fields["nans"] > 1 or minimum == maximum, "one number, but its minimum is not its maximum")
        negative_zeros = [x for x in (minimum, maximum) if x == 0 and math.copysign(1, x) < 0]
        require(not negative_zeros, "the minimum or maximum is -0.0")
        return sketch
