"""Distances between two quantile sketches, beside SciPy's on the numbers themselves."""

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from sketches import Quantiles
from sketches.nn.statistics.distances import chance_distance, kolmogorov_smirnov, wasserstein

RANDOM = np.random.default_rng(1)
STREAMS = {
    "normal": RANDOM.normal(size=3000),
    "moved": RANDOM.normal(0.3, 1, size=2000),
    "rectified": np.maximum(RANDOM.normal(size=2500), 0),
    "heavy": RANDOM.standard_t(1.5, size=1500),
    "narrow": RANDOM.uniform(100, 100.2, size=1000),  # inside one bin
    "narrow too": RANDOM.uniform(100.1, 100.3, size=1200),
    "integers": RANDOM.integers(-5, 5, 800).astype(float),
    "one": np.full(9, 0.1),
    "another": np.full(9, -7.0),
    "tiny": RANDOM.normal(size=500) * 1e-300,
}


def sketch(numbers):
    values = Quantiles()
    values.update(np.asarray(numbers, np.float64))
    return values


@pytest.mark.parametrize("one", STREAMS)
@pytest.mark.parametrize("other", STREAMS)
def test_bounds_hold_and_are_as_narrow_as_promised(one, other):
    x, y = STREAMS[one], STREAMS[other]
    distance = kolmogorov_smirnov(sketch(x), sketch(y))
    truth = float(ks_2samp(x, y, method="asymp").statistic)
    assert distance.lower - 1e-12 <= truth <= distance.upper + 1e-12
    largest = max(sketch(z).bins()[1].max() / len(z) for z in (x, y))
    assert distance.upper - distance.lower <= largest + 1e-12
    assert distance == distance.lower
    moved = wasserstein(sketch(x), sketch(y))
    truth = float(wasserstein_distance(x, y))
    slack = 2**-8 * (np.abs(x).mean() + np.abs(y).mean()) + 1e-11 * truth
    rounding = 1e-12 * truth
    assert moved.lower - rounding <= truth <= moved.upper + rounding
    assert max(moved.upper - moved, moved - moved.lower) <= slack


def test_bounds_of_the_distance_are_reached():
    """Two numbers of one bin may be equal or not: the sketch knows neither, and its bounds include both."""
    x, y = sketch([100.0]), sketch([100.1])
    assert (x.bins()[0] == y.bins()[0]).all()
    found = kolmogorov_smirnov(x, y)
    assert (found.lower, found.upper) == (0.0, 1.0)
    assert kolmogorov_smirnov(sketch([0.0] * 3), sketch([0.0, 0.0, 5.0])).upper == pytest.approx(1 / 3)


def test_infinities_are_left_out_and_emptiness_is_unknown():
    x = sketch([1.0, 2.0, math.inf, -math.inf, math.nan])
    assert kolmogorov_smirnov(x, sketch([1.0, 2.0])).lower == 0
    assert wasserstein(x, sketch([1.0, 2.0])).lower == 0
    for empty in (sketch([]), sketch([math.inf])):
        for distance in (kolmogorov_smirnov, wasserstein):
            found = distance(x, empty)
            assert math.isnan(found)
            assert math.isnan(found.lower)
            assert math.isnan(found.upper)


def test_the_largest_numbers_do_not_overflow_into_nan():
    found = wasserstein(sketch([-1e308, 1.0]), sketch([1e308]))
    assert not math.isnan(found.upper)


def test_different_errors_are_refused():
    with pytest.raises(ValueError, match=r"the relative errors are 0\.00390625 and 0\.125"):
        kolmogorov_smirnov(Quantiles(), Quantiles(0.125))


def test_chance():
    """The formula by hand, and that streams from one source stay below it.

    With confidence 0.9, at most 10 % of pairs may exceed it; of 200 pairs that is 20, and 5 standard errors above are
    20 + 5 * sqrt(200 * 0.1 * 0.9) = 41. The bound is far from tight, so that none is expected; half of it must be
    exceeded by some, or the test could not fail.
    """
    assert chance_distance((100, 400)) == pytest.approx(1.5 * math.sqrt(math.log(3800) / 1.8) / 10)
    assert math.isnan(chance_distance((0, 5)))
    assert chance_distance((1, 1)) == 1
    for confidence in (0.0, 1.0, 2.0):
        with pytest.raises(ValueError, match="confidence is"):
            chance_distance((5, 5), confidence)
    random = np.random.default_rng(2)
    limit, found = chance_distance((300, 300), 0.9), []
    for _ in range(200):
        x, y = (np.repeat(random.normal(size=300), 4) for _ in range(2))  # four units that are copies of each other
        found.append(float(kolmogorov_smirnov(sketch(x), sketch(y)).lower))
    assert sum(distance > limit for distance in found) <= 41
    assert max(found) > limit / 2
