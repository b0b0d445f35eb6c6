"""Clusters of a histogram: the optimal ones beside every way to cut, Lloyd's descent, and what binning costs."""

from itertools import combinations

import numpy as np
import pytest

from sketches import Quantiles
from sketches.nn.compression.clustering import (
    EXACT,
    RELATIVE_ERROR,
    STARTS,
    Histogram,
    cluster,
    distortion,
    histogram,
    nearest,
)


def cost_of_runs(values, masses, cuts):
    total = 0.0
    for first, last in zip((0, *cuts), (*cuts, len(values)), strict=True):
        v, m = values[first:last], masses[first:last]
        total += float(m @ (v - m @ v / m.sum()) ** 2)
    return total


def brute_force(values, masses, entries):
    return min(cost_of_runs(values, masses, cuts) for cuts in combinations(range(1, len(values)), entries - 1))


@pytest.mark.parametrize("seed", range(12))
def test_optimal_is_the_best_of_all_cuts(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 12))
    # every other time evenly spaced integers with equal masses, which have many best cuts
    values = np.arange(n, dtype=float) if seed % 2 else np.sort(random.normal(size=n)) + 100 * (seed % 3)
    masses = np.ones(n) if seed % 2 else random.integers(1, 9, n).astype(float)
    for entries in range(1, n):
        means = cluster(values, masses, entries)
        assert distortion(values, masses, means) == pytest.approx(brute_force(values, masses, entries), abs=1e-9)
        assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("n", [300, 1500])  # above a few entries, rows follow each other instead of being halved
def test_both_ways_through_the_table_find_the_quadratic_ones_cost(n):
    random = np.random.default_rng(n)
    values, masses = np.sort(random.standard_t(3, n)), random.integers(1, 50, n).astype(float)
    mass, first, second = (np.concatenate([[0], np.cumsum(masses * values**power)]) for power in range(3))
    best = np.full(n + 1, np.inf)
    best[0] = 0
    for entries in range(1, 41):
        rows = np.full(n + 1, np.inf)
        for j in range(entries, n + 1):
            i = np.arange(entries - 1, j)
            costs = best[i] + second[j] - second[i] - (first[j] - first[i]) ** 2 / (mass[j] - mass[i])
            rows[j] = costs.min()
        best = rows
        if entries in (2, 3, 4, 5, 9, 10, 20, 40):
            assert distortion(values, masses, cluster(values, masses, entries)) == pytest.approx(best[n], rel=1e-9)


@pytest.mark.parametrize("start", STARTS[:-1])
def test_lloyd_descends_to_where_each_mean_is_that_of_its_values(start):
    random = np.random.default_rng(5)
    values, masses = np.sort(random.normal(size=400)), random.integers(1, 9, 400).astype(float)
    means = cluster(values, masses, 8, start, seed=3)
    places = nearest(values, means)
    again = np.bincount(places, masses * values) / np.bincount(places, masses)
    np.testing.assert_allclose(means, again, rtol=1e-12)
    cumulated = np.cumsum(masses)
    begin = {
        "linear": np.linspace(values[0], values[-1], 8),
        "density": values[np.searchsorted(cumulated, (np.arange(8) + 0.5) / 8 * cumulated[-1])],
        "random": np.sort(np.random.default_rng(3).choice(values, 8, replace=False, p=masses / masses.sum())),
    }[start]
    costs = [distortion(values, masses, begin)]  # each of Lloyd's rounds, done plainly, costs no more than the last
    for _ in range(200):
        places = nearest(values, begin)
        begin = np.array([np.average(values[places == i], weights=masses[places == i]) for i in range(8)])
        costs.append(distortion(values, masses, begin))
    assert (np.diff(costs) <= 1e-9).all()
    assert costs[0] > costs[-1]
    assert distortion(values, masses, means) == pytest.approx(costs[-1], rel=1e-12)
    assert distortion(values, masses, cluster(values, masses, 8)) <= costs[-1]


def test_a_mean_without_values_is_dropped():
    assert cluster([0.0, 1.0, 100.0, 101.0], [1, 1, 1, 1], 3, "linear").tolist() == [0.5, 100.5]


