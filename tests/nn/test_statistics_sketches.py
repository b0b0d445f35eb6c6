"""The sketched parts of statistics of activations are inside their bounds."""

import numpy as np
import pytest
from nn.layers import UNITS, fed, rectified

from sketches import Quantiles
from sketches.nn import StreamingStatistics

RANDOM = np.random.default_rng(20)


def test_quantiles_are_within_their_bounds():
    values = rectified()
    found = fed(values).summary("hidden").values
    for q in (0, 0.3, 0.7, 0.9, 0.999, 1):
        estimate = found.quantile(q)
        assert estimate.lower <= np.quantile(values, q, method="inverted_cdf") <= estimate.upper


@pytest.mark.parametrize("shape", [(1_200_000, 1), (4, 7, 171_001), (2, 3, 400_003), (5, 524_281), (70_001, 17)])
def test_values_of_large_batches_are_counted_like_by_quantiles(shape):
    """Counters of 16 bits are emptied in time, also where all numbers are one."""
    random = np.random.default_rng(9)
    for values in (np.full(shape, 1.5, np.float32), random.standard_normal(shape, np.float32).round(1)):
        statistics, alone = StreamingStatistics(), Quantiles()
        statistics.observe("hidden", values, axis=1)
        alone.update(values.ravel())
        assert statistics.summary("hidden").values == alone


def test_active_and_rare_units_are_exact():
    random = np.random.default_rng(2)
    values = (random.random((2000, 300)) < np.geomspace(1e-4, 1, 300)).astype(np.float32)
    epsilon = 0.003
    summary = fed(values, epsilon=epsilon).summary("hidden")
    truth = (values > 0).sum(axis=0)
    assert (summary.active["count"] == np.sort(truth[truth > 0])[::-1]).all()
    assert (summary.active["count"] == truth[summary.active["unit"]]).all()
    assert (summary.rare == np.flatnonzero(truth <= epsilon * truth.sum())).all()
    assert set(summary.dead) <= set(summary.rare)
    assert 0 < len(summary.dead) < len(summary.rare) < 300


def test_patterns_are_counted():
    # Few patterns are kept as tokens that collide with probability below 100²/2/2^26: the estimate rounds to the truth.
    patterns = np.random.default_rng(3).random((100, UNITS)) < 0.5
    values = patterns[np.random.default_rng(4).integers(100, size=3000)] * RANDOM.random((3000, UNITS))
    assert round(fed(values).summary("hidden").patterns) == len(np.unique(values > 0, axis=0)) == 100


def test_there_are_no_more_patterns_than_samples():
    # All patterns differ; half of all hashes would estimate more of them than there are samples.
    for seed in range(8):
        values = np.random.default_rng(seed).normal(size=(5000, 64))
        statistics = StreamingStatistics(seed=seed)
        statistics.observe("hidden", values)
        patterns = statistics.summary("hidden").patterns
        assert patterns.lower <= patterns <= patterns.upper <= 5000


def test_patterns_that_differ_in_trailing_bits_differ():
    values = np.tri(UNITS + 1, UNITS, -1)  # 0, 1, …, 37 ones from the left: byte strings with trailing zeros
    assert round(fed(values).summary("hidden").patterns) == UNITS + 1


def test_energy_and_effective_units_are_exact():
    truth = (rectified() > 0).sum(axis=0)
    summary = fed(rectified()).summary("hidden")
    assert summary.energy == summary.energy.lower == summary.energy.upper == (truth**2).sum()
    assert summary.effective_units == pytest.approx(truth.sum() ** 2 / (truth**2).sum(), rel=1e-15)
    assert fed(np.zeros((5, 3))).summary("hidden").effective_units == 0
    assert fed(np.ones((50, 8))).summary("hidden").effective_units == 8


def test_saturated_and_constant_units_and_norms():
    values = np.array([[0.96, 1, 3], [-0.95, 1, -2], [np.nan, 1, 0.95], [-np.inf, 1, 0]])
    statistics = StreamingStatistics()
    statistics.observe("hidden", values, limits=(-0.95, 0.95))
    summary = statistics.summary("hidden")
    assert summary.beyond.tolist() == [0.75, 1, 0.75]
    assert summary.saturated.tolist() == summary.constant.tolist() == [1]
    assert summary.norms == pytest.approx([(0.96**2 + 0.95**2) ** 0.5, 2, (13 + 0.95**2) ** 0.5], rel=1e-15)
    assert np.isnan(fed(values, 1).summary("hidden").beyond).all()
    for other in (None, (-0.95, 0.9)):
        with pytest.raises(ValueError, match=r"limits of layer 'hidden' are .*, before they were \(-0.95, 0.95\)"):
            statistics.observe("hidden", values, limits=other)
    assert StreamingStatistics.from_bytes(statistics.to_bytes()) == statistics


@pytest.mark.parametrize("limits", [(1, 1), (np.nan, 2)])
def test_bad_limits(limits):
    with pytest.raises(ValueError, match="low < high"):
        StreamingStatistics().observe("hidden", np.ones((2, 2)), limits=limits)


def test_a_percentile_of_a_billion_values_is_within_its_relative_error():
    # 1,000 copies of a million values: the exact percentile is that of the copies, with inverted_cdf.
    values = np.random.default_rng(5).lognormal(0, 2, (1000, 1000)).astype(np.float32)
    statistics = fed(values, 3)
    for _ in range(10):
        statistics.merge(statistics)
    found = statistics.summary("hidden").values
    assert found.total == 2**10 * 10**6
    for q in (0.001, 0.5, 0.999, 0.9999):
        truth = float(np.quantile(values, q, method="inverted_cdf"))
        estimate = found.quantile(q)
        assert abs(estimate - truth) <= 2**-8 * truth
        assert estimate.lower <= truth <= estimate.upper
