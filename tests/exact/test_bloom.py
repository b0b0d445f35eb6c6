"""BloomFilter: its sizes, its answers, its bits, and what it refuses."""

import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest

from sketches import BloomFilter, FormatError, plain
from sketches._ext.bloom import BloomKernel
from sketches.core import filter_bounds, wire
from sketches.core.memory import aligned_words
from sketches.plain.hashing import GOLDEN, MASK, mix64

LAYOUTS = ["block", "classic"]
KINDS = [("block", 0.1), ("block", 1e-4), ("classic", 0.1)]  # one line, two lines, anywhere


@pytest.mark.parametrize(("items", "blocks"), [(1, 1), (100, 1), (1, 7), (50, 1), (500, 10), (3000, 59), (40, 1000)])
def test_block_rate_equals_the_closed_form(items, blocks):
    # The expectation over a binomial j of the i-th power of (63/64)^j is (1 - (1 - (63/64)^i) / blocks)^items.
    exact = sum((-1) ** i * math.comb(8, i) * (1 - (1 - Fraction(63, 64) ** i) / blocks) ** items for i in range(9))
    assert filter_bounds.bloom_rate(items, 8 * blocks, 8, "block") == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(("items", "blocks"), [(1, 1), (40, 1), (1, 7), (300, 10), (3000, 59), (40, 1000)])
def test_two_line_rate_equals_the_closed_form(items, blocks):
    # In each half of the table: the expectation over a binomial j of q^j is (1 - (1 - q) / blocks)^items.
    miss = Fraction(63, 64)
    missed = [Fraction(8 - s, 8) * miss**s + Fraction(s, 8) * miss ** (s - 1) for s in range(8)]
    half = sum((-1) ** s * math.comb(7, s) * (1 - (1 - missed[s]) / blocks) ** items for s in range(8))
    rate = filter_bounds.bloom_rate(items, 16 * blocks, 14, "block")
    assert rate == pytest.approx(float(half**2), rel=1e-6, abs=1e-27)


def variance_of_ones(words, probes, layout, items):
    """Give what the formulas say of the number of set bits: its expectation and variance."""
    occupancy = filter_bounds.bloom_occupancy(words, probes, layout)
    return occupancy.ones(items), occupancy.spread(items) / occupancy.items_a_bit(items) ** 2


@pytest.mark.parametrize("items", [1, 2, 10, 100, 300])
def test_moments_of_the_set_bits_equal_the_chains(items):
    # Words of 64 bits of which each item sets one, any: eight independent ones in a block, and one with as many probes.
    known = np.zeros(65)
    known[0] = 1
    ones = np.arange(65)
    for _ in range(items):
        known = known * ones / 64 + np.concatenate(([0], (known * (64 - ones) / 64)[:-1]))
    mean = known @ ones
    variance = known @ (ones - mean) ** 2
    assert variance_of_ones(8, 8, "block", items) == pytest.approx((8 * mean, 8 * variance), rel=1e-9, abs=1e-9)
    assert variance_of_ones(1, 1, "classic", items) == pytest.approx((mean, variance), rel=1e-9, abs=1e-9)
    if items % 2 == 0:
        assert variance_of_ones(1, 2, "classic", items / 2) == pytest.approx((mean, variance), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("items", [1, 2, 3])
def test_moments_of_the_set_bits_of_two_lines(items):
    # All choices of a lane left out by each item in a half of one block, and in every lane all numbers of set bits.
    mean = square = 0.0
    for choice in itertools.product(range(8), repeat=items):
        balls = [items - choice.count(lane) for lane in range(8)]
        means = [64 * (1 - (63 / 64) ** n) for n in balls]
        pairs = [64 * 63 * (1 - 2 * (63 / 64) ** n + (62 / 64) ** n) for n in balls]  # of two set bits in a lane
        mean += sum(means) / 8**items
        square += (sum(means) ** 2 + sum(m + p - m * m for m, p in zip(means, pairs, strict=True))) / 8**items
    expected = 2 * mean, 2 * (square - mean**2)
    assert variance_of_ones(16, 14, "block", items) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("items", "words", "probes"), [(1, 1, 1), (1, 1, 5), (10, 1, 3), (100, 15, 7), (60, 2, 1)])
