"""BloomFilter: its sizes, its answers, its bits, and what it refuses."""

import math
from fractions import Fraction

import numpy as np
import pytest

from sketches import BloomFilter, FormatError, plain
from sketches._ext.bloom import BloomKernel
from sketches.core import bounds, wire
from sketches.core.memory import aligned_words
from sketches.plain.hashing import GOLDEN, MASK, mix64

LAYOUTS = ["block", "classic"]


@pytest.mark.parametrize(("items", "blocks"), [(1, 1), (100, 1), (1, 7), (50, 1), (500, 10), (3000, 59), (40, 1000)])
def test_block_rate_equals_the_closed_form(items, blocks):
    # The expectation over a binomial j of the i-th power of (63/64)^j is (1 - (1 - (63/64)^i) / blocks)^items.
    exact = sum((-1) ** i * math.comb(8, i) * (1 - (1 - Fraction(63, 64) ** i) / blocks) ** items for i in range(9))
    assert bounds.bloom_rate(items, 8 * blocks, 8, "block") == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(("items", "words", "probes"), [(1, 1, 1), (1, 1, 5), (10, 1, 3), (100, 15, 7), (60, 2, 1)])
def test_classic_rate_equals_the_chain_of_set_bits(items, words, probes):
    bits = 64 * words
    known = np.zeros(bits + 1)  # the probability of every number of set bits, probe after probe
    known[0] = 1
    share = np.arange(bits + 1) / bits
    for _ in range(items * probes):
        known = known * share + np.concatenate(([0], (known * (1 - share))[:-1]))
    assert bounds.bloom_rate(items, words, probes, "classic") == pytest.approx(known @ share**probes, rel=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("error", [0.5, 0.1, 0.01, 1e-3, 1e-9])
@pytest.mark.parametrize("capacity", [1, 10, 1000, 1_000_000])
def test_shape_is_the_smallest_that_keeps_the_error(layout, error, capacity):
    words, probes = bounds.bloom_shape(capacity, error, layout)
    unit = 8 if layout == "block" else 1
    assert bounds.bloom_rate(capacity, words, probes, layout) <= error
    assert words == unit or bounds.bloom_rate(capacity, words - unit, probes, layout) > error
    assert BloomFilter(capacity, error, layout).nbytes == 8 * words


def test_bits_for_each_item_at_one_percent():
    def bits(layout):
        return 8 * BloomFilter(1_000_000, 0.01, layout).nbytes / 1_000_000

    assert bits("block") == pytest.approx(10.10, abs=0.01)
    assert bits("classic") == pytest.approx(9.59, abs=0.01)  # 9.585 = log2(100) / ln 2, but 7 probes are not optimal
    assert bounds.bloom_rate(10**9, 8, 8, "block") == 1.0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{"error": 0.001}, {"capacity": 1000}, {}])
def test_for_memory_uses_it(layout, options):
    for nbytes in (1500, 4096, 100_001):
        bloom = BloomFilter.for_memory(nbytes, layout=layout, seed=3, **options)
        assert 0.9 * nbytes - 64 <= bloom.nbytes <= nbytes or bloom.error == 1e-12
        assert bloom.error == options.get("error", bloom.error if options else 0.01)
        assert bloom.capacity == options.get("capacity", bloom.capacity)
        assert bounds.bloom_rate(bloom.capacity, bloom.nbytes // 8, bloom.probes, layout) <= bloom.error
        assert bloom.hasher.seed == 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_never_a_false_negative(layout):
    items = [*range(500), *(f"item {i}" for i in range(500)), 1.5, b"bytes", (1, "a"), 2**80]
    bloom = BloomFilter(100, layout=layout)  # far beyond capacity, the more so
    bloom.update(items)
    assert bloom.contains(items).all()
    assert all(item in bloom for item in items)
    assert bloom.false_positive_rate() > bloom.error


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_by_one_or_all_at_once(layout):
    bloom = BloomFilter(300, 0.1, layout)
    bloom.update(range(300))
    questions = [*range(2000), None, "x", float("nan")]
    assert [item in bloom for item in questions] == bloom.contains(questions).tolist()
    assert bloom.contains(np.arange(2000)).tolist() == bloom.contains(range(2000)).tolist()
    assert bloom.contains([]).tolist() == []
    assert not BloomFilter(300, 0.1, layout).contains(questions).any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_answers_equal_the_twins(layout):
    bloom, twin = BloomFilter(100, 0.2, layout), plain.BloomFilter(100, 0.2, layout)
    for item in range(150):
        bloom.add(item)
        twin.add(item)
    questions = [*range(500), None, "x"]
    assert bloom.contains(questions).tolist() == [item in twin for item in questions]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches_of_any_length_equal_the_twins(layout):
    # Batches are worked off in groups of 256 items; the last one may be short.
    bloom, twin = BloomFilter(1000, 0.1, layout), plain.BloomFilter(1000, 0.1, layout)
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_filter(layout):
    bloom = BloomFilter(1, 0.9, layout)
    bloom.update(range(5000))
    assert bloom.fill_ratio == bloom.false_positive_rate() == 1.0


def test_memory_is_aligned():
    assert all(aligned_words(size).ctypes.data % 64 == 0 for size in range(1, 200))
    assert all(BloomFilter(n).copy().words.ctypes.data % 64 == 0 for n in range(1, 500, 50))
    with pytest.raises(ValueError, match="cache line"):
        BloomKernel()._setup(aligned_words(16)[1:9], True, 8)
    for words, in_blocks, probes in [(7, True, 8), (8, True, 7), (8, False, 0), (0, False, 1)]:
        with pytest.raises(ValueError, match="not accepted"):
            BloomKernel()._setup(aligned_words(words), in_blocks, probes)
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
        ({"capacity": 10, "error": 0}, ValueError, "error is 0"),
        ({"capacity": 10, "error": 1.0}, ValueError, "error is 1.0"),
        ({"capacity": 10, "error": 1e-13}, ValueError, "error is 1e-13"),
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
        (100, {"capacity": 10**9}, ValueError, "too few for a capacity"),
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_merge_holds_both(layout):
    first, second = BloomFilter(100, layout=layout), BloomFilter(100, layout=layout)
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_are_canonical(layout):
    bloom = BloomFilter(100, 0.03, layout, seed=5)
    bloom.update(range(100))
    copy = BloomFilter.from_bytes(bloom.to_bytes())
    assert copy == bloom
    assert (copy.capacity, copy.error, copy.layout, copy.probes) == (100, 0.03, layout, bloom.probes)
    assert copy.contains(range(100)).all()
