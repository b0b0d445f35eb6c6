"""Simulated states beside those of real streams, and beside the probabilities they must have."""

import numpy as np
import pytest

from benchmarks.simulate import first_times, states
from sketches import FlajoletMartin
from sketches.flajolet_martin import KINDS


@pytest.mark.parametrize(("kind", "precision"), [("pcsa", 4), ("hll", 7), ("ull", 5), ("ell", 6)])
def test_every_hash_has_the_register_and_value_it_stands_for(kind, precision):
    # Each hash alone must make a state of its own: as many as there are registers and values.
    resolution = KINDS[kind].resolution
    _, hashes = first_times(precision, resolution, np.random.default_rng(1))
    values = (65 - precision - resolution) << resolution
    assert len(hashes) == len(set(hashes.tolist())) == values << precision
    sketch = FlajoletMartin(precision, kind)
    sketch._insert(hashes, None)
    tops, seen = np.zeros((2, values + 1), np.int64)
    sketch._read(tops, seen)
    assert seen[-1] == 1 << precision
    if kind == "pcsa":  # which alone remembers all
        assert (seen[1:] == 1 << precision).all()


def test_each_value_is_seen_with_its_probability():
    # Of m registers in R replicas, a value of probability q is seen by m R (1 - (1 - q/m)**n) in expectation, with at
    # most the binomial standard deviation (of the same replica's registers, at most one gets an item). There are 61
    # values at 3 sizes; all must be within six deviations (2e-9 each), or within six of a Poisson number where few are
    # expected.
    precision, replicas = 4, 400
    m, sizes = 1 << precision, (10_000, 100_000, 1_000_000_000)
    found = np.zeros((len(sizes), 62), np.int64)
    for seed in range(replicas):
        for place, (_, sketch) in enumerate(
            states(lambda: FlajoletMartin(precision, "pcsa"), sizes, np.random.default_rng([2, seed]), exact=1000)
        ):
            sketch._read(np.zeros(62, np.int64), seen := np.zeros(62, np.int64))
            found[place] += seen
    q = 2.0 ** -np.minimum(np.arange(1, 62), 60)
    for n, seen in zip(sizes, found, strict=True):
        p = -np.expm1(n * np.log1p(-q / m))
        deviation = np.sqrt(m * replicas * p * (1 - p))
        assert (np.abs(seen[1:] - m * replicas * p) <= 6 * np.maximum(deviation, 1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_are_distributed_as_those_of_real_streams(kind):
    # The largest distance between two empirical distributions of R values each exceeds d with a probability of about
    # 2 exp(-R d**2): 3e-7, that of five standard errors, for d = 0.125. The Poisson number of items that the simulation
    # stands for widens the distribution by 3 % at most (relative variances of 1e-5 beside 0.34**2 / 64 = 1.8e-3 or
    # more), a distance of 0.01. Items drawn at a rate 5 % too high shift all by 1.2 standard errors (ell), a distance
    # of 0.45, or by 0.4 (hll), 0.16.
    n, precision, replicas = 100_000, 6, 1000

    def counts(exact: int) -> np.ndarray:
        random = np.random.default_rng([3, exact, KINDS[kind].number])
        found = [
            float(sketch.count())
            for _ in range(replicas)
            for _, sketch in states(lambda: FlajoletMartin(precision, kind), (n,), random, exact)
        ]
        return np.sort(found)

    simulated, real = counts(1000), counts(n)
    places = np.concatenate([simulated, real])
    distances = np.searchsorted(simulated, places, side="right") - np.searchsorted(real, places, side="right")
    assert np.abs(distances).max() <= 0.125 * replicas


def test_states_before_the_simulation_are_exact_and_states_grow():
    sizes = [1, 2, 3, 1000, 5000, 10**6, 10**9]
    found = [
        (n, float(sketch.count()))
        for n, sketch in states(lambda: FlajoletMartin(8), sizes, np.random.default_rng(4), exact=5000)
    ]
    assert [n for n, _ in found] == sizes
    assert [round(count) for _, count in found[:3]] == [1, 2, 3]
    # 0.344 / sqrt(256) is 2.1 %; six of them.
    assert all(abs(count / n - 1) < 0.13 for n, count in found)
