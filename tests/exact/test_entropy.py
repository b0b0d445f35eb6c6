"""Entropy: its random numbers, its sums, its queries."""

import math

import numpy as np
import pytest
from scipy.stats import gamma

from sketches import Entropy, FormatError
from sketches.core.bounds import gamma_quantile
from sketches.core.skewed_stable import BINS, UNIT, ZOOMS, _angle, _log_wait, tables


def mean_of_exp(table, t, first=0):
    """Give BINS times the mean of exp(t x), over x on the straight lines between the entries from `first` on."""
    left, right = t / UNIT * table[first:-1], t / UNIT * table[first + 1 :]
    step = right - left
    curved = np.abs(step) > 1e-4
    return np.where(
        curved, (np.exp(right) - np.exp(left)) / np.where(curved, step, 1), np.exp((left + right) / 2)
    ).sum()


@pytest.mark.parametrize("t", [1, 0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7])
def test_random_numbers_have_the_moments_of_theory(t):
    """E exp(t R) = t^t, so that an item of share t adds t log t; of all items together, at most 1e-4 nats are wrong."""
    angles, waits = tables()
    of_angle = sum(mean_of_exp(angles[z], t, BINS // 64 if z < ZOOMS - 1 else 0) / BINS / 64**z for z in range(ZOOMS))
    of_wait = mean_of_exp(waits, t) / BINS
    assert abs(math.log(of_angle * of_wait) - t * math.log(t)) <= 1e-4 * t


def test_tables_round_the_same_way_everywhere():
    """No value lies within 1e-7 units of where rounding turns; libraries of mathematics err by far less than that."""

    def margin(values):
        return np.abs(np.array(values) * UNIT % 1 - 0.5).min()

    assert margin([_log_wait(i / BINS) for i in range(BINS + 1)]) > 1e-7
    steep = [i / BINS / 64**z for z in range(ZOOMS) for i in range(1, BINS + 1) if i / BINS / 64**z <= 1 / BINS]
    assert margin([1 + math.log(u) + u * (1 + math.pi**2 / 3) for u in steep]) > 1e-7
    others = [i / BINS / 64**z for z in (0, 1) for i in range(1, BINS + 1) if 1 / BINS < i / BINS / 64**z < 1]
    angles = [math.pi * (1 - u) for u in others]
    assert margin([a / math.tan(a) + math.log(math.sin(a) / a) for a in angles]) > 1e-7


def test_steep_part_continues_the_other():
    u = 1 / BINS
    assert abs(_angle(u) - _angle(u * (1 + 1e-12))) <= 1


def test_counts_that_do_not_fit_64_bits_are_exact():
    sketch = Entropy(16)
    sketch.add("x", 1)
    once = sketch.sums()
    sketch.update(["x", "x", "x"], [2**62, -(2**61), 2**13])
    assert sketch.sums() == [value * (1 + 2**61 + 2**13) for value in once]


def test_what_is_taken_back_leaves_no_trace():
    sketch = Entropy(100, seed=3)
    sketch.update(range(2000))
    rest = Entropy(100, seed=3)
    rest.update(range(1500))
    sketch.update(range(1500, 2000), [-1] * 500)
    assert sketch.sums() == rest.sums()
    assert sketch.entropy() == rest.entropy()


def test_one_item_has_no_entropy_and_bounds_stay_in_range():
    sketch = Entropy(64)
    sketch.add("only", 1000)
    estimate = sketch.entropy()
    assert 0 <= estimate.lower <= estimate <= estimate.upper < 1.5
    sketch = Entropy(64)
    sketch.add("once")
    assert (sketch.entropy().lower, sketch.entropy().upper) == (0, 0)  # a total of 1: at most one item


def test_base_is_the_logarithms():
    sketch = Entropy()
    sketch.update(range(256))
    nats, bits = sketch.entropy(), sketch.entropy(base=2)
    assert bits == pytest.approx(nats / math.log(2))
    assert bits.standard_error == pytest.approx(math.sqrt(3 / 1024) / math.log(2))


def test_size_follows_from_error_and_memory():
    assert Entropy(error=0.1).k == 300  # 3 / 0.1**2
    assert Entropy(error=0.9).k == 16
    assert Entropy.for_memory(1607).k == 100
    assert Entropy.for_memory(1607).nbytes == 1600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 15}, r"k is 15; an integer in \[16, 1048576\]"),
        ({"k": 20, "error": 0.1}, "k is given beside error"),
        ({"error": 0.001}, "error is 0.001; at least 0.0017 is accepted"),
        ({"error": 1}, r"error is 1; a number in \(0, 1\)"),
    ],
)
def test_impossible_sizes_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Entropy(**options)


def test_entropy_of_nothing_is_refused():
    with pytest.raises(ValueError, match="total count is 0"):
        Entropy().entropy()


@pytest.mark.parametrize("base", [1, 0, -2, math.inf, math.nan])
def test_impossible_bases_are_refused(base):
    sketch = Entropy()
    sketch.add(1)
    with pytest.raises(ValueError, match="base is"):
        sketch.entropy(base)
    with pytest.raises(TypeError, match="base is '2'"):
        sketch.entropy("2")


def test_sums_that_no_stream_has_are_refused():
    sketch = Entropy(16)
    sketch.update(range(10))
    sketch.words[3, 1] = 2**62
    with pytest.raises(FormatError, match="sums exceed the total count"):
        Entropy.from_bytes(sketch.to_bytes())


@pytest.mark.parametrize(("shape", "error"), [(16 / 3, 0.03), (64 / 3, 0.005), (1024 / 3, 0.0001)])
def test_gamma_quantiles(shape, error):
    """The cube root is nearly normal, the more so the larger the shape; 16 / 3 is the least in use."""
    for tail in (0.005, 0.025, 0.25):
        for upper in (False, True):
            exact = gamma.ppf(1 - tail if upper else tail, shape) / shape
            assert gamma_quantile(shape, tail, upper) == pytest.approx(exact, rel=error)
