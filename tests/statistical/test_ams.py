"""AMS: every row is unbiased and has the variance of theory; medians and bounds follow."""

import numpy as np
import pytest

from sketches import AMS
from sketches._ext.ams import AMSKernel
from sketches._ext.hashing import Hasher

WIDTH, DEPTH, REPLICAS = 64, 15, 80
ROWS = DEPTH * REPLICAS
ITEMS = np.arange(1000)
# The kurtosis of a row of ideal random buckets and signs, from 20,000 simulated ones (rounded up).
STREAMS = {
    "uniform": (np.full(1000, 4), 3.5),
    "flat Zipf": ((2000 / (ITEMS + 1) ** 0.5).astype(int), 3.5),
    "Zipf": (2000 // (ITEMS + 1), 11.0),
}


def check_moments(errors: np.ndarray, kurtosis: float) -> None:
    """Check that errors divided by their theoretical standard error have mean 0 and variance 1.

    The mean of n has the standard error 1 / sqrt(n), their mean square sqrt((kurtosis - 1) / n): with n = 1,200 the
    limits are 0.14 standard errors, and 0.23 for a kurtosis of 3.5 or 0.46 for one of 11. With all signs +1 the mean
    would be off by F1² / F2 / width, many standard errors.
    """
    assert abs(errors.mean()) <= 5 / len(errors) ** 0.5
    assert abs((errors**2).mean() - 1) <= 5 * ((kurtosis - 1) / len(errors)) ** 0.5


@pytest.fixture(params=STREAMS, scope="module")
def replicas(request):
    """The counts of a stream, the kurtosis, and its sketches under many seeds."""
    counts, kurtosis = STREAMS[request.param]
    sketches = [AMS(WIDTH, DEPTH, seed=seed) for seed in range(REPLICAS)]
    for sketch in sketches:
        sketch.update(ITEMS, counts)
    return counts.astype(float), kurtosis, sketches


def test_rows_estimate_the_second_moment(replicas):
    f, kurtosis, sketches = replicas
    f2, f4 = (f**2).sum(), (f**4).sum()
    rows = np.concatenate([(sketch.counters.astype(float) ** 2).sum(axis=1) for sketch in sketches])
    check_moments((rows - f2) / np.sqrt(2 / WIDTH * (f2**2 - f4)), kurtosis)


def test_mean_and_median_keep_their_standard_errors(replicas):
    f, _, sketches = replicas
    f2, f4 = (f**2).sum(), (f**4).sum()
    row = np.sqrt(2 / WIDTH * (f2**2 - f4))
    means = np.array([sketch.second_moment("mean") for sketch in sketches])
    # Of 15 rows the kurtosis is 3 + (11 - 3) / 15 < 4: the mean square of 80 has a standard error of sqrt(3 / 80).
    assert abs(means.mean() - f2) <= 5 * row / ROWS**0.5
    assert abs((((means - f2) / row) ** 2).mean() * DEPTH - 1) <= 5 * (3 / REPLICAS) ** 0.5
    # The median's error is at most that of a normal distribution; its limit is as for the mean.
    medians = [sketch.second_moment() for sketch in sketches]
    theory = np.sqrt(np.pi / (2 * DEPTH)) * row
    assert (((np.array(medians) - f2) / theory) ** 2).mean() <= 1 + 5 * (3 / REPLICAS) ** 0.5
    # The errors stated come from 960 draws a sketch, of which those with one large counter go together. Their squares
    # vary by less than a half from sketch to sketch: the mean of 80 by less than 0.056. Errors of half the draws would
    # be off by a half.
    stated = np.array([median.standard_error for median in medians])
    assert ((stated / theory) ** 2).std() <= 0.5
    assert abs(((stated / theory) ** 2).mean() - 1) <= 5 * 0.056


def test_bounds_hold_more_often_than_promised(replicas):
    f, _, sketches = replicas
    f2 = (f**2).sum()
    # Chebyshev's bounds are generous: even at 50 % they fail in far fewer than a quarter of replicas.
    for method in ("median", "mean"):
        moments = [sketch.second_moment(method, confidence=0.5, guaranteed=True) for sketch in sketches]
        assert np.mean([moment.lower <= f2 <= moment.upper for moment in moments]) >= 0.75
    for item in (0, 500):
        pairs = [sketch.bounds([item], guaranteed=True) for sketch in sketches]
        assert np.mean([lower[0] <= f[item] <= upper[0] for lower, upper in pairs]) >= 0.95


def test_rows_estimate_inner_products(replicas):
    f, _, sketches = replicas
    g = np.roll(f, 100)
    product, f2 = (f * g).sum(), (f**2).sum()
    variance = (f2 * f2 + product**2 - 2 * (f * f * g * g).sum()) / WIDTH
    rows, inside, medians = [], [], []
    for seed, sketch in enumerate(sketches):
        other = AMS(WIDTH, DEPTH, seed=seed)
        other.update(ITEMS, g.astype(int))
        rows.append((sketch.counters.astype(float) * other.counters).sum(axis=1))
        estimate = sketch.inner(other, guaranteed=True)
        inside.append(estimate.lower <= product <= estimate.upper)
        medians.append((estimate - product) / np.sqrt(np.pi / (2 * DEPTH) * (f2 * f2 + product**2) / WIDTH))
    check_moments((np.concatenate(rows) - product) / np.sqrt(variance), 11.0)
    assert np.mean(inside) >= 0.95
    assert np.mean(np.square(medians)) <= 1 + 5 * (3 / REPLICAS) ** 0.5


@pytest.mark.parametrize("item", [0, 500])
def test_rows_estimate_counts(item):
    # A row's signed counter is the count plus signed counts of those 999 / 64 items that share it: nearly normal.
    counts, _ = STREAMS["uniform"]
    errors = []
    for seed in range(ROWS):
        sketch = AMS(WIDTH, 1, seed=seed)
        sketch.update(ITEMS, counts)
        errors.append(sketch.estimate([item])[0] - counts[item])
    f2 = float((counts**2).sum())
    check_moments(np.array(errors) / np.sqrt((f2 - counts[item] ** 2) / WIDTH), 3.5)


def test_polynomials_are_independent_in_fours():
    # Straight to the kernel, with hashes that are as regular as can be: 0, 1, 2, …. Only the coefficients are random.
    # Polynomials of degree 1 are independent in pairs alone: still unbiased, but the buckets of consecutive numbers are
    # evenly filled and their signs follow a pattern, so that the variance is another one.
    random = np.random.default_rng(11)
    errors = {3: [], 1: []}
    n = len(ITEMS)
    for degree, found in errors.items():
        for _ in range(REPLICAS):
            coefficients = random.integers(0, 2**61 - 1, (DEPTH, 4), np.uint64)
            coefficients[:, : 3 - degree] = 0
            kernel = AMSKernel()
            kernel._setup(WIDTH, coefficients)
            kernel._open(Hasher())
            kernel._insert(ITEMS.astype(np.uint64), None)
            found.extend((kernel.counters.astype(float) ** 2).sum(axis=1))
    standard_error = np.sqrt(2 / WIDTH * (n**2 - n))
    check_moments((np.array(errors[3]) - n) / standard_error, 3.5)
    with pytest.raises(AssertionError):
        check_moments((np.array(errors[1]) - n) / standard_error, 3.5)
