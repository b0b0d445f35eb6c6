"""Promises that always hold, on streams of every shape; and how much better than promised typical streams are."""

import numpy as np
import pytest

from sketches import LossyCounting, SpaceSaving
from sketches.core import bounds

N, DISTINCT = 200_000, 50_000
RANDOM = np.random.default_rng(2026)


def zipf(exponent):
    weights = np.arange(1, DISTINCT + 1) ** -exponent
    return RANDOM.choice(DISTINCT, N, p=weights / weights.sum())


STREAMS = {
    "zipf 0.8": zipf(0.8),
    "zipf 1.1": zipf(1.1),
    "zipf 1.5": zipf(1.5),
    "uniform": RANDOM.integers(0, DISTINCT, N),
    "round robin": np.arange(N) % 150,  # just more items than counters: each is dropped before it comes again
    "distinct": np.arange(N),
    "rising": np.sort(zipf(1.1)),
    "heavy first": np.concatenate([np.zeros(N // 4, np.int64), np.arange(3 * N // 4)]),
}
WEIGHTS = {"unit": None, "weighted": np.exp2(RANDOM.uniform(0, 20, N)).astype(np.int64)}


def check(sketch, share, stream, counts):
    """Bounds of every item, none of them wider than the promised share of the total; nothing frequent is missing."""
    sketch.update(stream, counts)
    truth = np.bincount(stream, counts, minlength=stream.max() + 1).astype(np.int64)
    lower, upper = sketch.bounds(np.arange(len(truth)))
    assert sketch.total == truth.sum()
    assert (lower <= truth).all()
    assert (truth <= upper).all()
    assert (upper - lower).max() <= sketch.max_error <= share * sketch.total
    rows = sketch.items_above(max(1.5 * share, 1e-9))
    frequent = np.flatnonzero(truth >= 1.5 * share * sketch.total)
    assert set(rows["item"].tolist()) >= set(frequent.tolist())
    return truth


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", STREAMS)
def test_space_saving(name, weights):
    k = 100
    sketch = SpaceSaving(k)
    check(sketch, bounds.space_saving_share(k), STREAMS[name], WEIGHTS[weights])
    assert len(sketch) <= k


@pytest.mark.parametrize("k", [7, 8, 15, 16, 23, 40, 100, 1000])
def test_space_saving_is_within_an_eighth_of_the_best_on_every_stream(k):
    # The best that any k counters can promise is N / (k + 1) (Bose et al. 2003).
    robins = {f"round robin of {m}": np.arange(N) % m for m in (k + 1, k + k // 8 + 1, 2 * k, 3 * k + 1)}
    for stream in (STREAMS | robins).values():
        for weights in WEIGHTS.values():
            sketch = SpaceSaving(k)
            sketch.update(stream, weights)
            assert sketch.max_error * (k + 1) / sketch.total <= 8 / 7


def test_counts_near_the_largest_integer():
    # Totals just below 2**63, from counts of 1 to 2**62: sums in Python's integers are the oracle.
    random = np.random.default_rng(63)
    for k in (1, 7, 50):
        for most in (20, 50, 62):
            items = random.integers(0, 4 * k, 3000)
            counts = np.exp2(random.uniform(0, most, 3000)).astype(np.int64)
            counts = counts[np.cumsum(counts.astype(float)) < 2.0**63 - 2.0**53]
            truth = [sum(counts[items[: len(counts)] == item].tolist()) for item in range(4 * k)]
            sketch, lossy = SpaceSaving(k), LossyCounting(1 / (k + 1))
            for each in (sketch, lossy):
                each.update(items[: len(counts)], counts)
                each.add("rest", 2**63 - 1 - each.total)
                lower, upper = each.bounds([*range(4 * k), "rest"])
                total = 2**63 - 1
                assert each.total == total
                for low, high, f in zip(lower.tolist(), upper.tolist(), [*truth, total - sum(truth)], strict=True):
                    assert low <= f <= high <= low + each.max_error
            assert sketch.max_error * (k - max(1, k // 8) + 1) <= total
            assert lossy.max_error <= total // (k + 1)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", STREAMS)
def test_lossy_counting(name, weights):
    epsilon = 0.01
    sketch = LossyCounting(epsilon)
    check(sketch, epsilon, STREAMS[name], WEIGHTS[weights])
    assert len(sketch) <= bounds.lossy_counting_entries(epsilon, sketch.total)


def test_top_of_a_skewed_stream_is_right():
    # zipf 1.5: the 10th item has 1.2 % of the stream, the 11th 1.05 %; the error is at most 8/7 / 1000 = 0.11 %, but of
    # items that have had a counter from the start it is 0, so that ranks 1 to 10 are exact.
    sketch = SpaceSaving(1000)
    stream = STREAMS["zipf 1.5"]
    sketch.update(stream)
    truth = np.bincount(stream)
    best = np.argsort(-truth)[:10]
    rows = sketch.top(10)
    assert rows["item"].tolist() == best.tolist()
    assert (rows["count"] - rows["error"] <= truth[best]).all()
    assert (truth[best] <= rows["count"]).all()
