"""CountMin's constructors, queries and refusals."""

import math
import sys

import numpy as np
import pytest

from sketches import CountMin
from sketches._ext.count_min import CountMinKernel
from sketches._ext.hashing import Hasher
from sketches.core import bounds
from sketches.plain.hashing import mix64


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 0.5), (0.01, 0.01), (0.001, 1e-6), (0.9, 0.9)])
def test_accuracy_gives_the_fewest_counters_that_keep_it(epsilon, delta):
    sketch = CountMin(epsilon=epsilon, delta=delta)
    assert bounds.count_min_epsilon(sketch.width, sketch.depth, delta) <= epsilon
    assert bounds.count_min_epsilon(max(sketch.width - 1, 1), sketch.depth, delta) >= epsilon * (1 - 1e-12) or (
        sketch.width == 1
    )
    for depth in range(1, 17):
        assert math.ceil(delta ** (-1 / depth) / epsilon) * depth >= sketch.width * sketch.depth
    # The textbook's e / epsilon columns in ln(1 / delta) rows keep the same promise with more counters.
    assert sketch.width * sketch.depth <= math.ceil(math.e / epsilon) * math.ceil(math.log(1 / delta))


def test_memory_is_used_and_not_exceeded():
    for nbytes in (32, 1000, 123_456):
        sketch = CountMin.for_memory(nbytes, seed=3)
        assert nbytes - 8 * sketch.depth < 8 * sketch.width * sketch.depth <= nbytes
        assert sketch.hasher.seed == 3
    assert CountMin.for_memory(8, depth=1, conservative=True).conservative
    assert CountMin.for_memory(960).depth == 3
    with pytest.raises(ValueError, match="nbytes is 31"):
        CountMin.for_memory(31, depth=4)


def test_three_rows_have_the_least_error_at_95_percent():
    errors = {
        depth: bounds.count_min_epsilon(1, depth, 0.05) * depth for depth in range(1, 17)
    }  # of one counter in all
    assert min(errors, key=errors.get) == 3
    stream = np.random.default_rng(8).zipf(1.2, 50_000) % 10_000
    truth = np.bincount(stream, minlength=10_000)
    means = {}
    for depth in (3, 4, 5, 7):
        sketch = CountMin.for_memory(2**15, depth=depth)
        sketch.update(stream)
        means[depth] = np.mean(sketch.estimate(np.arange(10_000)) - truth)
    assert means[3] < means[4] < means[5] < means[7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs either width"),
        ({"width": 9, "epsilon": 0.1}, "needs either width"),
        ({"epsilon": 0.1, "depth": 3}, "depth is given beside epsilon"),
        ({"width": 9, "delta": 0.1}, "delta is given beside width"),
        ({"width": 0}, "width is 0"),
        ({"width": -1}, "width is -1"),
        ({"width": 2.5}, "width is 2.5"),
        ({"width": True}, "width is True"),
        ({"width": 9, "depth": 17}, "depth is 17"),
        ({"width": 9, "depth": 0}, "depth is 0"),
        ({"epsilon": 0}, "epsilon is 0"),
        ({"epsilon": 1.0}, "epsilon is 1.0; at delta = 0.01, a number from 1.2e-12 to 1, exclusive, is accepted"),
        ({"epsilon": 1e-12}, "epsilon is 1e-12; at delta = 0.01"),
        ({"epsilon": -0.1, "delta": 0.5}, "epsilon is -0.1; at delta = 0.5, a number from 9.5e-13 to 1"),
        ({"epsilon": "0.1"}, "epsilon is '0.1'"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"epsilon": 0.1, "delta": 1}, "delta is 1"),
        (
            {"epsilon": 1e-300},
            r"epsilon is 1e-300; at delta = 0.01, a number from 1.2e-12 to 1, exclusive, is accepted",
        ),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        CountMin(**arguments)


def test_single_and_batch_answers_agree():
    sketch = CountMin(width=50, depth=3)
    items = [*range(100), "a", "b", (1, 2.5)]
    sketch.update(items, range(len(items)))
    batch = sketch.estimate(items)
    lower, upper = sketch.bounds(items)
    assert batch.dtype == np.int64
    for i, item in enumerate(items):
        one = sketch[item]
        assert (one, one.lower, one.upper, one.confidence) == (batch[i], lower[i], upper[i], 0.95)
        assert i <= upper[i]
    wide, _ = sketch.bounds(items, 0.999)
    assert (wide <= lower).all()
    # The least of three counters exceeds the excess with probability 0.05 if a share of 0.05**(1/3) of counters does.
    excess = (upper - lower)[lower > 0]
    assert len(excess)
    assert (excess == excess[0]).all()
    assert np.mean(sketch.counters > excess[0]) <= 0.05 ** (1 / 3) < np.mean(sketch.counters >= excess[0])
    proven, _ = sketch.bounds(items, guaranteed=True)
    assert (proven == np.maximum(0, upper - 0.05 ** (-1 / 3) / 50 * sketch.total)).all()
    assert sketch.estimate([]).shape == (0,)
    assert CountMin(width=5)["never"] == 0
    with pytest.raises(ValueError, match="nulls"):
        sketch[None]
    for confidence in (0, 1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="confidence is"):
            sketch.bounds([1], confidence)


