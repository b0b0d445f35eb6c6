"""Seen before?

Every item owns a few bits, which adding it sets. If one of an item's bits is not set, the item was never added; if all
are, it was, or other items happened to set them.

B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", Communications of the ACM 13 (1970). Blocks:
F. Putze, P. Sanders and J. Singler, "Cache-, hash-, and space-efficient Bloom filters", ACM Journal of Experimental
Algorithmics 14 (2009). Exact rates: P. Bose et al., "On the false-positive rate of Bloom filters", Information
Processing Letters 108 (2008); K. Christensen, A. Roginsky and M. Jimeno, "A new analysis of the false positive rate of
a Bloom filter", Information Processing Letters 110 (2010). Set bits as a count of items: K.-Y. Whang, B. T.
Vander-Zanden and H. M. Taylor, "A linear-time probabilistic counting algorithm for database applications", ACM
Transactions on Database Systems 15 (1990).
"""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from bitarray import bitarray
from bitarray.util import count_or

from sketches._ext.bloom import BloomKernel
from sketches._ext.hashing import Hasher
from sketches._ext.kernel import Held
from sketches.core import bounds, filter_bounds
from sketches.core.contract import Sketch
from sketches.core.estimate import Estimate, Overlap
from sketches.core.hash_sketch import HashSketch
from sketches.core.memory import aligned_words, physical_memory
from sketches.core.occupancy import Occupancy
from sketches.core.wire import Envelope, require

__all__ = ["BloomFilter"]

_LAYOUTS = ("block", "classic")  # as numbered in the bytes


