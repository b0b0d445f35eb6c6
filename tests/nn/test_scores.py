"""Scores and masks of arrays, against sorting, brute force and plain algebra."""

import itertools

import numpy as np
import pytest

from sketches.nn import (
    StreamingStatistics,
    activation_scores,
    compensated_bias,
    compute_masks,
    compute_pattern_mask,
    compute_row_mask,
    magnitude_scores,
    redundant_units,
    taylor_scores,
)

RANDOM = np.random.default_rng(60)


@pytest.mark.parametrize("sparsity", [0, 0.01, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("ties", [False, True])
def test_rows_lose_their_smallest_scores(sparsity, ties):
    scores = (RANDOM.integers(0, 4, (30, 5, 3, 3)) if ties else RANDOM.random((30, 5, 3, 3))).astype("f4")
    mask = compute_row_mask(scores, sparsity)
    assert mask.shape == scores.shape
    pruned = min(round(sparsity * 45), 44)
    for row, kept in zip(scores.reshape(30, 45), mask.reshape(30, 45), strict=True):
        order = sorted(range(45), key=lambda place: (row[place], -place))  # of equal scores the last go first
        assert np.flatnonzero(~kept).tolist() == sorted(order[:pruned])


def test_wanda_is_a_sort_of_each_row():
    weights, inputs = RANDOM.normal(size=(40, 64)), RANDOM.normal(size=(500, 64)) * RANDOM.random(64)
    norms = np.linalg.norm(inputs, axis=0)
    statistics = StreamingStatistics()
    for batch in np.split(inputs, 10):
        statistics.observe("fc:input", batch)
    found = statistics.summary("fc:input").norms
    assert found == pytest.approx(norms, rel=1e-12)
    mask = compute_row_mask(activation_scores(weights, found), 0.5)
    order = np.argsort(np.abs(weights) * norms, axis=1)
    expected = np.ones((40, 64), bool)
    np.put_along_axis(expected, order[:, :32], False, axis=1)
    assert (mask == expected).all()


def test_norms_of_units_without_values():
    statistics = StreamingStatistics()
    statistics.observe("x", np.array([[3.0, np.nan], [4.0, np.inf]]))
    assert statistics.summary("x").norms.tolist() == pytest.approx([5, 0])


def best(values, n):
    """All choices of n places, the best sum first; of equal sums the one whose places come first."""
    places = range(len(values))
    choices = itertools.combinations(places, min(n, len(values)))
    return max(choices, key=lambda chosen: (sum(values[i] for i in chosen), [-i for i in chosen]))


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2), (3, 5), (4, 4), (1, 1)])
@pytest.mark.parametrize("shape", [(6, 16), (3, 7), (2, 3), (4, 10, 2, 3), (0, 4)])
def test_patterns_are_the_best_of_each_group(n, m, shape):
    for scores in (RANDOM.random(shape), RANDOM.integers(0, 3, shape).astype(float)):
        mask = compute_pattern_mask(scores, n, m)
        lines, kept = np.moveaxis(scores, 1, -1).reshape(-1, shape[1]), np.moveaxis(mask, 1, -1).reshape(-1, shape[1])
        assert mask.shape == shape
        for line, found in zip(lines, kept, strict=True):
            for start in range(0, shape[1], m):
                chosen = np.flatnonzero(found[start : start + m])
                assert tuple(chosen) == best(line[start : start + m].tolist(), n)


def test_patterns_along_other_axes():
    assert compute_pattern_mask(np.ones((3, 0)), 2, 4).shape == (3, 0)
    scores = RANDOM.random((8, 6))
    assert (compute_pattern_mask(scores, 2, 4, axis=0) == compute_pattern_mask(scores.T, 2, 4).T).all()
    assert (compute_pattern_mask(scores, 2, 4, axis=-1) == compute_pattern_mask(scores, 2, 4, axis=1)).all()


