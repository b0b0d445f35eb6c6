"""Filters: rates of false positives, sizes, and how many items explain how many bits; each formula with its source."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache

import numpy as np

from sketches.core.occupancy import Occupancy

__all__ = [
    "BINARY_FUSE_ATTEMPTS",
    "BINARY_FUSE_MOST_ITEMS",
    "BLOOM_LEAST_ERROR",
    "BLOOM_MOST_ITEMS",
    "binary_fuse_shape",
    "bloom_capacity",
    "bloom_error",
    "bloom_lines",
    "bloom_occupancy",
    "bloom_rate",
    "bloom_shape",
]

# Bloom filters. Both rates are exact for hashes that are uniform and independent, not the naive (1 - e^(-kn/m))^k,
# which is too small: for blocks by a fifth at 1 %, for a classic filter visibly when it is tiny.

BLOOM_LANES = 8  # words of 64 bits in a block
BLOOM_MOST_ITEMS = 2**40
BLOOM_LEAST_ERROR = 1e-12  # smaller ones would be hidden by collisions of 64-bit hashes
BLOOM_TWO_LINES = 1e-3  # below this rate, two lines may take less memory than one


def bloom_lines(probes: int, layout: str) -> int:
    """Give how many blocks an item has bits in: one with 8, or two with 7 each; 0 in the classic layout."""
    return 0 if layout == "classic" else 1 if probes == BLOOM_LANES else 2


def _line_rate(items: int, blocks: int, lines: int) -> float:
    """Give the probability that an absent item has all its bits in one line (Putze, Sanders and Singler 2009).

    An absent item's block holds j keys, binomial with parameters (items, 1 / blocks). If there is one line, each key
    set one of the 64 bits in every lane, independently, so the item's bit in a lane is set with probability
    1 - (63/64)^j, and there are 8 lanes. If there are two, each key left out one lane. It missed s given bits in s
    lanes with probability q_s = s/8 (63/64)^(s - 1) + (1 - s/8) (63/64)^s, and all j keys did with q_s^j; inclusion and
    exclusion gives the probability that none of the item's 7 bits is missed by all.
    """
    load = items / blocks
    if load > 10_000:
        return 1.0  # a bit is unset with probability below e^-136
    keys, weights = np.array([items]), np.ones(1)
    if blocks > 1:
        most = min(items, int(load + 12 * math.sqrt(load) + 60))  # what lies beyond weighs less than 1e-30
        keys = np.arange(most + 1)
        ratios = np.log((items - keys[1:] + 1) / keys[1:]) - math.log(blocks - 1)  # of successive probabilities
        weights = np.exp(items * math.log1p(-1 / blocks) + np.concatenate(([0.0], np.cumsum(ratios))))
    if lines == 1:
        return float(weights @ (1 - (63 / 64) ** keys) ** BLOOM_LANES)
    missed = [(1 - s / 8) * (63 / 64) ** s + s / 8 * (63 / 64) ** (s - 1) for s in range(8)]
    passed = sum((-1) ** s * math.comb(7, s) * missed[s] ** keys for s in range(8))
    return max(0.0, float(weights @ passed))


def _block_rate(items: int, words: int, lines: int) -> float:
    """Give the probability that an absent item seems present; the two halves of a table are filters of their own."""
    return _line_rate(items, words // (BLOOM_LANES * lines), lines) ** lines


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
    lines = bloom_lines(probes, layout)
    return _block_rate(items, words, lines) if lines else _classic_rate(items, 64 * words, probes)


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


def _block_words(capacity: int, error: float, lines: int, bits: int) -> int:
    """Give the fewest words, whole blocks in every line, whose rate is at most `error`; about so many bits."""
    unit = BLOOM_LANES * lines
    return unit * _smallest(lambda n: _block_rate(capacity, unit * n, lines) <= error, bits // 64 // unit)


@lru_cache(maxsize=256)
def bloom_shape(capacity: int, error: float, layout: str) -> tuple[int, int]:
    """Give (words, probes) of the smallest Bloom filter whose rate at `capacity` items is at most `error`."""
    bits = capacity * -math.log2(error) / math.log(2)  # of a classic filter, about
    if layout == "block":
        sizes = [(_block_words(capacity, error, 1, int(bits)), 8)]
        if error < BLOOM_TWO_LINES:
            sizes.append((_block_words(capacity, error, 2, int(bits)), 14))
        return min(sizes)
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
    """Give the least error for which `bloom_shape` takes at most `words` words, rounded up to four digits."""
    if layout == "classic":
        rate = bloom_rate(capacity, words, _classic_probes(capacity, words), layout)
    else:
        rate = _block_rate(capacity, words, 1)
        two = _block_rate(capacity, words // 16 * 16, 2) if words >= 16 else 1.0
        rate = min(rate, two) if two < BLOOM_TWO_LINES else rate
    rate = max(rate, BLOOM_LEAST_ERROR)
    unit = 10.0 ** (math.floor(math.log10(rate)) - 3)
    return float(f"{math.ceil(rate / unit) * unit:.4g}")


def bloom_capacity(words: int, error: float, layout: str) -> int:
    """Give how many items `words` words hold at a rate of at most `error`."""

    def too_many(items: int) -> bool:
        return bloom_shape(items, error, layout)[0] > words

    return _smallest(too_many, int(64 * words * math.log(2) / -math.log2(error))) - 1


def bloom_occupancy(words: int, probes: int, layout: str) -> Occupancy:
    """Describe the set bits of a Bloom filter."""
    bits, lines = 64 * words, bloom_lines(probes, layout)
    if lines == 0:
        unset = probes * math.log1p(-1 / bits)
        return Occupancy(bits, unset, ((1, unset), (bits - 1, probes * math.log1p(-2 / bits))))
    blocks, kept = words // (BLOOM_LANES * lines), probes // lines
    once = kept / 8 / 64 / blocks  # the probability that an item sets a bit
    both = kept * (kept - 1) / 56 / 64**2 / blocks  # and that it sets two in different lanes of a block
    unset = math.log1p(-once)
    return Occupancy(
        bits,
        unset,
        (
            (1, unset),
            (63 + 512 * (blocks - 1), math.log1p(-2 * once)),
            (448, math.log1p(both - 2 * once)),
        ),
    )


# Binary fuse filters with three slots an item (Graf and Lemire 2022, section 4): the sizes of table and segments at
# which peeling nearly always succeeds were found by experiment.

BINARY_FUSE_MOST_ITEMS = 2**31  # with their slots, below 2**32
BINARY_FUSE_ATTEMPTS = 64


def binary_fuse_shape(items: int) -> tuple[int, int]:
    """Give log2 of a segment's length, and the number of segments less two, of a table for so many items."""
    if items == 0:
        return 0, 0
    log_length = min(18, math.floor(math.log(items) / math.log(3.33) + 2.25))
    factor = max(1.125, 0.875 + 0.25 * math.log(1e6) / math.log(max(items, 2)))
    return log_length, max(1, math.ceil(items * factor / 2**log_length) - 2)