@pytest.mark.parametrize("entries", [2, 16, 64])
def test_what_a_histogram_costs(entries):
    weights = np.random.default_rng(7).normal(size=EXACT // 2).astype(np.float32)
    exact = histogram(weights)
    assert len(exact.values) == len(np.unique(weights))
    best = distortion(*exact, cluster(*exact, entries)) ** 0.5
    norm = float(np.linalg.norm(weights.astype(np.float64)))
    for error in (2**-4, 2**-8, RELATIVE_ERROR):
        sketch = Quantiles(error)
        sketch.update(weights)
        binned = Histogram.of_sketch(sketch)
        means = cluster(*binned, entries)
        root = distortion(*exact, means) ** 0.5
        assert best * (1 - 1e-9) <= root <= best + 2 * error * norm
    # the bound is no formality: bins so coarse do cost something
    coarse = Quantiles(2**-3)
    coarse.update(weights)
    assert distortion(*exact, cluster(*Histogram.of_sketch(coarse), entries)) > best**2 * (1 + 1e-6)


def test_histograms_of_many_weights_and_of_importances():
    random = np.random.default_rng(8)
    weights = random.normal(size=EXACT + 1).astype(np.float32)
    importances = random.integers(0, 5, len(weights)).astype(np.float32)
    for part in (weights, weights[:1000]):
        plain, weighted = histogram(part), histogram(part, importances[: len(part)])
        assert plain.masses.sum() == len(part)
        assert weighted.masses.sum() == importances[: len(part)].sum()
        assert (weighted.masses > 0).all()
        assert set(weighted.values) <= set(plain.values)
        # every weight's own bin has its importance
        bins = np.abs(plain.values[:, None] - part[None, ::97]).argmin(axis=0)
        assert (np.abs(plain.values[bins] - part[::97]) <= RELATIVE_ERROR * np.abs(part[::97])).all()
    whole = histogram(weights, np.ones_like(weights))
    assert (whole.values == histogram(weights).values).all()
    assert (whole.masses == histogram(weights).masses).all()


def test_nearest_of_float32_divides_as_float64_does():
    for below in (np.float32(1), np.float32(1 + 2**-23)):  # halfway to the next number rounds down, and up
        pair = np.array([below, np.nextafter(below, np.float32(2))])
        for means in (pair, pair.astype(np.float64)):
            assert nearest(pair, means).tolist() == [0, 1]
    random = np.random.default_rng(9)
    weights, means = random.normal(size=5000).astype(np.float32), np.sort(random.normal(size=9))
    assert (nearest(weights, means) == np.abs(weights.astype(float)[:, None] - means).argmin(axis=1)).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0], [1.0], 0), ValueError, "entries is 0"),
        (([1.0], [1.0], 2.0), TypeError, r"entries is 2\.0"),
        (([1.0], [1.0], 1, "best"), ValueError, "start is 'best'"),
        (([1.0, 2.0], [1.0], 1), ValueError, "values of shape"),
        (([np.nan], [1.0], 1), ValueError, "finite"),
        (([2.0, 1.0], [1.0, 1.0], 1), ValueError, "do not ascend"),
        (([1.0, 2.0], [1.0, 0.0], 1), ValueError, "a mass is not above 0"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        cluster(*arguments)


@pytest.mark.parametrize("outlier", [1e8, -1e20, 1e38])
@pytest.mark.parametrize("entries", [2, 9, 40])
def test_an_outlier_does_not_blur_the_others(outlier, entries):
    random = np.random.default_rng(21)
    values, masses = np.sort(random.normal(size=200)), random.integers(1, 9, 200).astype(float)
    alone = cluster(values, masses, entries)
    far = np.searchsorted([0.0], outlier)  # 0: before the others, 1: after them
    both = cluster(np.insert(values, 200 * far, outlier), np.insert(masses, 200 * far, 1.0), entries + 1)
    assert both[-far] == outlier
    assert np.delete(both, -far) == pytest.approx(alone, rel=1e-6)


def test_means_ascend_whatever_the_values():
    random = np.random.default_rng(22)
    for entries in (2, 20, 150):
        values = np.unique(10.0 ** random.uniform(-30, 30, 400) * random.choice([-1, 1], 400))
        means = cluster(values, np.ones(400), entries)
        assert (np.diff(means) > 0).all()
