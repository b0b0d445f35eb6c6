"""What do the items of any group add up to?

Count items exactly while there is room. When there is none left, sample the counters: those above a threshold stay as
they are, the others survive with a probability in proportion to their counts, and whoever survives is raised to the
threshold. What any group of items loses so, it gains on average; so the group may be chosen long after the stream.

D. Ting, "Data sketches for disaggregated subset sum and frequent item estimation", SIGMOD 2018: there each new item
takes over the smallest counter with some probability. Sampling many at once takes constant time an item, and draws with
probabilities in proportion to size, as E. Cohen et al., "Efficient stream sampling for variance-optimal estimation of
subset sums", SODA 2009.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from sketches._ext.hashing import Hasher
from sketches._ext.kernel import exact_weight
from sketches._ext.subset_sum import SubsetSumKernel
from sketches.core import bounds
from sketches.core.counters import EntrySketch, aligned, read_items, require_unsigned
from sketches.core.estimate import Estimate
from sketches.core.items import hash_all
from sketches.core.wire import Envelope, require

__all__ = ["SubsetSum"]


class _Sampled(NamedTuple):
    """Counters in order of their items' hashes; `counts - errors` occurrences of each are certain."""

    threshold: int
    hashes: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int64]
    variances: npt.NDArray[np.float64]
    items: list[Any]