def test_groups_of_a_convolution():
    weights, norms = RANDOM.normal(size=(6, 2, 3, 3)), np.arange(1.0, 5.0)  # two groups: 2 inputs, 3 outputs each
    scores = activation_scores(weights, norms, groups=2)
    for output, channel in itertools.product(range(6), range(2)):
        norm = norms[output // 3 * 2 + channel]
        assert scores[output, channel] == pytest.approx(np.abs(weights[output, channel]) * norm, rel=1e-6)


def test_taylor_scores_are_first_order():
    """For a linear loss Σ g·w, setting one weight to zero changes the loss by exactly its score."""
    weights, gradients = RANDOM.normal(size=(4, 5)), RANDOM.normal(size=(4, 5))
    for place in np.ndindex(4, 5):
        without = weights.copy()
        without[place] = 0
        change = abs((weights * gradients).sum() - (without * gradients).sum())
        assert taylor_scores(weights, gradients)[place] == pytest.approx(change, rel=1e-5)


@pytest.mark.parametrize("bias", [None, RANDOM.normal(size=6)])
def test_a_compensated_bias_keeps_the_mean_of_outputs(bias):
    weights, mask = RANDOM.normal(size=(6, 20)), RANDOM.random((6, 20)) < 0.4
    inputs = RANDOM.normal(3, 1, size=(50, 20))
    before = inputs @ weights.T + (0 if bias is None else bias)
    after = inputs @ (weights * mask).T + compensated_bias(bias, weights, mask, inputs.mean(axis=0))
    assert after.mean(axis=0) == pytest.approx(before.mean(axis=0), abs=1e-4)
    kernels = RANDOM.normal(size=(6, 20, 2, 2))
    everywhere = compensated_bias(None, kernels, np.zeros(kernels.shape, bool), inputs.mean(axis=0))
    assert everywhere == pytest.approx(kernels.sum(axis=(2, 3)) @ inputs.mean(axis=0), rel=1e-5)


def test_redundant_units_point_the_same_way():
    weights = RANDOM.normal(size=(2500, 8))
    weights[2000] = 3 * weights[17]
    weights[2400] = 0.1 * weights[2000]
    weights[1500] = -weights[17]
    weights[[5, 6]] = 0
    first = redundant_units(weights)
    expected = np.arange(2500)
    expected[[2000, 2400]] = 17
    assert (first == expected).all()


@pytest.mark.parametrize("scope", ["global", "layer", "row"])
def test_masks_of_several_layers(scope):
    scores = {"a": magnitude_scores(RANDOM.normal(size=(30, 40))), "b": magnitude_scores(RANDOM.normal(size=(10, 20)))}
    masks = compute_masks(scores, 0.8, scope=scope)
    lost = {name: (~mask).sum() for name, mask in masks.items()}
    assert lost["a"] + lost["b"] == 1120
    if scope != "global":
        assert lost["b"] == 160
    if scope == "row":
        assert ((~masks["a"]).sum(axis=1) == 32).all()


def test_bad_arguments():
    good = np.ones((2, 4), np.float32)
    for call, error, message in (
        (lambda: compute_row_mask(good, 1.0), ValueError, "sparsity is 1.0"),
        (lambda: compute_row_mask(good[0], 0.5), ValueError, r"scores have shape \(4,\)"),
        (lambda: compute_row_mask(-good, 0.5), ValueError, r"scores hold -1\.0"),
        (lambda: compute_pattern_mask(good, 0, 4), ValueError, "n is 0"),
        (lambda: compute_pattern_mask(good, 5, 4), ValueError, "n is 5"),
        (lambda: compute_pattern_mask(good, 2, 4, axis=2), ValueError, "axis is 2"),
        (lambda: compute_pattern_mask(good * np.nan, 2, 4), ValueError, "scores hold NaN"),
        (
            lambda: taylor_scores(good, good[0]),
            ValueError,
            r"gradients have shape \(4,\), but weights have shape \(2, 4",
        ),
        (lambda: activation_scores(good, np.ones(8), groups=4), ValueError, r"shape \(8,\), but .* and 4 groups"),
        (lambda: activation_scores(np.ones((3, 4)), np.ones(8), groups=2), ValueError, "and 2 groups"),
        (lambda: compensated_bias(None, good, good, np.ones(4)), ValueError, "mask is float32 of shape"),
        (lambda: compensated_bias(None, good, good > 0, np.ones(3)), ValueError, r"input_means have shape \(3,\)"),
        (lambda: compensated_bias(np.ones(3), good, good > 0, np.ones(4)), ValueError, r"bias has shape \(3,\)"),
        (lambda: redundant_units(good[0]), ValueError, r"weights have shape \(4,\)"),
        (lambda: redundant_units(good, 0), ValueError, "tolerance is 0"),
        (lambda: compute_masks({"a": good}, 0.5, scope="all"), ValueError, "scope is 'all'; 'global', 'layer', 'row'"),
        (lambda: compute_masks({"a": good * np.inf}, 0.5), ValueError, "scores of layer 'a' hold NaN"),
        (lambda: compute_masks({"a": good}, -0.5), ValueError, "sparsity is -0.5"),
    ):
        with pytest.raises(error, match=message):
            call()
