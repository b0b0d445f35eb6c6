"""AMS: its arithmetic, its exact answers, and what it refuses."""

import math
import sys
from operator import mul

import numpy as np
import pytest

from sketches import AMS, Estimate, FormatError, plain
from sketches._ext.ams import AMSKernel
from sketches._ext.hashing import Hasher
from sketches.core import bounds, wire
from sketches.core.collisions import exceeded_by, product_errors, turned

P = 2**61 - 1
EDGES = [0, 1, 2**31 - 1, 2**31, 2**30, 2**60, P - 1, P, P + 1, 2**61, 2 * P, 7 * P, 8 * P, 2**63, 2**64 - 1]


def kernel(width: int, coefficients) -> AMSKernel:
    result = AMSKernel()
    result._setup(width, np.array(coefficients, np.uint64))
    result._open(Hasher())
    return result


@pytest.mark.parametrize("width", [1, 2, 3, 1000, 2**16 + 1])
def test_polynomials_at_the_edges_of_the_arithmetic(width):
    random = np.random.default_rng(3)
    numbers = [0, 1, 2**31 - 1, 2**31, 2**60 - 1, P - 1]
    coefficients = [
        [P - 1] * 4,
        [0] * 4,
        *random.choice(numbers, (7, 4)).tolist(),
        *random.integers(0, P, (6, 4)).tolist(),
    ]
    hashes = EDGES + random.integers(0, 2**64, 200, np.uint64).tolist()
    sketch = kernel(width, coefficients)
    sketch._insert(np.array(hashes, np.uint64), np.arange(1, len(hashes) + 1))
    expected = np.zeros((15, width), np.int64)
    for count, x in enumerate(hashes, 1):
        for row, (a, b, c, d) in enumerate(coefficients):
            value = (a * x**3 + b * x**2 + c * x + d) % P
            expected[row, (value >> 1) * width >> 60] += -count if value & 1 else count
    assert (sketch.counters == expected).all()


