"""How evenly spread?

The entropy of a stream is 0 if all of it is one item, and log n if n items are equally frequent: it jumps when traffic
that came from everywhere comes from one place. Random numbers are multiplied by the items' counts and added up, each
item having its own; they are such that the mean of exp(sum / total) tells the entropy.

P. Clifford and I. Cosma, "A simple sketching algorithm for entropy estimation over streaming data", AISTATS 2013
(Journal of Machine Learning Research W&CP 31). The random numbers: core/skewed_stable.py.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Self

import numpy as np

from sketches._ext.entropy import EntropyKernel, set_tables
from sketches._ext.hashing import Hasher
from sketches.core import bounds
from sketches.core.estimate import Estimate
from sketches.core.hash_sketch import HashSketch
from sketches.core.skewed_stable import UNIT, tables
from sketches.core.wire import Envelope, require

__all__ = ["Entropy"]

LEAST, MOST = 16, 2**20  # sums


@cache
def _prepare() -> None:
    """Give the kernel its tables, once: all sketches share them."""
    set_tables(*tables())


class Entropy(HashSketch, EntropyKernel):
    """The Shannon entropy ``H = -sum p(x) log p(x)`` of a stream, where p(x) is item x's share of the total count.

    ``lower <= H <= upper`` with the confidence asked for; the standard error of the estimate is ``sqrt(3 / k)`` nats
    (divide by 0.693 for bits), whatever the stream and its length. No unbiased estimator from these k sums has less
    than about ``sqrt(2.9 / k)``, by the Fisher information.

    Negative counts take earlier ones back; the estimate is that of the counts that are left, none of which may be below
    zero. Every item changes all k sums, about a nanosecond each: other sketches cost a hundredth of that.

    Parameters
    ----------
    k
        Sums (16 bytes each), 16 to 2**20 (default 1024: a standard error of 0.054 nats).
    error
        Instead of k: the standard error wanted, in nats, from 0.0017 to 0.43.
    seed, key
        See `sketches.Hasher`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or an error is given beside k.

    Examples
    --------
    A thousand items, equally frequent, have the entropy log(1000), or 6.908. An estimate from 1,024 sums is within five
    standard errors (0.27) but once in a million sketches:

    >>> import math
    >>> visits = Entropy()
    >>> visits.update(range(1000))
    >>> abs(visits.entropy() - math.log(1000)) < 0.27
    True

    Nearly all of it one item: the entropy falls to -0.99 log(0.99) + 0.01 (log(1000) - log(0.01)), or 0.125:

    >>> visits.add(0, 99_000)
    >>> abs(visits.entropy() - 0.125) < 0.27
    True
    """

    __slots__ = ()

    def __init__(
        self, k: int | None = None, *, error: float | None = None, seed: int = 0, key: bytes | None = None
    ) -> None:
        if error is not None:
            if k is not None:
                raise TypeError("k is given beside error; error determines it")
            k = bounds.entropy_sums(bounds.check_fraction("error", error), LEAST, MOST)
        k = bounds.check_integer("k", 1024 if k is None else k, LEAST, MOST)
        self._begin(np.zeros((k, 2), np.uint64))
        self._open(Hasher(seed, key))

    def _begin(self, words: Any) -> None:
        _prepare()
        self._setup(words)

    @classmethod
    def for_memory(cls, nbytes: int, **options: Any) -> Self:
        """Give the sketch with the most sums in at most `nbytes` bytes; options as for the class."""
        return cls(bounds.check_integer("nbytes", nbytes, 16 * LEAST, 2**63) // 16, **options)

    @property
    def nbytes(self) -> int:
        """The memory of the sums, in bytes."""
        return self.words.nbytes

    def sums(self) -> list[int]:
        """Give the k sums of counts times random numbers, in units of 2**-16."""
        return [(int(high) << 64) + int(low) for low, high in zip(*self._halves(self.words), strict=True)]

    @staticmethod
    def _halves(words: Any) -> tuple[Any, Any]:
        return words[:, 0], words[:, 1].view(np.int64)

    def entropy(self, base: float = math.e, confidence: float = 0.95) -> Estimate:
        """Estimate the entropy of the stream so far.

        Parameters
        ----------
        base
            Of the logarithm, above 1: e gives nats, 2 gives bits.
        confidence
            The probability that the truth lies between the bounds. They assume that no count is below zero, and hold
            for every stream alike, since the distribution of the error does not depend on it.

        Raises
        ------
        ValueError
            If the counts do not add up to more than 0: nothing has no entropy. Or if an argument is out of range.
        """
        confidence = bounds.check_fraction("confidence", confidence)
        if isinstance(base, bool) or not isinstance(base, (int, float)):
            raise TypeError(f"base is {base!r}; a number above 1 is accepted")
        if not 1 < base < math.inf:
            raise ValueError(f"base is {base}; a finite number above 1 is accepted")
        if self.total <= 0:
            raise ValueError(f"the total count is {self.total}; entropy is defined for a total above 0")
        low, high = self._halves(self.words)
        exponents = (high * 2.0**64 + low) / (float(self.total) * UNIT)
        largest = float(exponents.max())
        log_mean = largest + math.log(float(np.exp(exponents - largest).mean()))
        # mean * exp(H) has a distribution of its own, that of the mean of k numbers exp(R): expectation 1, variance 3
        # / k. Its logarithm is -H plus what that distribution's quantiles say.
        shape = self.k / 3
        tail = (1 - confidence) / 2
        lower, upper = (math.log(bounds.gamma_quantile(shape, tail, upper)) - log_mean for upper in (False, True))
        most = math.log(self.total)  # as many items as counts
        value, lower, upper = (min(max(x, 0.0), most) for x in (-log_mean - 1 / (2 * shape), lower, upper))
        unit = math.log(base)
        return Estimate(
            value / unit,
            lower=lower / unit,
            upper=upper / unit,
            confidence=confidence,
            standard_error=bounds.entropy_error(self.k) / unit,
        )

    @property
    def _signed(self) -> bool:
        return True

    def _parameters(self) -> dict[str, Any]:
        return {"k": self.k}

    def _error(self) -> str:
        return f"standard error {bounds.entropy_error(self.k):.2g} nats"

    def _fields(self) -> dict[str, Any]:
        return {"sums": self.words}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        words = fields["sums"]
        require(len(words) % 2 == 0, f"{len(words)} words of sums, an odd number")
        k = len(words) // 2
        require(LEAST <= k <= MOST, f"{k} sums; {LEAST} to {MOST} are accepted")
        words = words.reshape(k, 2).copy()
        low, high = cls._halves(words)
        most = envelope.weight << 50  # |random number| <= 2**50 units, so no sum can overflow
        (most_high, most_low), (least_high, least_low) = divmod(most, 2**64), divmod(-most, 2**64)
        small = (high < most_high) | ((high == most_high) & (low <= most_low))
        large = (high > least_high) | ((high == least_high) & (low >= least_low))
        require((small & large).all(), "sums exceed the total count")
        sketch = cls.__new__(cls)
        sketch._begin(words)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch
