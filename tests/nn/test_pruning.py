"""Pruning: thresholds against sorting everything, exactly; ties, scopes, passes, the schedule, and errors."""

import math

import numpy as np
import pytest

from sketches.nn import StreamingPruner, activation_scores, compute_mask, cubic_schedule, magnitude_scores

RANDOM = np.random.default_rng(8)
SPARSITIES = [0, 0.001, 0.3, 0.5, 0.9, 0.99, 0.9999]
MODELS = {
    "normal": {"a": RANDOM.normal(size=(60, 100)), "b": RANDOM.normal(0, 0.02, (5000,)), "c": RANDOM.normal(size=())},
    "float32": {"a": RANDOM.normal(size=(60, 100)).astype("f4"), "b": RANDOM.standard_cauchy(5000).astype("f4")},
    "half": {"a": RANDOM.normal(size=9000).astype("f2"), "empty": np.zeros((0, 3), "f2")},
    "ties": {"a": RANDOM.integers(-9, 9, 5000) / 8, "b": np.zeros(3000)},
    "constant": {"a": np.full(100, 0.3)},
    "one": {"a": np.array([2.0])},
    "tiny": {
        "a": RANDOM.integers(0, 2**18, 5000).astype(np.int32).view(np.float32),
        "b": np.full(3, -0.0),
    },  # subnormal
    "narrow": {"a": np.linspace(1, 1.0005, 4000)},  # all in one or two bins
    "huge": {"a": np.array([3.4e38, 3e38, 1.0, 2.0, 1e-30, 0.0])},
}


def passes(model, sparsity, *, refine, per_layer=False) -> StreamingPruner:
    pruner = StreamingPruner(sparsity, per_layer=per_layer)
    for name, weights in model.items():
        pruner.update(name, magnitude_scores(weights))
    if refine:
        for name, weights in reversed(model.items()):
            pruner.refine(name, magnitude_scores(weights))
    return pruner


def allowed(scores, k, ties) -> bool:
    """How far from k the number of pruned weights may be: half the ties, or all of them if all weights would go."""
    return ties if (scores <= np.sort(scores)[k - 1]).all() else ties / 2


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("name", MODELS)
def test_two_passes_are_exact_but_for_ties(name, sparsity):
    model = MODELS[name]
    pruner = passes(model, sparsity, refine=True)
    scores = np.concatenate([np.abs(weights.astype(np.float32)).ravel() for weights in model.values()])
    kept = {layer: pruner.mask(layer, magnitude_scores(weights)) for layer, weights in model.items()}
    assert all(kept[layer].shape == weights.shape for layer, weights in model.items())
    pruned = len(scores) - sum(int(mask.sum()) for mask in kept.values())
    assert pruner.achieved() == pruned / len(scores)
    assert pruned < len(scores)
    k = round(sparsity * len(scores))
    if k == 0:
        assert pruned == 0
        return
    wanted = np.sort(scores)[k - 1]
    ties = int((scores == wanted).sum())
    if ties == 1 and k < len(scores):
        assert (pruner.threshold(), pruned) == (wanted, k)
    assert abs(pruned - k) <= allowed(scores, k, ties)


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("name", MODELS)
def test_one_pass_is_within_half_a_bin(name, sparsity):
    model = MODELS[name]
    pruner = passes(model, sparsity, refine=False)
    scores = np.concatenate([np.abs(weights.astype(np.float32)).ravel() for weights in model.values()])
    pruned = int((scores <= pruner.threshold()).sum())
    assert pruner.achieved() == pruned / len(scores)
    k = round(sparsity * len(scores))
    if k:
        wanted = float(np.sort(scores)[k - 1])
        near = int((np.abs(scores.astype(np.float64) - wanted) <= wanted * 2**-9 + 2.0**-149).sum())
        whole = wanted * (1 + 2**-9) >= float(scores.max())  # the last bin may not go
        assert abs(pruned - k) <= (near if whole else near / 2)
    assert abs(pruned - k) <= len(scores) * 0.005 or name in (
        "ties",
        "constant",
        "one",
        "narrow",
        "huge",
        "half",
        "tiny",
    )


def test_layers_have_their_own_thresholds():
    model = MODELS["normal"] | {"empty": np.zeros((0, 2))}
    pruner = passes(model, 0.7, refine=True, per_layer=True)
    assert pruner.achieved("a") == 0.7
    assert pruner.achieved("b") == 0.7
    assert pruner.achieved("c") == 0  # one weight: rounds to one, but never do all go
    assert pruner.achieved("empty") == 0
    assert pruner.achieved() == 7_700 / 11_001
    assert pruner.threshold("a") > 10 * pruner.threshold("b")
    assert pruner.threshold("empty") == -math.inf
    assert pruner.mask("a", magnitude_scores(model["a"])).sum() == 1800


def test_one_threshold_takes_more_from_small_layers():
    model = {"small": RANDOM.normal(0, 0.1, 1000), "large": RANDOM.normal(0, 1, 1000)}
    pruner = passes(model, 0.5, refine=True)
    assert pruner.threshold("small") == pruner.threshold("large") == pruner.threshold()
    kept = {layer: int(pruner.mask(layer, magnitude_scores(weights)).sum()) for layer, weights in model.items()}
    assert kept["small"] + kept["large"] == 1000
    assert kept["small"] < 200 < 800 < kept["large"]


