"""Statistics of activations: what may be merged and observed, and what memory it takes."""

import operator

import numpy as np
import pytest
from nn.layers import UNITS, assert_exact, fed, rectified

from sketches import CountMin
from sketches.nn import StreamingStatistics


def limited(values, limits):
    statistics = StreamingStatistics()
    statistics.observe("hidden", values, limits=limits)
    return statistics


def test_merged_is_the_statistics_of_the_whole():
    values = rectified()
    values[10, 2], values[-10, 2] = np.nan, np.inf
    whole, left, right = fed(values), fed(values[:1500], 3), fed(values[1500:], 2)
    before = left.to_bytes(), right.to_bytes()
    merged = left | right
    assert (left.to_bytes(), right.to_bytes()) == before
    summary, expected = merged.summary("hidden"), whole.summary("hidden")
    assert_exact(summary, values)
    assert summary.values == expected.values
    assert summary.patterns == expected.patterns
    assert summary.energy == expected.energy
    assert (summary.rare == expected.rare).all()
    assert (summary.active == expected.active).all()
    left |= right
    assert left == merged


def test_merge_takes_over_layers_and_merges_with_itself():
    left, right = StreamingStatistics(), StreamingStatistics()
    left.observe("a", np.ones((2, 3)))
    right.observe("b", np.ones((4, 5)))
    left.merge(right)
    assert left.layers == ("a", "b")
    right.observe("b", np.ones((1, 5)))  # the layer was copied, not shared
    assert left.summary("b").samples == 4
    left.merge(left)
    assert left.summary("a").samples == 4
    assert left.summary("a").count.tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (StreamingStatistics(directions=5), "directions is 32 here and 5 there"),
        (StreamingStatistics(epsilon=0.5), "epsilon is 0.001 here and 0.5 there"),
        (StreamingStatistics(seed=3), "seed is 0 here and 3 there"),
        (fed(np.ones((2, 9))), "layer 'hidden' has 4 units here and 9 there"),
        (limited(np.ones((2, 4)), (0, 1)), r"layer 'hidden' has limits None here and \(0.0, 1.0\) there"),
    ],
)
def test_merge_refuses_what_does_not_fit(other, message):
    statistics = fed(np.ones((2, 4)))
    before = statistics.to_bytes()
    with pytest.raises(ValueError, match=message):
        statistics.merge(other)
    assert statistics.to_bytes() == before


def test_merge_refuses_other_classes():
    with pytest.raises(TypeError, match="cannot merge a StreamingStatistics with a CountMin"):
        StreamingStatistics().merge(CountMin(width=8))
    with pytest.raises(TypeError):
        StreamingStatistics() | 3
    with pytest.raises(TypeError):
        operator.ior(StreamingStatistics(), 3)


@pytest.mark.parametrize(
    ("layer", "activations", "error", "message"),
    [
        ("hidden", np.ones(5), ValueError, r"activations have shape \(5,\)"),
        ("hidden", np.ones((2, 3, 5)), ValueError, "layer 'hidden' have 5 units, before they had 4"),
        ("new", np.ones((2, 0)), ValueError, "one unit or more"),
        ("hidden", np.ones((2, 5)), ValueError, "layer 'hidden' have 5 units, before they had 4"),
        ("hidden", np.ones((2, 4), complex), TypeError, "dtype complex128"),
        ("hidden", [["a", "b", "c", "d"]], TypeError, "dtype <U1"),
        (3, np.ones((2, 4)), TypeError, "layer is 3"),
    ],
)
def test_bad_batches_change_nothing(layer, activations, error, message):
    statistics = fed(np.ones((2, 4)))
    before = statistics.to_bytes()
    with pytest.raises(error, match=message):
        statistics.observe(layer, activations)
    assert statistics.to_bytes() == before
    assert statistics.layers == ("hidden",)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"directions": 0}, ValueError, "directions is 0"),
        ({"directions": 1.5}, TypeError, "directions is 1.5"),
        ({"epsilon": 0}, ValueError, "epsilon is 0"),
        ({"epsilon": 1e-12}, ValueError, "epsilon is 1e-12"),
        ({"epsilon": "x"}, TypeError, "epsilon is 'x'"),
        ({"seed": -1}, ValueError, "seed is -1"),
    ],
)
def test_bad_parameters(options, error, message):
    with pytest.raises(error, match=message):
        StreamingStatistics(**options)


def test_unknown_layers_are_named():
    with pytest.raises(KeyError, match="'x'; known are 'hidden'"):
        fed(np.ones((2, 4))).summary("x")
    with pytest.raises(KeyError, match="none yet"):
        StreamingStatistics().summary("x")


def test_empty_batches():
    statistics = StreamingStatistics()
    statistics.observe("hidden", np.empty((0, 3)))
    summary = statistics.summary("hidden")
    assert summary.samples == 0
    assert np.isnan(summary.zeros).all()
    assert np.isnan(summary.mean).all()
    assert summary.dead.tolist() == summary.rare.tolist() == [0, 1, 2]
    assert summary.patterns == summary.effective_units == summary.effective_rank == summary.stable_rank == 0
    statistics.observe("hidden", [[1, 2, 3]])
    assert statistics.summary("hidden").mean.tolist() == [1, 2, 3]


def test_layouts_of_memory_do_not_matter():
    values = rectified(100)
    for other in (np.asfortranarray(values), np.repeat(values, 2, axis=1)[:, ::2], values.tolist()):
        assert fed(np.asarray(other), 1) == fed(values, 1)


def test_memory_does_not_grow_with_the_stream():
    statistics = StreamingStatistics()
    sizes = []
    for seed in range(30):
        statistics.observe("hidden", rectified(300, seed=seed) + (seed + 1e-3) * 1e-3)
        sizes.append(statistics.nbytes)
    assert sizes[-1] <= sizes[9] * 1.1
    # 88 bytes a unit; 64 directions of 4 bytes; quantiles: 1 kB for each of the 29 octaves between 1e-6 and 500,
    # doubled where the table grows; 2^12 registers of 4 bytes, twice.
    assert sizes[-1] <= (88 + 64 * 4) * UNITS + 2 * 29 * 1024 + 16_384 * 2


def test_a_layer_of_4096_units_takes_4_megabytes_after_a_billion_activations():
    statistics = StreamingStatistics()
    random = np.random.default_rng(4)
    for _ in range(8):
        signs = random.choice([-1, 1], (512, 4096))
        values = (signs * np.exp2(random.uniform(-148, 127.9, (512, 4096)))).astype(np.float32)  # all that float32 has
        statistics.observe("wide", values)
    statistics.observe("wide", random.normal(size=(512, 4096)))
    for _ in range(8):
        statistics.merge(statistics)
    assert statistics.summary("wide").samples * 4096 > 10**9
    assert statistics.nbytes <= 2_000_000  # half of what was promised


def test_overflow_is_refused():
    statistics = StreamingStatistics()
    statistics.observe("hidden", np.zeros((1, 1)))
    for _ in range(62):
        statistics.merge(statistics)
    assert statistics.summary("hidden").samples == 2**62
    before = statistics.to_bytes()
    with pytest.raises(OverflowError, match="beyond"):
        statistics.merge(statistics)
    assert statistics.to_bytes() == before
    wide = StreamingStatistics()
    wide.observe("hidden", np.full((1, 4), np.nan))  # no sketch counts them, so none refuses
    for _ in range(60):
        wide.merge(wide)
    with pytest.raises(OverflowError, match="activations of layer 'hidden'"):
        wide.merge(wide)
    assert wide.copy() == wide
