"""Accuracy to size and back: the formulas behind every constructor and every stated error, each with its source."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache

import numpy as np

__all__ = [
    "ams_error",
    "ams_mean_error",
    "ams_shape",
    "bloom_capacity",
    "bloom_error",
    "bloom_rate",
    "bloom_shape",
    "check_fraction",
    "check_integer",
    "count_min_epsilon",
    "count_min_shape",
]


def check_fraction(name: str, value: float) -> float:
    """Raise unless 0 < value < 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}; a number in (0, 1) is accepted")
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; a number in (0, 1) is accepted")
    return float(value)


def check_integer(name: str, value: int, low: int, high: int) -> int:
    """Raise unless low <= value <= high."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}; an integer in [{low}, {high}] is accepted")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; an integer in [{low}, {high}] is accepted")
    return value.__index__()


# Count-Min (Cormode and Muthukrishnan 2005, Theorem 1): a row's excess has expectation at most N / width, so by Markov
# P(excess > epsilon N) <= 1 / (width epsilon) in one row and the power depth of it in the least of all rows.


def count_min_epsilon(width: int, depth: int, delta: float) -> float:
    """Give epsilon such that estimate <= truth + epsilon * N with probability 1 - delta: delta^(-1/depth) / width."""
    return math.pow(delta, -1 / depth) / width


def count_min_shape(epsilon: float, delta: float) -> tuple[int, int]:
    """Give the (width, depth) of fewest counters with estimate <= truth + epsilon * N at probability 1 - delta."""
    shapes = [(math.ceil(delta ** (-1 / depth) / epsilon), depth) for depth in range(1, 17)]
    return min(shapes, key=math.prod)


# Bloom filters. Both rates are exact for hashes that are uniform and independent, not the naive (1 - e^(-kn/m))^k,
# which is too small: for blocks by a third at 1 %, for a classic filter visibly when it is tiny.

BLOOM_LANES = 8  # words of 64 bits in a block
BLOOM_LEAST_ERROR = 1e-12  # smaller ones would be hidden by collisions of 64-bit hashes


def _block_rate(items: int, blocks: int) -> float:
    """Give the probability that an absent item seems present (Putze, Sanders and Singler 2009, section 3).

    An absent item's block holds j keys, binomial with parameters (items, 1 / blocks). Each key set one of the 64 bits
    in every lane, independently, so the item's bit in a lane is set with probability 1 - (63/64)^j; there are 8 lanes.
    """
    if blocks == 1:
        return float((1 - (63 / 64) ** items) ** BLOOM_LANES)
    load = items / blocks
    if load > 10_000:
        return 1.0  # a bit is unset with probability below e^-157
    most = min(items, int(load + 12 * math.sqrt(load) + 60))  # what lies beyond weighs less than 1e-30
    keys = np.arange(most + 1)
    ratios = np.log((items - keys[1:] + 1) / keys[1:]) - math.log(blocks - 1)  # of successive probabilities
    logs = items * math.log1p(-1 / blocks) + np.concatenate(([0.0], np.cumsum(ratios)))
    return float(np.exp(logs) @ (1 - (63 / 64) ** keys) ** BLOOM_LANES)


def _classic_rate(items: int, bits: int, probes: int) -> float:
    """Give the probability that an absent item seems present (Bose et al. 2008; Christensen et al. 2010).

    The item's k probes hit d distinct bits with probability S(k, d) m (m - 1) … (m - d + 1) / m^k, where S counts
    partitions (Stirling numbers of the second kind). That i given bits are all unset after n k probes has probability
    (1 - i/m)^(nk); inclusion and exclusion over the d bits gives the probability that all are set. The sums cancel,
    hence the long decimals.
    """
    exact = Context(prec=80)
    unset = [exact.power(Decimal(max(0, bits - i)) / bits, items * probes) for i in range(probes + 1)]
    partitions = [1] + [0] * probes
    for n in range(1, probes + 1):
        partitions = [0] + [d * partitions[d] + partitions[d - 1] for d in range(1, n + 1)] + [0] * (probes - n)
    rate = Decimal(0)
    for d in range(1, probes + 1):
        all_set = sum(
            (exact.multiply(unset[i], (-1) ** i * math.comb(d, i)) for i in range(d + 1)),
            Decimal(0),
        )
        share = exact.divide(partitions[d] * math.perm(bits, d), bits**probes)
        rate = exact.add(rate, exact.multiply(share, all_set))
    return min(1.0, max(0.0, float(rate)))


def bloom_rate(items: int, words: int, probes: int, layout: str) -> float:
    """Give the false-positive rate of a Bloom filter of `words` 64-bit words that holds so many items."""
    return _block_rate(items, words // BLOOM_LANES) if layout == "block" else _classic_rate(items, 64 * words, probes)


def _smallest(holds: Callable[[int], bool], guess: int) -> int:
    """Give the least integer >= 1 at which a condition holds that stays true once it is: gallop, then bisect."""
    low = high = max(1, guess)
    step = max(1, guess >> 10)
    while not holds(high):
        low, high, step = high, high + step, 2 * step
    while low > 0 and holds(low):
        low, high, step = max(0, low - step), low, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@lru_cache(maxsize=256)
def bloom_shape(capacity: int, error: float, layout: str) -> tuple[int, int]:
    """Give (words, probes) of the smallest Bloom filter whose rate at `capacity` items is at most `error`."""
    bits = capacity * -math.log2(error) / math.log(2)  # of a classic filter, about
    if layout == "block":
        blocks = _smallest(lambda blocks: _block_rate(capacity, blocks) <= error, int(bits / 512))
        return BLOOM_LANES * blocks, BLOOM_LANES
    best = max(1, round(-math.log2(error)))
    shapes = [
        (_smallest(lambda words, k=k: _classic_rate(capacity, 64 * words, k) <= error, int(bits / 64)), k)  # type: ignore[misc]
        for k in range(max(1, best - 1), best + 2)
    ]
    return min(shapes)


def _classic_probes(capacity: int, words: int) -> int:
    """Give the number of probes of the lowest rate: about m/n ln 2, where half of all bits are set."""
    best = min(40, max(1, round(64 * words / capacity * math.log(2))))
    return min(range(max(1, best - 1), best + 2), key=lambda probes: _classic_rate(capacity, 64 * words, probes))


def bloom_error(words: int, capacity: int, layout: str) -> float:
    """Give the least rate that `words` words allow at `capacity` items, rounded up to four digits."""
    probes = BLOOM_LANES if layout == "block" else _classic_probes(capacity, words)
    rate = max(bloom_rate(capacity, words, probes, layout), BLOOM_LEAST_ERROR)
    unit = 10.0 ** (math.floor(math.log10(rate)) - 3)
    return float(f"{math.ceil(rate / unit) * unit:.4g}")


def bloom_capacity(words: int, error: float, layout: str) -> int:
    """Give how many items `words` words hold at a rate of at most `error`."""

    def too_many(items: int) -> bool:
        return bloom_shape(items, error, layout)[0] > words

    return _smallest(too_many, int(64 * words * math.log(2) / -math.log2(error))) - 1


# AMS. A row's sum of squares has expectation F2 and variance (2 / w)(F2^2 - F4) (Alon, Matias and Szegedy 1996, Theorem
# 2.2, for one bucket; Thorup and Zhang 2012, Theorem 2.1, for w), its inner product at most twice F2 G2 / w, and its
# signed count of an item has variance (F2 - f^2) / w (Charikar, Chen and Farach-Colton 2002, Lemma 2).


def ams_row_failure(depth: int, delta: float) -> float:
    """Give q such that more than half of `depth` rows fail with probability delta if each fails with probability q."""
    low, high = 0.0, 1.0
    for _ in range(60):
        q = (low + high) / 2
        most = sum(math.comb(depth, r) * q**r * (1 - q) ** (depth - r) for r in range((depth + 1) // 2, depth + 1))
        low, high = (q, high) if most <= delta else (low, q)
    return low


def ams_error(width: int, depth: int, delta: float, variance: float = 2.0) -> float:
    """Give epsilon such that the median of rows is off by more than that with probability delta or less.

    By Chebyshev a row of variance v / width is off by epsilon with probability at most q = v / (width epsilon^2), and
    the median only if more than half of the rows are.
    """
    return math.sqrt(variance / (width * ams_row_failure(depth, delta)))


def ams_mean_error(width: int, depth: int, delta: float) -> float:
    """Give the same for the mean of rows, by Chebyshev: epsilon = sqrt(2 / (width depth delta))."""
    return math.sqrt(2 / (width * depth * delta))


def ams_shape(error: float, delta: float) -> tuple[int, int]:
    """Give the (width, depth) of fewest counters, of odd depth, with `ams_error` at most `error`."""
    shapes = [(math.ceil(2 / (ams_row_failure(depth, delta) * error**2)), depth) for depth in range(1, 16, 2)]
    return min(shapes, key=math.prod)