class SubsetSum(EntrySketch, SubsetSumKernel):
    """Total counts of groups of items, unbiased, for groups that nobody named in advance.

    In a stream of total count N, for a group of items with T occurrences:

    - ``E(estimate) = T``, over the choice of seed or key;
    - ``variance <= threshold * T``, where ``threshold <= ceil(N / (k - max(1, floor(k/4))))``, for merged sketches as
      well: a standard error of at most ``sqrt(T / (3/4 k N))`` as a share of N;
    - ``lower <= T <= upper`` with probability `confidence`, about (a normal approximation, on the safe side for groups
      of which the sketch holds few items);
    - for certain: the estimates of all items add up to N; an item of the table occurred ``count - error`` times or
      more; and while `threshold` is 0 all counts are exact. Counts may be too small, unlike those of `SpaceSaving`.

    An item that exceeds the threshold when it is sampled is counted exactly from then on.

    Parameters
    ----------
    k
        The most counters, 2 or more. When all are taken, a sample leaves three quarters of them.
    seed, key
        See `sketches.Hasher`. An item is told from others by its 64-bit hash. The sample follows from the hashes and
        counts alone: the same stream gives the same sketch.

    Raises
    ------
    TypeError, ValueError
        If k is not an integer in [2, 2**31].

    Examples
    --------
    Of N = 10,000 requests 4,000 come from addresses 10.…, each of them once. With 400 counters the threshold is at most
    10,000/300, so the standard error at most the root of 34 · 4,000, which is 369; the estimate is off by five of these
    with a probability of one in a million:

    >>> requests = SubsetSum(400)
    >>> requests.update([f"10.0.{i}" for i in range(4000)] + [f"192.168.{i}" for i in range(6000)])
    >>> office = requests.subset_sum(lambda address: address.startswith("10."))
    >>> abs(office - 4000) < 5 * 369 and office.lower < office < office.upper
    True
    >>> float(office + requests.subset_sum(lambda address: address.startswith("192.")))
    10000.0
    """

    __slots__ = ()

    def __init__(self, k: int, *, seed: int = 0, key: bytes | None = None) -> None:
        k = bounds.check_integer("k", k, 2, 2**31)
        hasher = Hasher(seed, key)
        self._setup(k)
        self._open(hasher)

    @classmethod
    def for_memory(cls, nbytes: int, **options: Any) -> Self:
        """Give the sketch of most counters whose table never exceeds `nbytes` bytes; options as for the class.

        The table takes 56 to 68 bytes a counter; the items themselves come on top.
        """
        nbytes = bounds.check_integer("nbytes", nbytes, bounds.subset_sum_bytes(2), 2**43)
        k = bisect_right(range(2**31), nbytes, 2, key=bounds.subset_sum_bytes) - 1
        return cls(k, **options)

    def __getitem__(self, item: Any) -> Estimate:
        """Estimate how often one item occurred, without bias; few of the rare items have a counter."""
        return self.subset_sum([item])

    def estimate(self, items: Any) -> npt.NDArray[np.int64]:
        """Estimate how often each item occurred, without bias: an int64 array, 0 for items without a counter."""
        hashes = hash_all(items, self.hasher)
        found = _Sampled(*self._sampled_entries())
        if not len(found.hashes):
            return np.zeros(len(hashes), np.int64)
        places = np.minimum(np.searchsorted(found.hashes, hashes), len(found.hashes) - 1)
        return np.where(found.hashes[places] == hashes, found.counts[places], 0)

    def subset_sum(self, subset: Callable[[Any], object] | Any, *, confidence: float = 0.95) -> Estimate:
        """Estimate how often the items of a group occurred together.

        Parameters
        ----------
        subset
            A function that tells of an item whether it belongs to the group; or the items themselves, as for `update`
            (one that is named twice counts once).
        confidence
            The probability with which the bounds shall hold, in (0, 1).
        """
        z = NormalDist().inv_cdf((1 + bounds.check_fraction("confidence", confidence)) / 2)
        asked = None if callable(subset) else hash_all(subset, self.hasher)
        found = _Sampled(*self._sampled_entries())
        if asked is None:
            chosen = np.fromiter((bool(subset(item)) for item in found.items), bool, len(found.items))
        else:
            chosen = np.isin(found.hashes, asked)
        estimate, certain = (exact_weight(values[chosen]) for values in (found.counts, found.counts - found.errors))
        elsewhere = exact_weight((found.counts - found.errors)[~chosen])
        if not found.threshold:
            return Estimate(estimate, lower=estimate, upper=estimate, standard_error=0.0)
        inside, outside = (max(0.0, float(found.variances[part].sum())) for part in (chosen, ~chosen))
        deviation = math.sqrt(inside * outside / (inside + outside)) if inside and outside else 0.0
        lower, upper = _deviations(inside, outside, found.threshold, z)
        return Estimate(
            estimate,
            lower=max(estimate - lower, certain),
            upper=min(estimate + upper, exact_weight(found.counts) - elsewhere),
            confidence=confidence,
            standard_error=deviation,
        )

    def top(self, n: int | None = None) -> npt.NDArray[np.void]:
        """Give the n items of the largest counts (default: all that have a counter).

        Returns
        -------
        array
            Fields item, count, error; by descending count, ties by the items' hashes. An item is the one that was seen
            first among equals. Counts are unbiased, and ``truth >= count - error`` for certain.
        """
        return super().top(n)

    def _parameters(self) -> dict[str, Any]:
        return {"k": self.k}

    def _error(self) -> str:
        return f"a sum T within √({self.threshold:,}·T) (one standard error)"

    def _merge(self, other: Self) -> None:
        mine, theirs = _Sampled(*self._sampled_entries()), _Sampled(*other._sampled_entries())
        hashes = np.concatenate([mine.hashes, theirs.hashes])
        order = np.argsort(hashes, kind="stable")  # of two that are equal, mine comes first
        starts = np.flatnonzero(np.append(True, np.diff(hashes[order]) != 0)) if len(order) else order

        def added(mine: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return np.add.reduceat(np.concatenate([mine, theirs])[order], starts) if len(order) else mine

        counts, errors = added(mine.counts, theirs.counts), added(mine.errors, theirs.errors)
        variances = added(mine.variances, theirs.variances)
        items = mine.items + theirs.items
        items = [items[i] for i in order[starts].tolist()]
        hashes = hashes[order[starts]]
        threshold = max(mine.threshold, theirs.threshold)
        if len(hashes) > self.k:
            threshold = max(threshold, self._sample(hashes, counts, errors, variances))
        self._load_sampled(threshold, hashes, counts, errors, variances, items, other)

    def _copy(self) -> Self:  # without writing and reading items
        twin = type(self).__new__(type(self))
        twin._setup(self.k)
        twin._load_sampled(*self._sampled_entries())
        twin._open(self.hasher, self.total, self.weight, self.nulls)
        return twin

    def _fields(self) -> dict[str, Any]:
        variances = _Sampled(*self._sampled_entries()).variances
        return {"k": self.k, "threshold": self.threshold, "variances": variances, **self._entry_fields()}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: Envelope, hasher: Hasher) -> Self:
        require_unsigned(envelope)
        k, threshold = fields["k"], fields["threshold"]
        counts, errors, variances = (aligned(fields[name]) for name in ("counts", "errors", "variances"))
        require(len(counts) <= k, f"{len(counts)} entries, but at most {k} are allowed")
        require(len(counts) == len(errors), f"{len(counts)} counts but {len(errors)} errors")
        require(len(counts) == len(variances), f"{len(counts)} counts but {len(variances)} variances")
        require((counts <= envelope.weight).all(), "a count exceeds the total count")
        require(exact_weight(counts) == envelope.weight, "the counts do not add up to the total count")
        require((errors <= counts).all(), "an error exceeds its count")
        require(np.isfinite(variances).all(), "a variance is not finite")
        require(threshold <= envelope.weight, "the threshold exceeds the total count")
        require(threshold or not (errors.any() or variances.any()), "errors or variances without a threshold")
        hashes, items = read_items(fields, hasher)
        sketch = cls.__new__(cls)
        sketch._setup(k)
        sketch._load_sampled(threshold, hashes, counts, errors, variances, items)
        sketch._open(hasher, envelope.total, envelope.weight, envelope.nulls)
        return sketch


def _deviations(inside: float, outside: float, threshold: int, z: float) -> tuple[float, float]:
    """Give how far below and above an estimate the truth may be, from the variances inside and outside of the group.

    A rare item that survived stands for `threshold` occurrences and adds about its square to the variance. So the group
    has m = inside / threshold^2 of M such survivors, and m / M the bounds of a binomial share: Wilson's score (1927).
    It falls short for few survivors, when they are more than expected: below z^2 of them, which the normal distribution
    does not tell from none, its bounds are taken instead. What the group lacks the rest has too much, and conversely.
    """
    most, m = (inside + outside) / threshold**2, inside / threshold**2
    if most == 0:
        return 0.0, z * z * threshold
    normal = z * math.sqrt(m * (most - m) / most)
    score = z * math.sqrt(max(0.0, m * (most - m) / most) + z * z / 4) / (1 + z * z / most)
    shift = z * z * (most / 2 - m) / (most + z * z)  # of the middle, towards a half of M
    lower = normal if m < z * z else score - shift
    upper = max(normal, score + shift) if most - m < z * z else score + shift
    return lower * threshold, upper * threshold