def test_classic_rate_equals_the_chain_of_set_bits(items, words, probes):
    bits = 64 * words
    known = np.zeros(bits + 1)  # the probability of every number of set bits, probe after probe
    known[0] = 1
    share = np.arange(bits + 1) / bits
    for _ in range(items * probes):
        known = known * share + np.concatenate(([0], (known * (1 - share))[:-1]))
    assert filter_bounds.bloom_rate(items, words, probes, "classic") == pytest.approx(known @ share**probes, rel=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("error", [0.5, 0.1, 0.01, 1e-3, 1e-9])
@pytest.mark.parametrize("capacity", [1, 10, 1000, 1_000_000])
def test_shape_is_the_smallest_that_keeps_the_error(layout, error, capacity):
    words, probes = filter_bounds.bloom_shape(capacity, error, layout)
    unit = 8 * filter_bounds.bloom_lines(probes, layout) or 1
    assert filter_bounds.bloom_rate(capacity, words, probes, layout) <= error
    assert words == unit or filter_bounds.bloom_rate(capacity, words - unit, probes, layout) > error
    assert BloomFilter(capacity, error, layout).nbytes == 8 * words


def test_bits_for_each_item_at_one_percent():
    def bits(layout):
        return 8 * BloomFilter(1_000_000, 0.01, layout).nbytes / 1_000_000

    assert bits("block") == pytest.approx(10.10, abs=0.01)
    assert bits("classic") == pytest.approx(9.59, abs=0.01)  # 9.585 = log2(100) / ln 2, but 7 probes are not optimal
    assert filter_bounds.bloom_rate(10**9, 8, 8, "block") == 1.0


def test_bits_for_each_item_below_one_in_a_thousand():
    def bits(error, layout="block"):
        return 8 * BloomFilter(1_000_000, error, layout).nbytes / 1_000_000

    assert bits(1e-4) == pytest.approx(19.91, abs=0.01)
    assert bits(1e-4, "classic") == pytest.approx(19.17, abs=0.01)
    assert bits(1e-6) == pytest.approx(32.08, abs=0.01)
    assert BloomFilter(1_000_000, 1e-3).probes == 8
    assert BloomFilter(1_000_000, 0.99e-3).probes == 14
    assert bits(0.99e-3) < bits(1e-3)
    assert BloomFilter(1, 1e-9).probes == 8  # one block suffices


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{"error": 0.001}, {"capacity": 1000}, {}])
def test_for_memory_uses_it(layout, options):
    for nbytes in (1500, 4096, 100_001):
        bloom = BloomFilter.for_memory(nbytes, layout=layout, seed=3, **options)
        assert 0.9 * nbytes - 64 <= bloom.nbytes <= nbytes or bloom.error == 1e-12
        assert bloom.error == options.get("error", bloom.error if options else 0.01)
        assert bloom.capacity == options.get("capacity", bloom.capacity)
        assert filter_bounds.bloom_rate(bloom.capacity, bloom.nbytes // 8, bloom.probes, layout) <= bloom.error
        assert bloom.hasher.seed == 3


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_never_a_false_negative(layout, error):
    items = [*range(500), *(f"item {i}" for i in range(500)), 1.5, b"bytes", (1, "a"), 2**80]
    bloom = BloomFilter(100, error, layout)  # far beyond capacity, the more so
    bloom.update(items)
    assert bloom.contains(items).all()
    assert all(item in bloom for item in items)
    assert bloom.false_positive_rate() > bloom.error


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_one_by_one_or_all_at_once(layout, error):
    bloom = BloomFilter(300, error, layout)
    bloom.update(range(300))
    questions = [*range(2000), None, "x", float("nan")]
    assert [item in bloom for item in questions] == bloom.contains(questions).tolist()
    assert bloom.contains(np.arange(2000)).tolist() == bloom.contains(range(2000)).tolist()
    assert bloom.contains([]).tolist() == []
    assert not BloomFilter(300, error, layout).contains(questions).any()


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_answers_equal_the_twins(layout, error):
    bloom, twin = BloomFilter(100, error, layout), plain.BloomFilter(100, error, layout)
    for item in range(150):
        bloom.add(item)
        twin.add(item)
    questions = [*range(500), None, "x"]
    assert bloom.contains(questions).tolist() == [item in twin for item in questions]


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_batches_of_any_length_equal_the_twins(layout, error):
    # Batches are worked off in groups of 256 items; the last one may be short.
    bloom, twin = BloomFilter(1000, error, layout), plain.BloomFilter(1000, error, layout)
    items, counts = np.arange(775), np.arange(775) % 3
    for start, stop in ((0, 1), (1, 257), (257, 514), (514, 775)):
        bloom.update(items[start:stop], counts[start:stop])
        for item in items[start:stop][counts[start:stop] > 0].tolist():
            twin.add(item)
        assert bloom.words.tolist() == twin.words
        for size in (1, 255, 256, 257, 1300):
            assert bloom.contains(np.arange(size)).tolist() == [item in twin for item in range(size)]


def test_more_bits_than_2_to_the_32():
    # 0.6 GB, of which only the pages that hold these bits are ever touched.
    bloom, items = BloomFilter(5 * 10**8, layout="classic"), np.arange(5)
    size = 64 * len(bloom.words)
    assert size > 2**32
    bloom.update(items)
    hashes = [bloom.hasher.item(item) for item in items.tolist()]
    for h in hashes:
        for probe in range(1, bloom.probes + 1):
            index = mix64(h + probe * GOLDEN & MASK) * size >> 64
            assert int(bloom.words[index // 64]) >> index % 64 & 1
    assert bloom.contains(items).all()
    assert all(item in bloom for item in items.tolist())


def test_nulls_are_never_contained():
    bloom = BloomFilter(10)
    bloom.update([1, None, 2])
    bloom.add(None)
    assert bloom.nulls == 2
    assert None not in bloom
    assert bloom.contains([None, 1, None, 2]).tolist() == [False, True, False, True]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_matter_only_as_zero_or_not(layout):
    bloom, plain = BloomFilter(100, layout=layout), BloomFilter(100, layout=layout)
    bloom.update([1, 2, 3], [5, 0, 1])
    bloom.add(4, 0)
    plain.update([1, 3])
    assert bloom.words.tolist() == plain.words.tolist()
    assert bloom.total == 6
    for action in (lambda: bloom.add(1, -1), lambda: bloom.update([1], [-1])):
        with pytest.raises(ValueError, match="counts of 0 and more"):
            action()
    assert bloom.total == 6


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bits_share_the_memory_and_are_read_only(layout):
    bloom = BloomFilter(1000, layout=layout)
    bits = bloom.bits
    assert len(bits) == 8 * bloom.nbytes
    assert bits.count() == 0
    bloom.add("x")
    assert bits.count() == bloom.probes
    assert bloom.fill_ratio == bloom.probes / len(bits)
    with pytest.raises(TypeError):
        bits[0] = 1
    del bloom
    assert bits.count() > 0  # the bits keep the memory alive


def test_rate_of_the_filter_as_it_is():
    block, classic = BloomFilter(1000), BloomFilter(1000, layout="classic")
    for bloom in (block, classic):
        assert bloom.false_positive_rate() == 0
        bloom.update(range(1500))
        assert f"false positives {bloom.false_positive_rate():.2g}" in repr(bloom)
    fill = np.bitwise_count(block.words).reshape(-1, 8) / 64
    assert block.false_positive_rate() == pytest.approx(fill.prod(axis=1).mean(), rel=1e-12)
    assert classic.false_positive_rate() == classic.fill_ratio**7
    two = BloomFilter(1000, 1e-4)
    two.update(range(1500))
    fill = np.bitwise_count(two.words).reshape(2, -1, 8) / 64
    sevens = [np.delete(fill, lane, axis=2).prod(axis=2) for lane in range(8)]
    assert two.false_positive_rate() == pytest.approx(np.mean(sevens, axis=(0, 2)).prod(), rel=1e-12)


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_full_filter(layout, error):
    bloom = BloomFilter(10, error, layout)
    bloom.update(range(5000))
    assert bloom.fill_ratio == bloom.false_positive_rate() == 1.0
    assert bloom.count() == bloom.count().upper == bloom.count().standard_error == math.inf
    assert 10 < bloom.count().lower < 5000
    both = bloom.overlap(bloom)
    assert both.union == math.inf
    assert (both.intersection.lower, both.only_self.lower, both.jaccard.upper) == (0, 0, 1)
    assert both.intersection.standard_error == math.inf


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_counts_of_few_items(layout, error):
    bloom, other = BloomFilter(1000, error, layout), BloomFilter(1000, error, layout)
    assert (bloom.count(), bloom.count().lower, bloom.count().upper) == (0, 0, pytest.approx(0, abs=0.5))
    nothing = bloom.overlap(other)
    assert nothing[:4] == (0, 0, 0, 0)
    assert math.isnan(nothing.jaccard)
    bloom.update([1, 2, 3])
    other.update([3, 4])
    found = bloom.overlap(other)
    for estimate, truth in zip((bloom.count(), *found), (3, 4, 1, 2, 1, 0.25), strict=True):
        assert abs(estimate - truth) < 0.2
        assert estimate.lower <= truth <= estimate.upper
        assert estimate.confidence == 0.95
    assert found.union == (bloom | other).count()
    assert (found.only_self, found.only_other) == tuple(other.overlap(bloom))[3:1:-1]
    same = bloom.overlap(bloom)
    assert same.union == bloom.count() == pytest.approx(same.intersection)
    assert (same.only_self, same.jaccard, same.jaccard.standard_error) == pytest.approx((0, 1, 0), abs=1e-9)
    assert bloom.count(0.5).upper - bloom.count(0.5).lower < bloom.count(0.99).upper - bloom.count(0.99).lower


def test_counts_refuse_what_they_cannot_compare():
    bloom = BloomFilter(10)
    with pytest.raises(ValueError, match="capacity is 10 here and 11 there"):
        bloom.overlap(BloomFilter(11))
    with pytest.raises(TypeError, match="a BloomFilter with a set"):
        bloom.overlap({1})
    with pytest.raises(ValueError, match="confidence is 1"):
        bloom.overlap(bloom, 1.0)
    with pytest.raises(ValueError, match=r"confidence is 0; a number in \(0, 1\) is accepted"):
        bloom.count(0)


def test_more_memory_than_exists(monkeypatch):
    with pytest.raises(ValueError, match="of this machine") as caught:
        BloomFilter(2**40, 1e-12)
    monkeypatch.setattr("sketches.bloom.physical_memory", lambda: 10**6)
    for layout in LAYOUTS:
        with pytest.raises(ValueError, match=r"capacity is 1000000 at an error of 0\.01, which takes") as caught:
            BloomFilter(10**6, 0.01, layout)
        capacity, error = re.fullmatch(
            r".* a capacity of (\d+) or less, or an error of (.*) or more", str(caught.value)
        ).groups()
        assert 10**6 - 64 <= BloomFilter(int(capacity), 0.01, layout).nbytes <= 10**6
        assert BloomFilter(10**6, float(error), layout).nbytes <= 10**6
    with pytest.raises(ValueError, match=r"capacity of \d+ or less$"):
        BloomFilter(10**9, 0.01)


def test_memory_is_aligned():
    assert all(aligned_words(size).ctypes.data % 64 == 0 for size in range(1, 200))
    assert all(BloomFilter(n).copy().words.ctypes.data % 64 == 0 for n in range(1, 500, 50))
    with pytest.raises(ValueError, match="cache line"):
        BloomKernel()._setup(aligned_words(16)[1:9], 1, 8)
    for words, lines, probes in [(7, 1, 8), (8, 1, 7), (8, 2, 14), (16, 2, 8), (8, 0, 0), (0, 0, 1), (24, 3, 24)]:
        with pytest.raises(ValueError, match="not accepted"):
            BloomKernel()._setup(aligned_words(words), lines, probes)
    with pytest.raises(ValueError, match="1 bytes for answers of 2"):
        BloomFilter(1)._ask(np.zeros(2, np.uint64), np.zeros(1, np.uint8))
    with pytest.raises(ValueError, match="1 bytes for answers of 2"):
        BloomFilter(1)._ask_integers(np.zeros(2, np.int64), np.zeros(1, np.uint8))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"capacity": 0}, ValueError, "capacity is 0"),
        ({"capacity": 1.5}, TypeError, "capacity is 1.5"),
        ({"capacity": 2**40 + 1}, ValueError, "capacity is"),
        ({"capacity": 10, "error": 0}, ValueError, r"error is 0; a number in \[1e-12, 1\)"),
        ({"capacity": 10, "error": 1.0}, ValueError, "error is 1.0"),
        ({"capacity": 10, "error": 1e-13}, ValueError, r"error is 1e-13; a number in \[1e-12, 1\) is accepted"),
        ({"capacity": 10, "error": "1 %"}, TypeError, "error is '1 %'"),
        ({"capacity": 10, "layout": "round"}, ValueError, "layout is 'round'"),
        ({"capacity": 10, "seed": -1}, ValueError, "seed is -1"),
    ],
)
def test_invalid_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        BloomFilter(**arguments)


