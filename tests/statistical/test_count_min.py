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
    # with its count c = N/DISTINCT: mean c (D-1)/w, variance c² (D-1)/w (1-1/w). Ten fewer columns would shift the mean
    # by 5 % = 7 standard errors of the mean of 200 replicas.
    width, c = 200, N / DISTINCT
    mean, variance = c * (DISTINCT - 1) / width, c**2 * (DISTINCT - 1) / width * (1 - 1 / width)
    error = excesses(width=width, depth=1).mean() - mean
    assert abs(error) <= 5 * (variance / REPLICAS) ** 0.5
    assert abs(error + mean * 0.05) > 0


def test_excess_is_within_epsilon_at_probability_delta():
    # The bound is Markov's, so exceedances are far rarer than delta; a table that ignored all rows but one would
    # exceed the stated epsilon of three rows (1.36 times the mean excess) in a large share of replicas.
    delta = 0.2
    sketch = CountMin(width=200, depth=3)
    lower, _ = sketch.bounds([0], 1 - delta)
    found = excesses(width=200, depth=3)
    epsilon = delta ** (-1 / 3) / 200
    assert lower[0] == 0
    assert (found > epsilon * N).mean() <= delta
