"""The exact parts of statistics of activations equal what NumPy says of all of them at once."""

import numpy as np
import pytest
from nn.layers import assert_exact, fed, rectified

from sketches.nn import StreamingStatistics
from sketches.nn.statistics.layer import BLOCK

RANDOM = np.random.default_rng(20)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint16, bool])
@pytest.mark.parametrize("batches", [1, 7, 4000])
def test_moments_are_exact(dtype, batches):
    values = rectified().astype(dtype)[: 4000 if batches < 4000 else 500]
    assert_exact(fed(values, min(batches, len(values))).summary("hidden"), values)


def test_large_means_do_not_cancel():
    # A naive sum of squares would lose all 16 digits: 1e9² beside a variance of 1.
    values = 1e9 + RANDOM.normal(size=(5000, 3))
    summary = fed(values, 50).summary("hidden")
    assert summary.variance == pytest.approx(values.var(axis=0), rel=1e-6)


def test_equal_values_have_no_variance():
    # 1e8 + 0.1 is rounded, and so is every sum of it: deviations from a rounded mean would be about 1e-5.
    units = np.array([0.1, 1 / 7, 1e8 + 0.1, -3e-310, 0])
    parts = [fed(np.tile(units, (rows, 1)), 3) for rows in (3, 20_001, 10)]
    parts[0].observe("hidden", np.full((2, 5), np.nan))  # neither do parts without a value change anything
    for order in (parts, parts[::-1]):
        summary = (order[0] | (order[1] | order[2])).summary("hidden")
        assert (summary.variance == 0).all()
        assert (summary.mean == units).all()


def test_huge_values_stay_finite_or_say_infinite():
    values = np.array([[1e308, 1e200], [1e308, -1e200], [-1e308, 0], [1e308, 0]])
    summary = fed(values, 2).summary("hidden")
    assert summary.mean == pytest.approx([5e307, 0], rel=1e-15)
    assert np.isinf(summary.variance).all()
    largest = np.full((5, 2), np.finfo(float).max)
    assert (fed(largest, 3).summary("hidden").mean == largest[0]).all()
    apart = np.array([[1.7e308, 1.0], [-1.7e308, 3.0]])  # a difference beyond float64 between two batches
    assert fed(apart, 2).summary("hidden").mean.tolist() == [0, 2]


def test_not_finite_values_are_counted_and_left_out():
    values = rectified(500)
    for value, seed in ((np.nan, 1), (np.inf, 2), (-np.inf, 3)):
        values[np.random.default_rng(seed).random(values.shape) < 0.1] = value
    values[:, 3] = np.nan
    statistics = fed(values, 5)
    summary = statistics.summary("hidden")
    assert_exact(summary, values)
    assert summary.values.total == np.isfinite(values).sum()
    assert summary.mean[3] != summary.mean[3]
    assert 3 in summary.dead
    assert StreamingStatistics.from_bytes(statistics.to_bytes()) == statistics


def test_wide_layers_are_read_in_blocks():
    values = rectified(10, 70_000)
    assert_exact(fed(values, 1).summary("hidden"), values)


def test_wide_layers_are_read_in_tiles():
    units = 2 * BLOCK + 3
    values = np.tri(5, units, -1) + np.where(np.arange(units) >= units - 2, np.arange(5)[:, None] - 1, 0)
    values[2, [7, BLOCK, units - 1]] = np.nan
    for rows in (1, 5):
        statistics = StreamingStatistics(directions=1)
        for top in range(0, 5, rows):
            statistics.observe("hidden", values[top : top + rows])
        summary = statistics.summary("hidden")
        assert_exact(summary, values)
        assert round(summary.patterns) == len(np.unique(values > 0, axis=0))
        assert summary.values.total == np.isfinite(values).sum()
        assert summary.active["count"].sum() == (values > 0).sum()