@pytest.mark.parametrize("width", [1, 3, 97, 1000, 4096, 2**16 + 1])
def test_first_and_last_value_of_a_bucket(width):
    firsts = [2 * -(-bucket * 2**60 // width) for bucket in range(0, width, width // 50 + 1)]
    values = [first + step for first in firsts for step in (-2, -1, 0, 1) if first + step >= 0] * 5
    sketch = kernel(width, [[0, 0, 1, 0]])  # the polynomial is x, so that hashes below p are values
    sketch._insert(np.array(values, np.uint64), None)
    expected = np.zeros(width, np.int64)
    for value in values:
        expected[(value >> 1) * width >> 60] += -1 if value & 1 else 1
    assert (sketch.counters[0] == expected).all()


@pytest.mark.skipif(sys.platform != "linux", reason="needs memory that is not there until it is used")
def test_the_widest_table():
    sketch = AMSKernel()
    sketch._setup(2**32, np.array([[0, 0, 1, 0]], np.uint64))
    sketch._open(Hasher())
    values = [P - 1, P - 2, 0, *range(2**60 + 1, 2**61, 2**56)]  # the polynomial is x, so values are hashes
    sketch._insert(np.array(values, np.uint64), np.arange(1, len(values) + 1))
    sketch._insert(np.array([1], np.uint64), np.array([70]))
    asked = [*values[3:], P - 1, 0]
    found = np.empty(len(asked), np.int64)
    sketch._ask(np.array(asked, np.uint64), found.view(np.uint8))
    assert found.tolist() == [*range(4, len(values) + 1), 1 - 2, 3 - 70]


@pytest.mark.parametrize("size", [1, 15, 16, 17, 33, 127, 128, 129, 1000])
def test_batches_of_any_size_equal_single_adds(size):
    one, all_at_once = AMS(50, 7), AMS(50, 7)
    all_at_once.update(range(size))
    for item in range(size):
        one.add(item)
    assert one == all_at_once
    assert one.estimate(range(size)).tolist() == [all_at_once[item] for item in range(size)]


def test_estimates_equal_the_twin():
    stream = (np.random.default_rng(1).zipf(1.3, 3000) % 300).tolist()
    sketch, twin = AMS(64, 5), plain.AMS(64, 5)
    sketch.update(stream)
    for item in stream:
        twin.add(item)
    assert sketch.estimate(range(300)).tolist() == [twin[item] for item in range(300)]
    for method in ("median", "mean"):
        assert sketch.second_moment(method) == pytest.approx(twin.second_moment(method))


def test_one_item_is_exact():
    first, second = AMS(), AMS()
    first.add("x", -70)
    second.add("x", 3)
    for method in ("median", "mean"):
        moment = first.second_moment(method)
        assert moment == 4900.0
        assert moment.lower <= 4900 <= moment.upper
        assert moment.upper - moment.lower < 1e-6
    assert first.inner(second) == -210.0
    assert first["x"] == -70
    assert isinstance(first["x"], Estimate)
    assert first.estimate(["x"], threshold=True).tolist() == [-70]


def test_deletion_leaves_nothing():
    sketch = AMS(20, 3)
    sketch.update(range(100), range(100))
    sketch.update(range(100), [-i for i in range(100)])
    assert not sketch.counters.any()
    assert (sketch.total, sketch.weight) == (0, 9900)
    assert sketch.second_moment() == sketch.inner(sketch) == sketch[5] == 0


def test_threshold_drops_noise_and_keeps_what_stands_out():
    sketch = AMS(256, 5)
    sketch.update(range(10_000))
    sketch.add("heavy", 5000)
    # A counter sums 10,000 / 256 = 39 signs: the noise has a standard deviation of 6.25, three of them are 19, and the
    # median of five rows exceeds them far more rarely than once in 10,000.
    rare = sketch.estimate(range(1000), threshold=True)
    assert np.count_nonzero(rare) <= 1
    assert np.count_nonzero(sketch.estimate(range(1000))) > 800
    assert abs(sketch.estimate(["heavy"], threshold=True)[0] - 5000) < 40


def test_bounds_follow_from_the_rows():
    for depth in range(1, 16, 2):
        q = bounds.ams_row_failure(depth, 0.01)
        tail = sum(math.comb(depth, r) * q**r * (1 - q) ** (depth - r) for r in range(depth // 2 + 1, depth + 1))
        assert tail == pytest.approx(0.01)
    assert bounds.ams_row_failure(1, 0.05) == pytest.approx(0.05)
    sketch = AMS(100, 1)
    sketch.update(range(1000))
    moment = sketch.second_moment(confidence=0.9, guaranteed=True)
    epsilon = math.sqrt(2 / (100 * 0.1))
    assert moment.lower == pytest.approx(moment / (1 + epsilon))
    assert moment.upper == pytest.approx(moment / (1 - epsilon))
    assert sketch.second_moment(confidence=0.99, guaranteed=True).upper == 1000**2  # epsilon is 1.4; F2 <= weight**2
    wide = AMS(1000, 5)
    wide.update(range(1000))
    mean = wide.second_moment("mean", confidence=0.9, guaranteed=True)
    assert mean.upper == pytest.approx(mean / (1 - math.sqrt(2 / (5000 * 0.1))))


def test_bounds_are_quantiles_of_the_counters():
    sketch = AMS(1000, 5)
    sketch.update((np.random.default_rng(2).zipf(1.3, 10_000) % 2000).tolist())
    lower, upper = sketch.bounds(range(50), 0.9)
    excess = (upper - lower) / 2
    assert (excess == excess[0]).all()
    assert ((lower + upper) / 2).tolist() == sketch.estimate(range(50)).tolist()
    # Three of five rows must be off to one side, with probability 0.05.
    q = bounds.ams_row_failure(5, 0.05)
    above = np.mean(np.abs(sketch.counters) > excess[0])
    assert above <= 2 * q < np.mean(np.abs(sketch.counters) >= excess[0])
    one = sketch[7]
    assert one.lower == sketch.bounds([7])[0][0]
    wide = sketch.bounds([7], guaranteed=True)
    assert wide[0][0] < one.lower < one.upper < wide[1][0]


def convolved(a: list[int], b: list[int], k: int) -> float:
    """The sum over pairs of columns that add up to k; for one with itself, the mean product of two different ones."""
    width = len(a)
    different = (sum(a) * sum(b) - sum(map(mul, a, b))) / max(1, width * (width - 1))
    return sum(a[c] * b[(k - c) % width] if (k - c) % width != c else different for c in range(width))


@pytest.mark.parametrize("width", [1, 2, 3, 8, 9, 50])
def test_errors_of_products_are_convolutions(width):
    random = np.random.default_rng(width)
    a, b = random.integers(-9, 9, (2, width)), random.integers(-9, 9, (2, width))
    for first, second in ((a, b), (a, a)):
        found = product_errors(first.astype(float), second.astype(float))
        expected = [
            [convolved(x.tolist(), y.tolist(), k) for k in range(width)] for x, y in zip(first, second, strict=True)
        ]
        assert found == pytest.approx(np.array(expected), abs=1e-9)


def test_shares_of_draws():
    values = np.array([[5, 1], [3, 3]])
    assert [exceeded_by(values, share) for share in (0, 0.24, 0.25, 0.5, 0.75, 0.99)] == [5, 5, 3, 3, 1, 1]
    draws = turned(np.arange(6.0).reshape(2, 3))
    assert draws.shape == (2, 24)
    assert all(
        sorted(row.tolist()) == sorted(np.repeat(part, 8).tolist())
        for row, part in zip(draws, [[0, 1, 2], [3, 4, 5]], strict=True)
    )
    assert turned(np.zeros((3, 2**16 + 1))).shape == (3, 2**16 + 1)


def test_cosine_and_distance():
    first, second, empty = AMS(512, 5), AMS(512, 5), AMS(512, 5)
    first.update(range(100), [10] * 100)
    second.update(range(100), [30] * 100)
    assert first.cosine(second) == pytest.approx(1)
    assert first.cosine(second).lower > 0.999
    assert first.cosine(second).upper == 1
    assert first.cosine(first) == first.inner(first) / first.second_moment() == 1
    # 20 more of each of 100 items: the root of 100 * 20**2, give or take sqrt(2 / 512 / 5), of which a half.
    distance = first.distance(second)
    assert distance.lower <= 200 <= distance.upper
    assert abs(distance - 200) <= 5 * 200 * math.sqrt(2 / 512 / 5 * math.pi / 2) / 2
    wide = first.distance(second, guaranteed=True)
    assert wide.lower < distance.lower < distance.upper < wide.upper
    same = first.distance(first)
    assert (same, same.lower, same.upper, same.standard_error) == (0, 0, 0, 0)
    nothing = first.cosine(empty)
    assert (nothing, empty.cosine(empty), empty.distance(empty)) == (0, 0, 0)
    negative = AMS(512, 5)
    negative.update(range(100), [-1] * 100)
    assert first.cosine(negative) == pytest.approx(-1)
    with pytest.raises(ValueError, match="seed=1"):
        first.cosine(AMS(512, 5, seed=1))
    with pytest.raises(ValueError, match="width is 512 here and 513 there"):
        first.distance(AMS(513, 5))


def test_an_empty_sketch_has_empty_bounds():
    for sketch in (AMS(), AMS(1, 1), AMS(3, 3)):
        for guaranteed in (False, True):
            for found in (
                sketch["x"],
                sketch.second_moment(guaranteed=guaranteed),
                sketch.second_moment("mean", guaranteed=guaranteed),
                sketch.inner(sketch, guaranteed=guaranteed),
                sketch.distance(sketch, guaranteed=guaranteed),
            ):
                assert (found.lower, found, found.upper) == (0, 0, 0)
            lower, upper = sketch.bounds(["x"], guaranteed=guaranteed)
            assert lower == upper == 0


@pytest.mark.parametrize("error", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_shape_keeps_the_error_with_fewest_counters(error, confidence):
    sketch = AMS(error=error, confidence=confidence)
    delta = 1 - confidence
    assert sketch.depth % 2 == 1
    assert bounds.ams_error(sketch.width, sketch.depth, delta) <= error
    for depth in range(1, 16, 2):
        width = (sketch.width * sketch.depth - 1) // depth
        assert bounds.ams_error(width, depth, delta) > error


def test_default_and_memory():
    assert (AMS().width, AMS().depth) == (1024, 5)
    assert (AMS(error=0.1).width, AMS(error=0.1).depth) == bounds.ams_shape(0.1, 0.05)
    assert bounds.ams_error(*bounds.ams_shape(4e-5, 0.05), 0.05) <= 4e-5  # too wide a table with fewer rows
    with pytest.raises(
        ValueError, match=r"error is 1e-300; at confidence 0.95, a number from 3.9e-05 to 1, exclusive, is accepted"
    ):
        AMS(error=1e-300)
    sketch = AMS.for_memory(1000, depth=3, seed=4)
    assert (sketch.width, sketch.depth, sketch.nbytes, sketch.hasher.seed) == (41, 3, 123, 4)
    assert "width=41, depth=3" in repr(sketch)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"width": 0}, ValueError, "width is 0"),
        ({"width": 2**32 + 1}, ValueError, "width is"),
        ({"width": 1.0}, TypeError, "width is 1.0"),
        ({"depth": 4}, ValueError, "depth is 4; an odd number"),
        ({"depth": 17}, ValueError, "depth is 17"),
        ({"width": 5, "error": 0.1}, TypeError, "error is given beside"),
        ({"depth": 5, "error": 0.1}, TypeError, "error is given beside"),
        ({"confidence": 0.9}, TypeError, "confidence is given without error"),
        (
            {"error": 1.5},
            ValueError,
            "error is 1.5; at confidence 0.95, a number from 3.9e-05 to 1, exclusive, is accepted",
        ),
        ({"error": 0, "confidence": 0.5}, ValueError, "error is 0; at confidence 0.5, a number from"),
        ({"error": "0.1"}, TypeError, "error is '0.1'; at confidence"),
        ({"error": 0.1, "confidence": 1}, ValueError, "confidence is 1"),
    ],
)
def test_invalid_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        AMS(**arguments)


def test_invalid_queries():
    sketch = AMS(10, 3)
    sketch.add(1)
    with pytest.raises(ValueError, match="method is 'mode'"):
        sketch.second_moment("mode")
    with pytest.raises(ValueError, match="confidence is 2"):
        sketch.second_moment(confidence=2)
    with pytest.raises(ValueError, match="confidence is 0"):
        sketch.inner(sketch, confidence=0)
    with pytest.raises(ValueError, match="seed=1"):
        sketch.inner(AMS(10, 3, seed=1))
    with pytest.raises(ValueError, match="nulls"):
        sketch.estimate([None])
    with pytest.raises(ValueError, match="nbytes is 10"):
        AMS.for_memory(10)
    with pytest.raises(ValueError, match="depth is 2"):
        AMS.for_memory(1000, depth=2)


def test_kernel_refuses_what_it_cannot_hold():
    coefficients = np.zeros((3, 4), np.uint64)
    for width, depth in ((5, 2), (5, 17), (0, 3)):
        with pytest.raises(ValueError, match="a table of"):
            AMSKernel()._setup(width, np.zeros((depth, 4), np.uint64))
    with pytest.raises(ValueError, match="coefficients of 3x3"):
        AMSKernel()._setup(5, np.zeros((3, 3), np.uint64))
    with pytest.raises(ValueError, match=str(P)):
        AMSKernel()._setup(5, coefficients + np.uint64(P))
    with pytest.raises(ValueError, match="8 bytes for answers of 16"):
        AMS()._ask(np.zeros(2, np.uint64), np.zeros(8, np.uint8))


def test_total_count_is_guarded():
    sketch = AMS(2, 1)
    sketch.add("x", 2**63 - 1)
    with pytest.raises(OverflowError):
        sketch.add("x", -1)
    with pytest.raises(OverflowError):
        sketch.update(["x"], [-1])
    assert sketch["x"] == float(2**63 - 1)
    assert sketch.estimate(["x"]).tolist() == [2**63 - 1]
    assert AMS.from_bytes(sketch.to_bytes()) == sketch


GOOD = {"depth": 1, "width": 2, "counter_bytes": 1, "cells": [0, 255], "places": [], "values": []}


@pytest.mark.parametrize(
    ("changes", "total", "message"),
    [
        ({"depth": 2}, 1, "depth is 2, an even number"),
        ({"depth": 16}, 1, "depth is 16"),
        ({"width": 2**33}, 1, "width is"),
        ({"width": 3}, 1, "2 counters for a table of 1 × 3"),
        ({"cells": [2, 0]}, 1, "counters exceed"),
        ({"cells": [255, 1]}, 1, "counters exceed"),
        ({"cells": [0, 0]}, 1, "a row's sum"),
    ],
)
def test_bytes_that_no_sketch_writes(changes, total, message):
    good = wire.encode("AMS", wire.Envelope(1, 0, 1, 1, 0), GOOD)
    assert AMS.from_bytes(good).to_bytes() == good
    assert AMS.from_bytes(good).counters.tolist() == [[0, -1]]
    with pytest.raises(FormatError, match=message):
        AMS.from_bytes(wire.encode("AMS", wire.Envelope(1, 0, total, abs(total), 0), GOOD | changes))


@pytest.mark.parametrize(
    ("changes", "total", "message"),
    [
        ({"counters": [2, 0]}, 1, "counters exceed"),
        ({"counters": [-(2**63), 0]}, 1, "counters exceed"),
        ({"counters": [0, 0]}, 1, "a row's sum"),
        ({"counters": [0, 0, 1]}, 1, "3 counters for a table of 1 × 2"),
    ],
)
def test_bytes_of_the_first_layout(changes, total, message):
    fields = {"depth": 1, "width": 2, "counters": [0, -1]}
    good = wire.encode("AMS", wire.Envelope(1, 0, 1, 1, 0, 4), fields)
    assert AMS.from_bytes(good).counters.tolist() == [[0, -1]]
    with pytest.raises(FormatError, match=message):
        AMS.from_bytes(wire.encode("AMS", wire.Envelope(1, 0, total, abs(total), 0, 4), fields | changes))


def test_tug_of_war_is_exact_for_one_item_and_near_for_more():
    sketch = plain.TugOfWar(groups=3, size=100, seed=1)
    sketch.add(None)
    assert sketch.second_moment() == 0
    sketch.add("x", -4)
    assert sketch.second_moment() == 16
    for item in range(30):
        sketch.add(item, 4)
    # F2 = 31 * 16 = 496; a group's standard error is at most sqrt(2 / 100) of it, 70.
    assert abs(sketch.second_moment() - 496) <= 5 * 70


@pytest.mark.parametrize("count", [2**53 + 1, 2**60 + 1, -(2**62) - 1, 2**62 + 2**9 - 1, 2**63 - 1])
def test_bounds_hold_beyond_the_integers_of_floats(count):
    sketch = AMS()
    sketch.add("x", count)
    ((lower,), (upper,)) = sketch.bounds(["x"])
    for least, most in ((lower, upper), (sketch["x"].lower, sketch["x"].upper)):
        assert int(least) <= count <= int(most)
    for options in ({}, {"method": "mean"}, {"guaranteed": True}):
        moment = sketch.second_moment(**options)
        assert int(moment.lower) <= count**2 <= int(moment.upper)
