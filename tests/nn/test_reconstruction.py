"""Layers reconstructed from the covariance of their inputs, beside brute force and NumPy's least squares."""

from itertools import combinations

import numpy as np
import pytest

from sketches.nn import (
    InputMoments,
    activation_scores,
    compute_row_mask,
    elimination_scores,
    refine_mask,
    refit_weights,
)
from sketches.nn import reconstruction_errors as errors


def inputs(seed, samples=500, units=8):
    """Correlated inputs with means far from 0."""
    random = np.random.default_rng(seed)
    return random.normal(size=(samples, units)) @ random.normal(size=(units, units)) + 5


def layer(seed, outputs=6, units=8):
    x = inputs(seed, units=units)
    return np.random.default_rng(seed + 100).normal(size=(outputs, units)).astype(np.float32), np.cov(x.T, bias=True)


def test_moments_are_those_of_the_whole_stream_in_any_parts():
    x = inputs(1).astype(np.float32)
    parts = InputMoments(8), InputMoments(8)
    for part, batches in zip(parts, (np.split(x[:400], [1, 7, 7, 300]), [x[400:].reshape(2, 50, 8)]), strict=True):
        for batch in batches:
            part.observe(batch)
    parts[0].merge(parts[1])
    assert parts[0].samples == 500
    np.testing.assert_allclose(parts[0].mean, x.mean(0, dtype=np.float64), rtol=1e-6)
    expected = np.cov(x.T.astype(np.float64), bias=True)
    np.testing.assert_allclose(parts[0].covariance, expected, atol=1e-5 * np.abs(expected).max())


def test_large_means_do_not_cancel():
    x = np.random.default_rng(2).normal((1e4, 0, -1e4), size=(4000, 3)).astype(np.float32)
    moments = InputMoments(3)
    for batch in np.split(x, 10):
        moments.observe(batch)
    np.testing.assert_allclose(moments.covariance, np.cov(x.T.astype(np.float64), bias=True), atol=1e-4)


def test_moments_refuse_and_stay():
    moments = InputMoments(3)
    moments.observe(np.ones((2, 3)))
    for wrong in (np.ones((2, 4)), [[1.0, np.nan, 0.0]], np.ones(())):
        with pytest.raises(ValueError, match=r"inputs (have shape|hold)"):
            moments.observe(wrong)
    with pytest.raises(ValueError, match="units are 3 here and 2 there"):
        moments.merge(InputMoments(2))
    assert (moments.samples, moments.mean.tolist(), moments.covariance.any()) == (2, [1, 1, 1], False)


def test_errors_are_the_variance_of_the_change():
    x = inputs(3)
    weights, _ = layer(3)
    pruned = np.where(np.random.default_rng(4).random(weights.shape) < 0.5, weights, 0)
    found = errors(weights, pruned, np.cov(x.T, bias=True))
    np.testing.assert_allclose(found, ((weights - pruned) @ x.T).var(axis=1), rtol=1e-5)


def test_elimination_is_the_plain_greedy_sequence():
    weights, covariance = layer(5)
    scores = elimination_scores(weights, covariance)
    for row, found in zip(weights, scores, strict=True):
        lost, highest, error = [], 0.0, 0.0
        for _ in row:
            left = [i for i in range(len(row)) if i not in lost]
            after = [row[[*lost, i]] @ covariance[np.ix_([*lost, i], [*lost, i])] @ row[[*lost, i]] for i in left]
            lost.append(left[int(np.argmin(after))])
            highest, error = max(highest, min(after) - error), min(after)
            assert found[lost[-1]] == pytest.approx(highest, rel=1e-5)


def test_of_uncorrelated_inputs_it_is_wanda_with_deviations():
    weights, covariance = layer(6)
    deviations = np.sqrt(np.diagonal(covariance))
    scores = elimination_scores(weights, np.diag(deviations**2))
    np.testing.assert_allclose(scores, activation_scores(weights, deviations) ** 2, rtol=1e-5)


def test_refining_lowers_each_error_and_is_near_the_best_mask():
    weights, covariance = layer(7, outputs=40)
    mask = compute_row_mask(np.abs(weights), 0.5)
    better = refine_mask(weights, mask, covariance)
    before, after = (errors(weights, weights * m, covariance) for m in (mask, better))
    assert (better.sum(1) == 4).all()
    assert (after <= before * (1 + 1e-9)).all()
    best = np.full(40, np.inf)
    for kept in combinations(range(8), 4):
        choice = np.isin(np.arange(8), kept)
        best = np.minimum(best, errors(weights, weights * choice, covariance))
    assert (after >= best * (1 - 1e-9)).all()
    found = [np.count_nonzero(error <= best * 1.000001) for error in (before, after)]
    assert found[1] > found[0] + 10, found  # rows of 40 that have the best of their 70 masks


@pytest.mark.parametrize("keep", [0, 8])
def test_refining_of_all_or_nothing(keep):
    weights, covariance = layer(8)
    mask = np.arange(8) < np.full((6, 1), keep)
    assert (refine_mask(weights, mask, covariance) == mask).all()


@pytest.mark.parametrize("ridge", [0, 0.01])
def test_refit_is_least_squares(ridge):
    weights, covariance = layer(9)
    mask = np.random.default_rng(10).random(weights.shape) < 0.5
    mask[0] = False
    found = refit_weights(weights, mask, covariance, ridge=ridge)
    assert not found[~mask].any()
    added = ridge * np.diagonal(covariance).mean()
    for row, kept, values in zip(weights.astype(np.float64), mask, found, strict=True):
        matrix = covariance[np.ix_(kept, kept)] + added * np.eye(kept.sum())
        expected = np.linalg.solve(matrix, covariance[kept] @ row + added * row[kept])
        np.testing.assert_allclose(values[kept], expected, rtol=1e-3, atol=1e-4)
    assert (errors(weights, found, covariance) <= errors(weights, weights * mask, covariance) * (1 + 1e-6)).all()


def test_inputs_that_never_vary_cost_nothing():
    weights = np.ones((2, 4), np.float32)
    covariance = np.diag([1.0, 0.0, 2.0, 0.0])
    assert elimination_scores(weights, covariance).tolist() == [[1, 0, 2, 0]] * 2
    mask = np.array([[False, True, True, True], [True, True, False, False]])
    assert refine_mask(weights, mask, covariance)[:, [0, 2]].all(axis=1).tolist() == [True, True]
    assert refit_weights(weights, mask, covariance, ridge=0).tolist() == mask.astype(float).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w, s: elimination_scores(w[0], s), "weights have shape"),
        (lambda w, s: elimination_scores(w, s[1:]), r"covariance has shape \(7, 8\)"),
        (lambda w, s: elimination_scores(w, s * np.nan), "covariance hold NaN"),
        (lambda w, s: refine_mask(w, w, s), "mask is float32"),
        (lambda w, s: errors(w, w[1:], s), "pruned has shape"),
        (lambda w, s: refit_weights(w, w > 0, s, ridge=-1), "ridge is -1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*layer(11))
