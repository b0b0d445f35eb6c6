"""Seen before?

Every item owns a few bits, which adding it sets. If one of an item's bits is not set, the item was never added; if all
are, it was, or other items happened to set them.

B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", Communications of the ACM 13 (1970). Blocks:
F. Putze, P. Sanders and J. Singler, "Cache-, hash-, and space-efficient Bloom filters", ACM Journal of Experimental
Algorithmics 14 (2009). Exact rates: P. Bose et al., "On the false-positive rate of Bloom filters", Information
Processing Letters 108 (2008); K. Christensen, A. Roginsky and M. Jimeno, "A new analysis of the false positive rate of
a Bloom filter", Information Processing Letters 110 (2010).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from bitarray import bitarray

from sketches._ext.bloom import BloomKernel
from sketches._ext.hashing import Hasher
from sketches.core import bounds
from sketches.core.contract import Sketch
from sketches.core.hash_sketch import HashSketch
from sketches.core.memory import aligned_words
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
        "block": an item's 8 bits lie in one cache line of 512 bits; the fastest, 10.1 bits for each item at 1 %. With 8
        bits always, it suits errors down to 1e-4 or so: 24 bits for each item there, but 52 at 1e-6.
        "classic": they lie anywhere, and there are as many as suit the error; 9.6 bits at 1 %, 28.8 at 1e-6, slower
        where the filter is larger than the processor's cache.
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
        words, probes = bounds.bloom_shape(self.capacity, self.error, layout)
        self._setup(aligned_words(words), layout == "block", probes)
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
            error = bounds.bloom_error(words, bounds.check_integer("capacity", capacity, 1, 2**40), layout)
            if error >= 1:
                raise ValueError(f"nbytes is {nbytes}, too few for a capacity of {capacity}")
        else:
            error = _check_error(0.01 if error is None else error)
            capacity = min(bounds.bloom_capacity(words, error, layout), 2**40)
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
        in every lane must be set: the product of the lanes' fill ratios, averaged over the blocks.
        """
        return self._block_rate() if self.layout == "block" else self.fill_ratio**self.probes

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
        if layout == "block":
            require(len(words) % 8 == 0, f"{len(words)} words are no whole number of blocks of 8")
            require(probes == 8, f"{probes} probes in blocks of 8 words")
        table = aligned_words(len(words))
        table[:] = words
        sketch = cls.__new__(cls)
        sketch.capacity, sketch.error, sketch.layout = fields["capacity"], fields["error"], layout
        sketch._setup(table, layout == "block", probes)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        require(layout != "block" or sketch._sound(), "an item's bit is missing in a block")
        ones = sketch.bits.count()
        require(ones <= probes * envelope.total, f"{ones} bits are set by {envelope.total} items")
        return sketch


def _check_layout(layout: str) -> str:
    if layout not in _LAYOUTS:
        raise ValueError(f"layout is {layout!r}; 'block' or 'classic' is accepted")
    return layout


def _check_error(error: float) -> float:
    error = bounds.check_fraction("error", error)
    if error < bounds.BLOOM_LEAST_ERROR:
        raise ValueError(f"error is {error}; a number in [{bounds.BLOOM_LEAST_ERROR}, 1) is accepted")
    return error
