"""Count-Min's two promises, and the arithmetic of the test that a broken estimator fails."""

import numpy as np
import pytest

from sketches import CountMin

REPLICAS, N, DISTINCT = 200, 20_000, 5_000


def excesses(**options) -> np.ndarray:
    """(estimate - truth) of item 0 in REPLICAS seeded sketches of one uniform stream."""
    stream = np.arange(N) % DISTINCT
    found = []
    for seed in range(REPLICAS):
        sketch = CountMin(seed=seed, **options)
        sketch.update(stream)
        found.append(sketch[0] - N // DISTINCT)
    return np.array(found)


@pytest.mark.parametrize("conservative", [False, True])
def test_never_too_small(conservative):
    sketch = CountMin(width=200, depth=3, conservative=conservative)
    stream = np.random.default_rng(1).zipf(1.3, N) % DISTINCT
    sketch.update(stream)
    truth = np.bincount(stream, minlength=DISTINCT)
    assert (sketch.estimate(np.arange(DISTINCT)) >= truth).all()


def test_one_row_has_the_expected_excess():
    # In one row the excess is a sum over the other DISTINCT - 1 items, each there with probability 1/width and then
    # with its count c = N/DISTINCT: mean c (D-1)/w, variance c² (D-1)/w (1-1/w). Twenty fewer columns would shift the
    # mean from 100 to 111: by 7.9 standard errors, sqrt(398 / 200) = 1.41, of the mean of 200 replicas.
    width, c = 200, N / DISTINCT
    mean, variance = c * (DISTINCT - 1) / width, c**2 * (DISTINCT - 1) / width * (1 - 1 / width)
    error = excesses(width=width, depth=1).mean() - mean
    assert abs(error) <= 5 * (variance / REPLICAS) ** 0.5


def test_rows_are_independent():
    # 200 items that are not asked for, in 200 columns: a row keeps an absent item's counter at 0 with probability
    # p = (1 - 1/200)**200 = 0.367, and one of three independent rows does with 1 - (1 - p)**3 = 0.746. Over 400
    # replicas five standard errors are 5 sqrt(0.746 * 0.254 / 400) = 0.109; two rows would give 0.599, three equal
    # ones 0.367.
    width, depth, replicas = 200, 3, 400
    clean = 0
    for seed in range(replicas):
        sketch = CountMin(width=width, depth=depth, seed=seed)
        sketch.update(np.arange(1, width + 1))
        clean += sketch[0] == 0
    expected = 1 - (1 - (1 - 1 / width) ** width) ** depth
    assert abs(clean / replicas - expected) <= 5 * (expected * (1 - expected) / replicas) ** 0.5


def test_bounds_hold_with_their_confidence():
    # On a skewed stream the excess comes from few heavy items, where Markov's bound is least loose. The bound must be
    # kept in a share of at least 1 - delta = 0.8 of 200 replicas; it is an upper bound on the failures, not an
    # estimate.
    stream = np.random.default_rng(6).zipf(1.5, N) % 1000 + 1
    failures = 0
    for seed in range(REPLICAS):
        sketch = CountMin(width=20, depth=2, seed=seed)
        sketch.update(stream)
        lower, upper = sketch.bounds([0], 0.8, guaranteed=True)
        assert upper[0] >= 0
        failures += lower[0] > 0
    assert failures <= 0.2 * REPLICAS
