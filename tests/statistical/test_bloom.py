"""The rate of false positives is the one that the sizes are computed from."""

import numpy as np
import pytest

from sketches import BloomFilter
from sketches.core import filter_bounds

CAPACITY, REPLICAS, ABSENT = 5_000, 30, 30_000


def variance_between_filters(bloom: BloomFilter) -> float:
    """The variance over seeds of the rate of a filter at its capacity, an upper bound."""
    words = len(bloom.words)
    if bloom.layout == "block":
        # The mean of one value a block, at most the variance of one of them divided by their number (with a fixed
        # number of items in all, a block that holds more leaves less to others). Given j items, a lane's share of ones
        # s has E s² = (1/64)(1 - a) + (63/64)(1 - 2a + b) where a, b = (63/64)^j, (62/64)^j: two bits are drawn from
        # it, the same one with probability 1/64. j is Poisson.
        j = np.arange(300.0)
        load = 8 * CAPACITY / words
        share = np.exp(j * np.log(load) - load - np.concatenate(([0], np.cumsum(np.log(j[1:])))))
        a, b = (63 / 64) ** j, (62 / 64) ** j
        return (share @ ((1 - a) / 64 + 63 / 64 * (1 - 2 * a + b)) ** 8) / (words / 8)
    # fill^k with the variance of the share of occupied bins, carried over by the derivative k fill^(k - 1).
    m, t, k = 64.0 * words, CAPACITY * bloom.probes, bloom.probes
    empty, two_empty = (1 - 1 / m) ** t, (1 - 2 / m) ** t
    variance = (empty + (m - 1) * two_empty) / m - empty**2
    return variance * (k * (1 - empty) ** (k - 1)) ** 2


@pytest.mark.parametrize("layout", ["block", "classic"])
@pytest.mark.parametrize("error", [0.1, 0.01, 0.001])
def test_rate_at_capacity(layout, error):
    items = np.random.default_rng(7).permutation(10**6)[: CAPACITY + ABSENT]
    found, rates, rate_variance = 0, [], 0.0
    for seed in range(REPLICAS):
        bloom = BloomFilter(CAPACITY, error, layout, seed=seed)
        bloom.update(items[:CAPACITY])
        assert bloom.contains(items[:CAPACITY]).all()
        found += int(bloom.contains(items[CAPACITY:]).sum())
        rates.append(bloom.false_positive_rate())
        rate_variance = variance_between_filters(bloom)
    expected = filter_bounds.bloom_rate(CAPACITY, len(bloom.words), bloom.probes, layout)
    assert 0.95 * error <= expected <= error

    # Given the filters, the false positives are a sum of binomial counts of known rates. At 0.001 the five standard
    # errors are 5 / sqrt(900,000 * 0.001) = 17 % of the rate: seven lanes instead of eight would at least double it.
    given = np.array(rates)
    assert abs(found - ABSENT * given.sum()) <= 5 * (ABSENT * (given * (1 - given)).sum()) ** 0.5

    # The filters' rates, computed from their bits, scatter around the one of theory.
    assert abs(given.mean() - expected) <= 5 * (rate_variance / REPLICAS) ** 0.5


def test_rate_of_a_tiny_classic_filter_is_exact():
    # One word, 30 probes in all, of which the chain below gives the distribution of set bits: a filter's own rate is on
    # average 0.0543 with a standard deviation of 0.0119, so that the mean of 4,000 filters may be off by 0.00094. The
    # naive (1 - e^(-30/64))^3 is 0.0524: twice as far.
    chain = np.zeros(65)
    chain[0] = 1
    share = np.arange(65) / 64
    for _ in range(30):
        chain = chain * share + np.concatenate(([0], (chain * (1 - share))[:-1]))
    expected = chain @ share**3
    deviation = (chain @ (share**3 - expected) ** 2) ** 0.5
    rates = []
    for seed in range(4000):
        bloom = BloomFilter(10, 0.055, "classic", seed=seed)
        assert (len(bloom.words), bloom.probes) == (1, 3)
        bloom.update(range(10))
        rates.append(bloom.false_positive_rate())
    assert abs(np.mean(rates) - expected) <= 5 * deviation / 4000**0.5
    assert expected == pytest.approx(filter_bounds.bloom_rate(10, 1, 3, "classic"), rel=1e-9)