@pytest.mark.parametrize(
    ("nbytes", "options", "error", "message"),
    [
        (63, {}, ValueError, "nbytes is 63"),
        (100, {"capacity": 5, "error": 0.1}, TypeError, "beside capacity"),
        (100, {"capacity": 0}, ValueError, "capacity is 0"),
        (100, {"capacity": 10**9}, ValueError, r"too few for a capacity of 1000000000; 7\d\d is the most"),
        (100, {"error": 2.0}, ValueError, "error is 2.0"),
        (100, {"layout": "round"}, ValueError, "layout is 'round'"),
    ],
)
def test_invalid_memory(nbytes, options, error, message):
    with pytest.raises(error, match=message):
        BloomFilter.for_memory(nbytes, **options)


def test_the_smallest_memory_holds_an_item_at_the_smallest_error():
    assert BloomFilter.for_memory(64, error=1e-12).capacity == 2  # (2 / 64)**8 is 9.1e-13
    assert BloomFilter.for_memory(64, error=1e-12, layout="classic").capacity >= 1


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_merge_holds_both(layout, error):
    first, second = BloomFilter(100, error, layout), BloomFilter(100, error, layout)
    first.update(range(50))
    second.update(range(50, 100))
    both = first | second
    assert both.contains(range(100)).all()
    assert both.total == 100


