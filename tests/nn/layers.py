"""Layers of activations for the tests of StreamingStatistics, and what NumPy says of them."""

import numpy as np

from sketches.nn import StreamingStatistics

UNITS = 37


def rectified(rows=4000, units=UNITS, seed=1):
    """Activations of units of very different strength; unit 5 is dead, unit 7 almost."""
    random = np.random.default_rng(seed)
    values = np.maximum(random.normal(-0.5, 1, (rows, units)) * np.geomspace(0.01, 100, units), 0)
    values[:, 5] = 0
    values[:, 7] = np.where(np.arange(rows) == 3, 1.0, 0)
    return values


def fed(values, batches=7, **options):
    statistics = StreamingStatistics(**options)
    for batch in np.array_split(values, batches):
        statistics.observe("hidden", batch)
    return statistics


def assert_exact(summary, values):
    """The exact parts equal NumPy's on all values at once."""
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    kept = np.where(finite, values, np.nan)
    assert summary.samples == len(values)
    assert (summary.count == finite.sum(axis=0)).all()
    assert (summary.nans == np.isnan(values).sum(axis=0)).all()
    assert (summary.infinities == np.isinf(values).sum(axis=0)).all()
    some = summary.count > 0
    # n additions of float64 in any order are off by at most about n eps relative to the sum of sizes.
    scale = np.abs(np.where(finite, values, 0)).max(axis=0)[some]
    eps = np.finfo(float).eps * len(values)
    assert (np.abs(summary.mean[some] - np.nanmean(kept[:, some], axis=0)) <= eps * scale).all()
    assert (np.abs(summary.variance[some] - np.nanvar(kept[:, some], axis=0)) <= 4 * eps * scale**2).all()
    assert (summary.minimum[some] == np.nanmin(kept[:, some], axis=0)).all()
    assert (summary.maximum[some] == np.nanmax(kept[:, some], axis=0)).all()
    for array in (summary.mean, summary.variance, summary.minimum, summary.maximum):
        assert np.isnan(array[~some]).all()
    if len(values):
        assert (summary.zeros == (values == 0).mean(axis=0)).all()
        assert (summary.fires == (values > 0).mean(axis=0)).all()
    assert (summary.dead == np.flatnonzero(~(values > 0).any(axis=0))).all()