def test_inner_product_is_never_too_small():
    left, right = CountMin(width=300, depth=4), CountMin(width=300, depth=4)
    rng = np.random.default_rng(4)
    a, b = rng.zipf(1.4, 5000) % 100, rng.zipf(1.4, 4000) % 100
    left.update(a)
    right.update(b)
    truth = int(np.bincount(a, minlength=100) @ np.bincount(b, minlength=100))
    found = left.inner(right)
    assert found.lower <= truth <= found == found.upper
    proven = left.inner(right, guaranteed=True)
    assert proven == found
    assert proven.lower == max(0, found - 0.05 ** (-1 / 4) / 300 * 5000 * 4000) < found.lower
    assert left.inner(left) >= (np.bincount(a) ** 2).sum()
    with pytest.raises(ValueError, match="width is 300 here and 299 there"):
        left.inner(CountMin(width=299, depth=4))
    with pytest.raises(ValueError, match="conservative is True"):
        CountMin(width=5, conservative=True).inner(CountMin(width=5, conservative=True))


def test_deletion_undoes_addition():
    sketch = CountMin(width=20, depth=2)
    sketch.update(["a", "b"], [5, 3])
    before = sketch.counters.copy()
    sketch.add("c", 7)
    sketch.add("c", -7)
    assert (sketch.counters == before).all()
    assert (sketch.total, sketch.weight) == (8, 22)


def test_more_deletions_than_additions_read_as_none():
    sketch = CountMin(width=20, depth=2)
    sketch.add("a", -5)
    assert sketch.counters.min() == -5
    found = sketch["a"]
    assert (found.lower, found, found.upper) == (0, 0, 0)
    lower, upper = sketch.bounds(["a", "b"])
    assert lower.tolist() == upper.tolist() == [0, 0]
    other = CountMin(width=20, depth=2)
    other.add("a", 3)
    found = sketch.inner(other)
    assert (found.lower, found, found.upper) == (0, 0, 0)


def test_conservative_counters_are_no_larger():
    stream = np.random.default_rng(5).zipf(1.2, 20_000) % 3000
    plain, conservative = CountMin(width=100), CountMin(width=100, conservative=True)
    plain.update(stream)
    conservative.update(stream)
    assert (conservative.counters <= plain.counters).all()
    assert (conservative.estimate(np.arange(3000)) >= np.bincount(stream, minlength=3000)).all()


def columns(hashes, row, width):
    return [(h * (mix64(row + 1) | 1) & 2**64 - 1) * width >> 64 for h in hashes.tolist()]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("width", [1, 3, 1000, 4096, 2**16 - 1])
def test_blocks_of_any_size_and_shape(depth, width):
    random = np.random.default_rng(depth)
    sketch, careful = CountMin(width=width, depth=depth), CountMin(width=width, depth=depth, conservative=True)
    table, least = np.zeros((depth, width), np.int64), np.zeros((depth, width), np.int64)
    for n in (0, 1, 7, 8, 63, 64, 65, 128, 200):
        hashes = random.integers(0, 2**64, n, np.uint64)
        hashes[n // 2 :] = hashes[: n - n // 2]  # the same items again, and not far apart
        counts = random.integers(-5, 2**40, n)
        rows = [columns(hashes, row, width) for row in range(depth)]
        sketch._insert(hashes, counts)
        sketch._insert(hashes, None)
        careful._insert(hashes, np.abs(counts))
        for row in range(depth):
            np.add.at(table[row], rows[row], counts + 1)
        for i in range(n):
            at = np.arange(depth), [row[i] for row in rows]
            least[at] = np.maximum(least[at], least[at].min() + abs(counts[i]))
        assert (sketch.counters == table).all()
        assert (careful.counters == least).all()
        found = np.empty(n, np.int64)
        sketch._ask(hashes, found.view(np.uint8))
        assert found.tolist() == [min(table[r, rows[r][i]] for r in range(depth)) for i in range(n)]


@pytest.mark.parametrize("width", [3, 97, 1000, 2**16 + 1, 2**20])
def test_first_and_last_hash_of_a_column(width):
    """Where the product's lower half decides, which it does for hardly any random hash."""
    firsts = [-(-column * 2**64 // width) for column in range(1, width, width // 50 + 1)]
    for row in range(4):
        inverse = pow(mix64(row + 1) | 1, -1, 2**64)
        hashes = np.array([(first - last) * inverse % 2**64 for first in firsts for last in (0, 1)] * 5, np.uint64)
        sketch = CountMin(width=width)
        sketch._insert(hashes, None)
        expected = np.bincount(columns(hashes, row, width), minlength=width)
        assert np.count_nonzero(expected) > len(firsts)
        assert (sketch.counters[row] == expected).all()


@pytest.mark.skipif(sys.platform != "linux", reason="needs memory that is not there until it is used")
@pytest.mark.parametrize("width", [2**32 - 1, 2**32, 2**32 + 1])
@pytest.mark.parametrize("conservative", [False, True])
def test_columns_of_more_than_32_bits(width, conservative):
    kernel = CountMinKernel()
    kernel._setup(1, width, conservative)
    kernel._open(Hasher())
    inverse = pow(mix64(1) | 1, -1, 2**64)  # so that hash * odd is 2**64 - 1: the last column
    hashes = np.array([inverse * (2**64 - 1) % 2**64, 0, 1, *range(2**63, 2**63 + 20)], np.uint64)
    assert columns(hashes[:1], 0, width) == [width - 1]
    assert len(set(columns(hashes, 0, width))) == len(hashes)
    counts = np.arange(1, len(hashes) + 1) * 50  # most outgrow a cell
    kernel._insert(hashes, counts)
    found = np.empty(len(hashes), np.int64)
    kernel._ask(hashes, found.view(np.uint8))
    assert (found == counts).all()
    assert kernel.counter_bytes == 1


@pytest.mark.parametrize("count", [2**27 + 1, 2**53 + 1, 2**60 + 1, 2**63 - 1])
def test_inner_is_never_too_small_beyond_the_integers_of_floats(count):
    sketch = CountMin(100)
    sketch.add("x", count)
    inner = sketch.inner(sketch)
    assert int(inner.lower) <= count**2 <= int(inner) <= int(inner.upper)