def altered(bloom, **changes):
    fields = bloom._fields() | {name: value for name, value in changes.items() if name != "total"}
    total = changes.get("total", bloom.total)
    return wire.encode("BloomFilter", wire.Envelope(1, 0, total, abs(total), 0), fields)


def test_merge_refuses_another_shape_of_the_same_parameters():
    bloom = BloomFilter(100, layout="classic")
    other = BloomFilter.from_bytes(altered(bloom, probes=3))
    with pytest.raises(ValueError, match=f"128 bytes and {bloom.probes} probes here, 128 bytes and 3 probes there"):
        bloom.merge(other)


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        ("block", {"words": np.zeros(0, np.uint64)}, "no words"),
        ("block", {"words": np.zeros(9, np.uint64)}, "whole number of blocks"),
        ("block", {"probes": 7}, "7 probes"),
        ("block", {"words": np.eye(1, 8, dtype=np.uint64)}, "an item's bit is missing"),
        ("block", {"words": np.full(8, 3, np.uint64), "total": 1}, "16 bits are set by 1 items"),
        ("block", {"words": np.zeros(8, np.uint64), "probes": 14}, "whole number of blocks"),
        ("block", {"words": np.eye(1, 16, dtype=np.uint64)[0], "probes": 14}, "an item's bit is missing"),
        ("block", {"words": np.repeat([3, 0], 8).astype(np.uint64), "probes": 14}, "an item's bit is missing"),
        ("classic", {"words": np.full(1, 255, np.uint64), "total": 1}, "8 bits are set by 1 items"),
        ("classic", {"total": -1}, "total -1"),
        ("classic", {"layout": 2}, "layout is 2"),
        ("classic", {"error": float("nan")}, "error is nan"),
        ("classic", {"error": 1.0}, "error is 1.0"),
        ("classic", {"capacity": 0}, "capacity is 0"),
        ("classic", {"probes": 0}, "probes is 0"),
    ],
)
def test_bytes_that_no_filter_writes(layout, changes, message):
    with pytest.raises(FormatError, match=message):
        BloomFilter.from_bytes(altered(BloomFilter(10, layout=layout), **changes))


@pytest.mark.parametrize(("layout", "error"), KINDS)
def test_bytes_are_canonical(layout, error):
    bloom = BloomFilter(100, error, layout, seed=5)
    bloom.update(range(100))
    copy = BloomFilter.from_bytes(bloom.to_bytes())
    assert copy == bloom
    assert (copy.capacity, copy.error, copy.layout, copy.probes) == (100, error, layout, bloom.probes)
    assert copy.contains(range(100)).all()


def test_count_of_nothing_is_plain_zero():
    assert str(BloomFilter(10).count()) == "0.0"  # not -0.0
    assert str(BloomFilter(10).overlap(BloomFilter(10)).union) == "0.0"
