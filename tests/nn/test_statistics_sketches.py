"""The sketched parts of statistics of activations are inside their bounds."""

import numpy as np
import pytest
from nn.layers import UNITS, fed, rectified

from sketches.nn import StreamingStatistics

RANDOM = np.random.default_rng(20)


def test_quantiles_are_within_their_bounds():
    values = rectified()
    found = fed(values).summary("hidden").values
    for q in (0, 0.3, 0.7, 0.9, 0.999, 1):
        estimate = found.quantile(q)
        assert estimate.lower <= np.quantile(values, q, method="inverted_cdf") <= estimate.upper


@pytest.mark.parametrize("top", [4, 8, 64])
def test_active_units_are_within_their_bounds(top):
    values = rectified()
    truth = (values > 0).sum(axis=0)
    active = fed(values, top=top).summary("hidden").active
    assert len(active) <= top
    assert (active["count"] - active["error"] <= truth[active["unit"]]).all()
    assert (truth[active["unit"]] <= active["count"]).all()
    if top >= UNITS:  # room for all units: exact
        assert set(active["unit"]) == set(np.flatnonzero(truth))
        assert (active["error"] == 0).all()


def test_rare_units_are_certainly_rare_and_none_is_missed():
    random = np.random.default_rng(2)
    values = (random.random((2000, 300)) < np.geomspace(1e-4, 1, 300)).astype(np.float32)
    epsilon = 0.003
    summary = fed(values, epsilon=epsilon).summary("hidden")
    share = values.sum(axis=0) / values.sum()
    assert (share[summary.rare] <= epsilon).all()
    assert set(np.flatnonzero(share < epsilon / 2)) <= set(summary.rare.tolist())
    assert set(summary.dead) <= set(summary.rare)
    assert len(summary.rare) < 300


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


def test_energy_is_within_five_standard_errors():
    # One row of AMS has variance (2/w)(1 - F4/F2²) F2²; the median of five has less. So 5 standard errors of one row
    # hold with a probability that no seed here will see broken, and a wrong definition (F1, or the sum of squared
    # activations) is off by orders of magnitude.
    values = rectified()
    truth = ((values > 0).sum(axis=0).astype(float) ** 2).sum()
    errors = []
    for seed in range(20):
        summary = fed(values, 2, seed=seed).summary("hidden")
        errors.append(summary.energy / truth - 1)
        effective = summary.effective_units
        assert effective.lower <= effective <= effective.upper
        assert effective == pytest.approx(min(UNITS, (values > 0).sum() ** 2 / summary.energy))
    assert np.abs(errors).max() <= 5 * (2 / 512) ** 0.5


def test_effective_units_of_a_silent_and_of_an_even_layer():
    assert fed(np.zeros((5, 3))).summary("hidden").effective_units == 0
    even = fed(np.ones((50, 8))).summary("hidden").effective_units
    assert even.lower <= 8 <= even.upper <= 8
