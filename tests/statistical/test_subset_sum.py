"""SubsetSum without bias, with the standard error it states, and bounds that hold as often as they say."""

import numpy as np
import pytest

from sketches import SubsetSum

R, K, N, DISTINCT = 300, 150, 12_000, 4000
RANDOM = np.random.default_rng(2018)
SHARES = (0.003, 0.1, 0.5, 0.97)  # of the distinct items, in groups that have nothing to do with how frequent they are
ORDER = RANDOM.permutation(DISTINCT)


def zipf(exponent):
    weights = np.arange(1, DISTINCT + 1) ** -exponent
    return RANDOM.choice(DISTINCT, N, p=weights / weights.sum())


STREAMS = {
    "zipf 1.0": zipf(1.0),
    "uniform": RANDOM.integers(0, DISTINCT, N),
    "distinct": np.arange(DISTINCT),
    "rising": np.sort(zipf(1.0)),  # the frequent items come first
}


def fed(stream, seed, merged):
    sketch = SubsetSum(K, seed=seed)
    if not merged:
        sketch.update(stream)
        return sketch
    for part in np.array_split(stream, 4):
        other = SubsetSum(K, seed=seed)
        other.update(part)
        sketch.merge(other)
    return sketch


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_sums_of_groups(name, merged):
    stream = STREAMS[name]
    truth = np.bincount(stream, minlength=DISTINCT)
    groups = [np.isin(np.arange(DISTINCT), ORDER[: int(share * DISTINCT)]) for share in SHARES]
    found = [[] for _ in groups]
    for seed in range(R):
        sketch = fed(stream, seed, merged)
        for group, estimates in zip(groups, found, strict=True):
            estimates.append((sketch.subset_sum(lambda item, group=group: group[item]), sketch.threshold))
    for group, estimates in zip(groups, found, strict=True):
        total = int(truth[group].sum())
        errors = np.array([float(estimate) for estimate, _ in estimates]) - total
        stated = np.mean([estimate.standard_error**2 for estimate, _ in estimates])
        bound = np.mean([threshold for _, threshold in estimates]) * total
        # No bias: the mean of R errors of variance `bound` or less has a standard error of sqrt(bound / R).
        assert abs(errors.mean()) <= 5 * np.sqrt(bound / R)
        # The variance of R errors has a relative standard error of sqrt(2 / R) if they are normal, and of 1 / sqrt(R m)
        # more where each estimate counts only some m survivors, total / threshold of them.
        spread = np.sqrt(2 / R + bound / total**2 / R)
        assert np.mean(errors**2) <= bound * (1 + 5 * spread)
        assert abs(np.mean(errors**2) / stated - 1) <= 5 * spread
        # 95 % or more within the bounds: R of them have a standard error of sqrt(0.95 * 0.05 / R).
        covered = np.mean([estimate.lower <= total <= estimate.upper for estimate, _ in estimates])
        assert covered >= 0.95 - 5 * np.sqrt(0.95 * 0.05 / R)


def test_items_by_themselves_have_no_bias():
    # Items of 2 to 800 occurrences, the threshold being some 1,400. In units of sqrt(threshold * truth), their standard
    # error at most, the mean of R errors has a standard error of 1 / sqrt(R) or less. An item of 2 survives some 0.4
    # times in R; a Poisson number of mean 0.4 exceeds 5 with a probability of 4e-6, and 5 are 8 such standard errors.
    counts = np.arange(1, 401)
    errors = np.zeros(400)
    for seed in range(R):
        sketch = SubsetSum(K, seed=seed)
        sketch.update(np.arange(400), counts)
        sketch.update(np.arange(400)[::-1], counts[::-1])
        errors += (sketch.estimate(np.arange(400)) - 2 * counts) / np.sqrt(sketch.threshold * 2 * counts)
    assert np.abs(errors / R).max() <= 8 / np.sqrt(R)
