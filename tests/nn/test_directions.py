"""Frequent Directions keep their bounds, and agree with the plain twin and with the exact spectrum."""

import numpy as np
import pytest

from sketches.core.wire import FormatError
from sketches.nn.statistics.directions import Directions
from sketches.plain.frequent_directions import FrequentDirections


def decaying(rows=3000, units=40, seed=1, mean=5.0):
    random = np.random.default_rng(seed)
    turned = np.linalg.qr(random.normal(size=(units, units)))[0]
    return (mean + random.normal(size=(rows, units)) * 0.8 ** np.arange(units) @ turned).astype(np.float32)


def seen(rows, size, batches=60):
    directions = Directions(size, rows.shape[1])
    for batch in np.array_split(rows, batches):
        directions.observe(batch)
    return directions


def scatter(rows):
    apart = rows - rows.mean(axis=0, dtype=np.float64)
    return apart.T @ apart


def ranks(matrix):
    shares = np.maximum(np.linalg.eigvalsh(matrix)[::-1], 0)
    shares = shares[shares > 0] / shares.sum()
    return np.exp(-(shares * np.log(shares)).sum()), 1 / shares[0]


@pytest.mark.parametrize(("units", "size"), [(40, 5), (40, 16), (300, 32), (12, 10)])
def test_the_guarantee_holds(units, size):
    rows = decaying(units=units)
    directions, exact = seen(rows, size), scatter(rows)
    sketch = directions.rows.astype(float)
    values = np.linalg.eigvalsh(exact)[::-1]
    slack = 1e-6 * values[0]  # of float32: 2^-24 beside the largest, in each of 200 shrinkings at most
    lost = np.linalg.eigvalsh(exact - sketch.T @ sketch)
    assert -slack <= lost[0]
    assert lost[-1] <= directions.shrunk + slack
    assert directions.energy == pytest.approx(np.trace(exact), rel=1e-6)
    for k in range(min(size, units)):
        assert directions.shrunk <= values[k:].sum() / (size - k) + slack


def test_the_twin_shrinks_as_much():
    rows = decaying(200, mean=0.0)
    rows -= rows.mean(axis=0)
    plain, ours = FrequentDirections(6, 40), Directions(6, 40)
    for row in rows:
        plain.add(row)
    ours._add(rows, 0.0)
    if len(plain.rows) != ours.filled:  # ours shrinks when a row finds no room, the twin before
        plain.shrink()
    assert plain.shrunk == pytest.approx(ours.shrunk, rel=0.3)
    truth = rows.astype(float).T @ rows
    lost = np.linalg.eigvalsh(truth - plain.rows.T @ plain.rows)
    assert -1e-9 * truth.max() <= lost[0] <= lost[-1] <= plain.shrunk * (1 + 1e-9)


@pytest.mark.parametrize("mean", [0.0, 5.0, 1000.0])
@pytest.mark.parametrize("size", [4, 12, 32, 64])
def test_ranks_are_inside_their_bounds(size, mean):
    rows = decaying(mean=mean)
    directions, (effective, stable) = seen(rows, size), ranks(scatter(rows))
    for estimate, truth in ((directions.effective_rank(), effective), (directions.stable_rank(), stable)):
        assert estimate.lower * (1 - 1e-5) <= truth <= estimate.upper * (1 + 1e-5)
        assert estimate.lower <= estimate <= estimate.upper
        assert 1 <= estimate.lower <= estimate.upper <= 40
        if size == 64:
            assert estimate.upper <= estimate.lower * (1 + 1e-5)


def test_merged_parts_keep_the_guarantee():
    rows = decaying()
    rows[1500:] += 3  # another mean
    merged = seen(rows[:1500], 16)
    merged.merge(seen(rows[1500:], 16))
    exact = scatter(rows)
    lost = np.linalg.eigvalsh(exact - merged.rows.astype(float).T @ merged.rows)
    slack = 1e-6 * np.trace(exact)
    assert -slack <= lost[0]
    assert lost[-1] <= merged.shrunk + slack
    assert merged.energy == pytest.approx(np.trace(exact), rel=1e-6)
    assert merged.mean == pytest.approx(rows.mean(axis=0, dtype=float), rel=1e-6)
    assert merged.count == 3000


def test_rows_without_rank_and_equal_rows():
    directions = Directions(4, 3)
    bad = [[np.nan, 0, 0], [0, np.inf, 0], [0, 0, 2.0**70]]
    directions.observe(np.array(bad, np.float32))
    directions.observe(np.empty((0, 3), np.float32))
    assert directions.count == directions.filled == directions.effective_rank() == 0
    directions.observe(np.full((50, 3), 7, np.float32))
    directions.observe(np.full((1, 3), 7, np.float32))
    assert directions.effective_rank() == directions.stable_rank() == directions.filled == 0
    directions.observe(np.full((1, 3), 8, np.float32))
    assert directions.effective_rank() == pytest.approx(1)


def test_more_directions_than_fit_are_refused():
    with pytest.raises(FormatError, match="3 directions, not at most 2"):
        Directions(1, 0).restore(9, np.zeros(2), np.ones((3, 2), np.float32), 9.0, 0.0)