def test_rate_of_two_lines():
    # 40 filters are asked for 500,000 strangers each, of which 2,000 in all are expected: five standard errors are
    # 5 / sqrt(2000) = 11 %. One bit less in a line would double the number. The filters' own rates, computed from their
    # bits, scatter by about 3 %; their mean is within five of its standard errors (2.4 %) of theory's.
    found, rates = 0, []
    for seed in range(40):
        bloom = BloomFilter(CAPACITY, 1e-4, seed=seed)
        bloom.update(np.arange(CAPACITY))
        found += int(bloom.contains(np.arange(CAPACITY, CAPACITY + 500_000)).sum())
        rates.append(bloom.false_positive_rate())
    expected = 500_000 * sum(rates)
    assert abs(found - expected) <= 5 * expected**0.5
    theory = filter_bounds.bloom_rate(CAPACITY, len(bloom.words), bloom.probes, "block")
    assert 0.9e-4 <= theory <= 1e-4
    assert abs(np.mean(rates) - theory) <= 5 * np.std(rates, ddof=1) / 40**0.5


KINDS = [("block", 0.01), ("block", 1e-4), ("classic", 0.01)]
REPLICAS_OF_COUNTS = 300


def check_errors(found, truth, variance, normal=True):
    """Errors are as large as theory says, not biased, and covered as often as promised.

    Of R = 300 scaled errors, the mean has the standard error 1 / sqrt(R), that of the squares sqrt(2 / R) if they are
    normal, and the share that 95 % bounds cover sqrt(0.05 * 0.95 / R) = 1.3 %: limits of 0.29, 0.41 and 6.3 %.
    The standard errors that are stated scatter by less than a third, so that their mean is within a tenth of theory's.
    Where a handful of coincidences decide, errors are not normal.
    """
    count = len(found)
    scaled = (np.array(found) - truth) / variance**0.5
    covered = [estimate.lower <= truth <= estimate.upper for estimate in found]
    assert abs(scaled.mean()) <= 5 / count**0.5
    assert np.mean(covered) >= 0.95 - 5 * (0.05 * 0.95 / count) ** 0.5
    if normal:
        assert abs((scaled**2).mean() - 1) <= 5 * (2 / count) ** 0.5
        assert abs(np.mean([estimate.standard_error for estimate in found]) / variance**0.5 - 1) <= 0.1


@pytest.mark.parametrize(("layout", "error"), KINDS)
@pytest.mark.parametrize("items", [3, 60, 400, 1000, 3000])
def test_counts(layout, error, items):
    found = []
    for seed in range(REPLICAS_OF_COUNTS):
        bloom = BloomFilter(1000, error, layout, seed=seed)
        bloom.update(np.arange(items))
        found.append(bloom.count())
    occupancy = filter_bounds.bloom_occupancy(len(bloom.words), bloom.probes, layout)
    check_errors(found, items, occupancy.spread(items), normal=items > 100)


@pytest.mark.parametrize(("layout", "error"), KINDS)
@pytest.mark.parametrize(("first", "second", "common"), [(500, 500, 250), (1000, 900, 100), (2000, 1500, 500)])
def test_overlaps(layout, error, first, second, common):
    found = []
    for seed in range(REPLICAS_OF_COUNTS):
        one, other = (BloomFilter(1000, error, layout, seed=seed) for _ in range(2))
        one.update(np.arange(first))
        other.update(np.arange(first - common, first - common + second))
        found.append(one.overlap(other))
    occupancy = filter_bounds.bloom_occupancy(len(one.words), one.probes, layout)
    union = first + second - common
    g, g1, g2, g12 = (occupancy.spread(n) for n in (union, first, second, common))
    ratio = (first + second) / union
    truths = {
        "union": (union, g),
        "intersection": (common, g - g1 - g2 + 2 * g12),
        "only_self": (first - common, g - g2),
        "only_other": (second - common, g - g1),
        "jaccard": (common / union, ((1 - 2 * ratio) * (g1 + g2) + 2 * g12 + ratio**2 * g) / union**2),
    }
    for name, (truth, variance) in truths.items():
        check_errors([getattr(overlap, name) for overlap in found], truth, variance)