class BloomFilter(HashSketch, BloomKernel):
    """A set that answers "certainly not" or "probably".

    - ``x in bloom`` is True for every x that was added: never a false negative.
    - For an x that was not added it is True with probability at most ``error``, over the choice of x or of the seed, as
      long as at most ``capacity`` different items were added. More may be: the probability then grows, and
      `false_positive_rate` tells how far.

    Parameters
    ----------
    capacity
        How many different items are expected, 1 to 2**40.
    error
        The probability of a false positive at capacity, 1e-12 or more and below 1.
    layout
        "block": an item's 8 bits lie in one cache line of 512 bits; the fastest, 10.1 bits for each item at 1 %. Errors
        below 1e-3 take two lines, with 7 bits in each, where that is smaller: 19.9 bits at 1e-4, 32 at 1e-6.
        "classic": they lie anywhere, and there are as many as suit the error; 9.6 bits at 1 %, 19.2 at 1e-4, 28.8 at
        1e-6, slower where the filter is larger than the processor's cache.
    seed, key
        See `sketches.Hasher`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Notes
    -----
    A count of 0 adds nothing; any other count, which `total` sums, is the same as 1. Items cannot be taken away.

    Examples
    --------
    What was added is always found; of 10,000 items that were not, 100 are expected at 1 %, with a standard deviation of
    ``sqrt(10_000 * 0.01 * 0.99)``, about 10:

    >>> visitors = BloomFilter(capacity=1000, error=0.01)
    >>> visitors.update([f"user {i}" for i in range(1000)])
    >>> "user 7" in visitors
    True
    >>> strangers = [f"stranger {i}" for i in range(10_000)]
    >>> 50 <= visitors.contains(strangers).tolist().count(True) <= 150
    True

    The bits tell how many different items there were, here with a standard error of 8.2:

    >>> abs(visitors.count() - 1000) < 5 * 8.2
    True
    """

    __slots__ = ("capacity", "error", "layout")

    capacity: int
    error: float
    layout: str

    def __init__(
        self,
        capacity: int,
        error: float = 0.01,
        layout: str = "block",
        *,
        seed: int = 0,
        key: bytes | None = None,
    ) -> None:
        self.capacity = bounds.check_integer("capacity", capacity, 1, 2**40)
        self.error = _check_error(error)
        self.layout = _check_layout(layout)
        hasher = Hasher(seed, key)
        words, probes = filter_bounds.bloom_shape(self.capacity, self.error, layout)
        _check_memory(words, self.capacity, self.error, layout)
        self._setup(aligned_words(words), filter_bounds.bloom_lines(probes, layout), probes)
        self._open(hasher)

    @classmethod
    def for_memory(
        cls,
        nbytes: int,
        *,
        capacity: int | None = None,
        error: float | None = None,
        layout: str = "block",
        **options: Any,
    ) -> Self:
        """Give a filter of at most `nbytes` bytes.

        Parameters
        ----------
        nbytes
            The memory of the bits; 64 or more.
        capacity, error
            One of them, the other is made as good as the memory allows: the most accurate filter for so many items,
            or the one for the most items at such an error. By default, `error` is 0.01.
        layout, options
            As for the class.
        """
        bounds.check_integer("nbytes", nbytes, 64, 2**43)
        words = nbytes // 8 if _check_layout(layout) == "classic" else nbytes // 64 * 8
        if capacity is not None:
            if error is not None:
                raise TypeError("error is given beside capacity; with nbytes, each determines the other")
            error = filter_bounds.bloom_error(words, bounds.check_integer("capacity", capacity, 1, 2**40), layout)
            if error >= 1:
                most = filter_bounds.bloom_capacity(words, 1 - 1e-4, layout)
                raise ValueError(f"nbytes is {nbytes}, too few for a capacity of {capacity}; {most} is the most")
        else:
            error = _check_error(0.01 if error is None else error)
            capacity = min(filter_bounds.bloom_capacity(words, error, layout), 2**40)
        return cls(capacity, error, layout, **options)

    @property
    def nbytes(self) -> int:
        """The memory of the bits, in bytes."""
        return self.words.nbytes

    @property
    def bits(self) -> bitarray:
        """The bits, as a read-only ``bitarray`` that shares the filter's memory (little-endian machines: in order)."""
        words = self.words.view(np.uint8)
        words.flags.writeable = False
        return bitarray(buffer=words, endian="little")

    @property
    def fill_ratio(self) -> float:
        """The share of bits that are set."""
        bits = self.bits
        return bits.count() / len(bits)

    def contains(self, items: Any) -> npt.NDArray[np.bool_]:
        """Whether each item may have been added: an array of bools; False is certain, and the answer for a null."""
        return self._answers(items, np.bool_, null=False)

    def false_positive_rate(self) -> float:
        """Give the probability that an item that was not added seems to have been, with the bits as they are now.

        In the classic layout all k probes must hit set bits: the fill ratio to the power k. In blocks the item's bit
        in every lane must be set: the product of the lanes' fill ratios, averaged over the blocks; and so it must be in
        both lines where there are two.
        """
        return self._block_rate() if self.layout == "block" else self.fill_ratio**self.probes

    def count(self, confidence: float = 0.95) -> Estimate:
        """Estimate how many different items were added: the number that makes so many set bits most likely.

        The bounds hold with probability `confidence`, about, as the number of set bits is nearly normal. With c = -ln(1
        - fill ratio), the standard error is about ``sqrt(bits (e^c - 1 - c)) / probes``: at capacity 0.8 % for 1000
        items, 0.03 % for a million. Where all bits are set, the estimate is infinite.
        """
        return self._occupancy.count(self.bits.count(), bounds.check_fraction("confidence", confidence))

    def overlap(self, other: Self, confidence: float = 0.95) -> Overlap:
        """Estimate how many different items two filters have in common, and each alone.

        The counts of this filter, of the other and of both, n1, n2 and n, give ``union`` = n, which is what
        ``(self | other).count(confidence)`` is, ``intersection`` = n1 + n2 - n, ``only_self`` = n - n2, ``only_other``
        = n - n1 and ``jaccard`` = intersection / n, each at least 0. The bounds hold with probability `confidence`,
        about; they follow from the variances and covariances of the three. Where little is in common, the error of the
        intersection is that of the union: a small one of large sets drowns in it. Where the bits of both together are
        all set, nothing is known of the parts, and their errors are infinite.

        Raises
        ------
        TypeError, ValueError
            If `other` cannot be merged with this filter, or the confidence is not in (0, 1).

        Examples
        --------
        Of 1500 items, 500 are in both filters; the standard error of that number is 5.1:

        >>> monday, tuesday = BloomFilter(2000), BloomFilter(2000)
        >>> monday.update(range(1000))
        >>> tuesday.update(range(500, 1500))
        >>> abs(monday.overlap(tuesday).intersection - 500) < 5 * 5.1
        True
        """
        confidence = bounds.check_fraction("confidence", confidence)
        self._check_mergeable(other)
        with Held(self, other):
            mine, theirs = self.bits, other.bits
            ones = mine.count(), theirs.count(), count_or(mine, theirs)
        return self._occupancy.overlap(*ones, confidence)

    @property
    def _occupancy(self) -> Occupancy:
        return filter_bounds.bloom_occupancy(len(self.words), self.probes, self.layout)

    def _parameters(self) -> dict[str, Any]:
        return {"capacity": self.capacity, "error": self.error, "layout": self.layout}

    def _check_mergeable(self, other: Sketch) -> None:
        super()._check_mergeable(other)
        if isinstance(other, BloomFilter) and (other.nbytes, other.probes) != (self.nbytes, self.probes):
            here, there = (f"{bloom.nbytes} bytes and {bloom.probes} probes" for bloom in (self, other))
            raise ValueError(f"cannot merge: {here} here, {there} there")  # from bytes that others wrote

    def _empty(self) -> Any:
        fields = {**self._fields(), "words": np.zeros(len(self.words), np.uint64)}  # bytes of others may have any size
        return self._from_fields(fields, self._envelope()._replace(total=0, weight=0, nulls=0), self.hasher)

    def _error(self) -> str:
        return f"false positives {self.false_positive_rate():.2g}"

    def _fields(self) -> dict[str, Any]:
        return {
            **self._parameters(),
            "layout": _LAYOUTS.index(self.layout),
            "probes": self.probes,
            "words": self.words,
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        words, probes, layout = fields["words"], fields["probes"], _LAYOUTS[fields["layout"]]
        require(len(words) > 0, "no words")
        require(envelope.total == envelope.weight, f"total {envelope.total} of a weight of {envelope.weight}")
        lines = filter_bounds.bloom_lines(probes, layout)
        if lines:
            require(probes in (8, 14), f"{probes} probes in blocks of 8 words; 8 and 14 are known")
            require(
                len(words) % (8 * lines) == 0, f"{len(words)} words are no whole number of blocks of 8 in {lines} lines"
            )
        table = aligned_words(len(words))
        table[:] = words
        sketch = cls.__new__(cls)
        sketch.capacity, sketch.error, sketch.layout = fields["capacity"], fields["error"], layout
        sketch._setup(table, lines, probes)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        require(not lines or sketch._sound(), "an item's bit is missing in a block")
        ones = sketch.bits.count()
        require(ones <= probes * envelope.total, f"{ones} bits are set by {envelope.total} items")
        return sketch


def _check_layout(layout: str) -> str:
    if layout not in _LAYOUTS:
        raise ValueError(f"layout is {layout!r}; 'block' or 'classic' is accepted")
    return layout


def _check_error(error: float) -> float:
    if isinstance(error, bool) or not isinstance(error, Real):
        raise TypeError(f"error is {error!r}; a number in [{filter_bounds.BLOOM_LEAST_ERROR}, 1) is accepted")
    if not filter_bounds.BLOOM_LEAST_ERROR <= error < 1:
        raise ValueError(f"error is {error}; a number in [{filter_bounds.BLOOM_LEAST_ERROR}, 1) is accepted")
    return float(error)


def _check_memory(words: int, capacity: int, error: float, layout: str) -> None:
    """Refuse what the machine cannot hold, and say what it could."""
    there = physical_memory()
    if 8 * words <= there:
        return
    most = filter_bounds.bloom_capacity(there // 64 * 8, error, layout)
    least = filter_bounds.bloom_error(there // 64 * 8, capacity, layout)
    or_error = f", or an error of {least} or more" if least < 1 else ""
    raise ValueError(
        f"capacity is {capacity} at an error of {error}, which takes {8 * words:,} bytes; the memory of this machine,"
        f" {there:,} bytes, allows a capacity of {most} or less{or_error}"
    )