def test_many_blocks_are_one_tensor():
    weights = RANDOM.normal(size=(3, 200_000)).astype(np.float32)
    pruner = passes({"a": weights.T}, 0.99, refine=True)  # not contiguous
    order = np.sort(np.abs(weights), axis=None)
    assert pruner.threshold() == order[593_999]
    assert pruner.achieved() == (order <= order[593_999]).mean()


def test_scores():
    weights = np.array([[1.0, -2.0, 0.5], [-0.0, 3.0, -4.0]])
    assert magnitude_scores(weights).tolist() == [[1, 2, 0.5], [0, 3, 4]]
    assert magnitude_scores(weights.astype("f2")).dtype == np.float32
    assert activation_scores(weights, [1.0, 10.0, 100.0]).tolist() == [[1, 20, 50], [0, 30, 400]]
    kernels = np.ones((2, 3, 5, 5), np.float32)
    assert activation_scores(kernels, [1.0, 10.0, 100.0])[1, :, 4, 0].tolist() == [1, 10, 100]
    assert compute_mask([0.5, 1.0, 1.5], 1.0).tolist() == [False, False, True]


def test_schedule():
    # (1 - t)^3 of the way from 0.9 back to 0.1 is left: at a quarter 27/64, halfway 1/8.
    found = [cubic_schedule(step, 4, 0.9, 0.1) for step in (0, 1, 2, 4, 9)]
    assert found == pytest.approx([0.1, 0.9 - 0.8 * 27 / 64, 0.8, 0.9, 0.9])
    assert found[3] == found[4] == 0.9
    for low, high in ((0.05, 0.9), (1 - 2**-53, 0.3), (0.0, 0.7)):  # final + (initial - final) would round
        assert (cubic_schedule(0, 3, high, low), cubic_schedule(3, 3, high, low)) == (low, high)


def test_bad_arguments():
    good = np.ones((2, 2), np.float32)
    pruner = StreamingPruner(0.5)
    pruner.update("a", good)
    pruner.update("b", good)
    for call, error, message in (
        (lambda: StreamingPruner(1), ValueError, r"sparsity is 1; a number in \[0, 1\)"),
        (lambda: StreamingPruner(-0.1), ValueError, "sparsity is -0.1"),
        (lambda: StreamingPruner(math.nan), ValueError, "sparsity is nan"),
        (lambda: StreamingPruner("half"), TypeError, "sparsity is 'half'"),
        (lambda: StreamingPruner(True), TypeError, "sparsity is True"),
        (lambda: StreamingPruner(0.5).threshold(), ValueError, "no layers"),
        (lambda: StreamingPruner(0.5).achieved(), ValueError, "no layers"),
        (lambda: StreamingPruner(0.5, per_layer=True).threshold(), ValueError, "layer is missing"),
        (lambda: pruner.update("a", good), ValueError, "layer 'a' was given before"),
        (lambda: pruner.update(3, good), TypeError, "layer is 3"),
        (lambda: pruner.update("c", good * np.nan), ValueError, "scores of layer 'c' hold NaN"),
        (lambda: pruner.update("c", [1e300]), ValueError, "beyond the range"),
        (lambda: pruner.update("c", -good), ValueError, r"scores of layer 'c' hold -1\.0"),
        (lambda: pruner.update("c", [1j]), TypeError, "scores of layer 'c': dtype complex128 is not supported"),
        (lambda: pruner.refine("c", good), ValueError, "layer 'c' is unknown; update.. has seen a, b"),
        (lambda: pruner.mask("c", good), ValueError, "layer 'c' is unknown"),
        (lambda: pruner.threshold("c"), ValueError, "layer 'c' is unknown"),
        (lambda: pruner.achieved("a"), ValueError, "share one threshold"),
        (lambda: pruner.mask("a", good[0]), ValueError, r"shape \(2,\), before \(2, 2\)"),
        (lambda: pruner.refine("a", good[0]), ValueError, r"shape \(2,\), before \(2, 2\)"),
        (lambda: magnitude_scores([math.inf]), ValueError, "weights hold NaN, infinity"),
        (lambda: activation_scores(good, [1.0]), ValueError, r"shape \(1,\), but weights have shape \(2, 2\)"),
        (lambda: activation_scores(good[0], [1.0, 1.0]), ValueError, r"weights have shape \(2,\)"),
        (lambda: activation_scores(good, [1.0, -1.0]), ValueError, r"input_norms hold -1\.0"),
        (lambda: activation_scores(good * 1e30, [1e30, 1.0]), ValueError, "scores hold"),
        (lambda: cubic_schedule(-1, 5, 0.5), ValueError, "step is -1"),
        (lambda: cubic_schedule(1, 0, 0.5), ValueError, "steps is 0"),
        (lambda: cubic_schedule(1, 5, 1.0), ValueError, "final_sparsity is 1.0"),
        (lambda: cubic_schedule(1, 5, 0.5, -1), ValueError, "initial is -1"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert pruner.achieved() == 0  # all or none of the ties, and never all
    pruner.refine("a", good)
    with pytest.raises(ValueError, match=r"refine\(\) has not seen layer 'b'"):
        pruner.threshold()
    with pytest.raises(ValueError, match="layer 'a' was refined before"):
        pruner.refine("a", good)
    with pytest.raises(ValueError, match="comes after the second pass began"):
        pruner.update("c", good)
    pruner.refine("b", good * 2)
    with pytest.raises(ValueError, match="scores changed"):
        pruner.threshold()
