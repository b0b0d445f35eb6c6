"""Statistics of activations: exact parts against NumPy on the whole arrays, sketched parts inside their bounds."""

import copy
import operator
import pickle
from pathlib import Path

import numpy as np
import pytest
from contract.test_fuzz import damage, seal

import sketches
from sketches import CountMin, FormatError
from sketches.core import wire
from sketches.nn import StreamingStatistics
from sketches.nn.layer import WIDTH

RANDOM = np.random.default_rng(20)
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


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint16, bool])
@pytest.mark.parametrize("batches", [1, 7, 4000])
def test_moments_are_exact(dtype, batches):
    values = rectified().astype(dtype)[: 4000 if batches < 4000 else 500]
    assert_exact(fed(values, min(batches, len(values))).summary("hidden"), values)


def test_large_means_do_not_cancel():
    # A naive sum of squares would lose all 16 digits: 1e9² beside a variance of 1.
    values = 1e9 + RANDOM.normal(size=(5000, 3))
    summary = fed(values, 50).summary("hidden")
    assert summary.variance == pytest.approx(values.var(axis=0), rel=1e-6)


def test_equal_values_have_no_variance():
    # 1e8 + 0.1 is rounded, and so is every sum of it: deviations from a rounded mean would be about 1e-5.
    units = np.array([0.1, 1 / 7, 1e8 + 0.1, -3e-310, 0])
    parts = [fed(np.tile(units, (rows, 1)), 3) for rows in (3, 20_001, 10)]
    parts[0].observe("hidden", np.full((2, 5), np.nan))  # neither do parts without a value change anything
    for order in (parts, parts[::-1]):
        summary = (order[0] | (order[1] | order[2])).summary("hidden")
        assert (summary.variance == 0).all()
        assert (summary.mean == units).all()


def test_huge_values_stay_finite_or_say_infinite():
    values = np.array([[1e308, 1e200], [1e308, -1e200], [-1e308, 0], [1e308, 0]])
    summary = fed(values, 2).summary("hidden")
    assert summary.mean == pytest.approx([5e307, 0], rel=1e-15)
    assert np.isinf(summary.variance).all()
    largest = np.full((5, 2), np.finfo(float).max)
    assert (fed(largest, 3).summary("hidden").mean == largest[0]).all()


def test_not_finite_values_are_counted_and_left_out():
    values = rectified(500)
    for value, seed in ((np.nan, 1), (np.inf, 2), (-np.inf, 3)):
        values[np.random.default_rng(seed).random(values.shape) < 0.1] = value
    values[:, 3] = np.nan
    statistics = fed(values, 5)
    summary = statistics.summary("hidden")
    assert_exact(summary, values)
    assert summary.values.total == np.isfinite(values).sum()
    assert summary.mean[3] != summary.mean[3]
    assert 3 in summary.dead
    assert StreamingStatistics.from_bytes(statistics.to_bytes()) == statistics


def test_wide_layers_are_read_in_blocks():
    values = rectified(10, 70_000)
    assert_exact(fed(values, 1).summary("hidden"), values)


def test_wide_layers_are_read_in_tiles():
    units = 2 * WIDTH + 3
    values = np.tri(5, units, -1) + np.where(np.arange(units) >= units - 2, np.arange(5)[:, None] - 1, 0)
    values[2, [7, WIDTH, units - 1]] = np.nan
    for rows in (1, 2, 5):
        statistics = StreamingStatistics()
        for top in range(0, 5, rows):
            statistics.observe("hidden", values[top : top + rows])
        summary = statistics.summary("hidden")
        assert_exact(summary, values)
        assert round(summary.patterns) == len(np.unique(values > 0, axis=0))
        assert summary.values.total == np.isfinite(values).sum()
        assert summary.active["count"].sum() == (values > 0).sum()


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
    truth = (values > 0).sum(axis=0)
    active = summary.active
    assert (active["count"] - active["error"] <= truth[active["unit"]]).all()
    assert (truth[active["unit"]] <= active["count"]).all()
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
        (StreamingStatistics(top=5), "top is 512 here and 5 there"),
        (StreamingStatistics(epsilon=0.5), "epsilon is 0.001 here and 0.5 there"),
        (StreamingStatistics(seed=3), "seed is 0 here and 3 there"),
        (fed(np.ones((2, 9))), "layer 'hidden' has 4 units here and 9 there"),
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
        ("hidden", np.ones((2, 3, 4)), ValueError, r"shape \(2, 3, 4\)"),
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
        ({"top": 0}, ValueError, "top is 0"),
        ({"top": 1.5}, TypeError, "top is 1.5"),
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
    assert summary.patterns == summary.effective_units == 0
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
    # 72 bytes a unit; quantiles: 1 kB for each of the 29 octaves between 1e-6 and 500, doubled where the table grows;
    # 37 + 37 counters of 52 to 4 × 68 bytes; 2^12 registers of 4 bytes, twice; 5 × 512 counters of 8 bytes.
    assert sizes[-1] <= 72 * UNITS + 2 * 29 * 1024 + 2 * UNITS * 4 * 68 + 16_384 * 2 + 20_480


def test_bytes_copies_and_pickles(tmp_path):
    statistics = fed(rectified(), seed=9)
    statistics.observe("schöne\ud800 Schicht", np.ones((2, 2)))
    for other in (
        StreamingStatistics.from_bytes(statistics.to_bytes()),
        copy.copy(statistics),
        copy.deepcopy(statistics),
        pickle.loads(pickle.dumps(statistics)),
    ):
        assert other == statistics
        assert other.layers == statistics.layers
        other.observe("hidden", np.ones((1, UNITS)))
        assert other != statistics
    statistics.save(tmp_path / "layers.sketch")
    assert StreamingStatistics.from_bytes((tmp_path / "layers.sketch").read_bytes()) == statistics
    assert statistics != 3
    assert "hidden' (4,000 × 37)" in repr(statistics)
    assert "none yet" in repr(StreamingStatistics())
    assert StreamingStatistics.from_bytes(StreamingStatistics().to_bytes()) == StreamingStatistics()
    with pytest.raises(TypeError):
        hash(statistics)


def golden():
    """Whole numbers and powers of two: no rounding that a platform might do differently."""
    statistics = StreamingStatistics(top=8, epsilon=0.25, seed=3)
    statistics.observe("first", np.array([[1, 0, -2, np.nan], [3, 0, -4, 8], [0.5, 0, np.inf, 16]]))
    statistics.observe("zweite Schicht ü", np.eye(8))
    statistics.observe("first", np.array([[1.5, 0, np.nan, -np.inf]]))
    return statistics


def test_bytes_are_frozen():
    frozen = (Path(__file__).parents[1] / "golden" / "v1-StreamingStatistics.bytes").read_bytes()
    assert golden().to_bytes() == frozen
    assert StreamingStatistics.from_bytes(frozen) == golden()


def test_other_readers_refuse_kindly():
    with pytest.raises(FormatError, match="hold a CountMin"):
        StreamingStatistics.from_bytes(CountMin(width=4).to_bytes())
    with pytest.raises(FormatError, match="StreamingStatistics"):
        sketches.from_bytes(StreamingStatistics().to_bytes())
    with pytest.raises(FormatError, match="StreamingStatistics"):
        CountMin.from_bytes(StreamingStatistics().to_bytes())


def fields(statistics):
    _, envelope, values = wire.decode(statistics.to_bytes())
    return envelope, {key: np.array(value) if np.ndim(value) else value for key, value in values.items()}


def edited(change):
    """Bytes of a state that `change` has made impossible; count, nan, infinite, zero, fires of two units, 3 samples."""
    envelope, values = fields(fed(np.array([[1.0, 0], [2, 0], [3, np.nan]]), 1))
    envelope = change(values) or envelope
    return wire.encode("StreamingStatistics", envelope, values)


def put(name, index, value):
    def change(values):
        values[name][index] = value

    return change


def replace(name, value):
    def change(values):
        values[name] = value

    return change


def keyed(values):
    sketch = sketches.FlajoletMartin(key=bytes(16)).to_bytes()
    data, sizes = values["sketches"].tobytes(), values["sketch_sizes"]
    start, end = int(sizes[:3].sum()), int(sizes[:4].sum())
    values["sketches"] = np.frombuffer(data[:start] + sketch + data[end:], np.uint8)
    sizes[3] = len(sketch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("epsilon", 1.0), "epsilon is 1"),
        (replace("top", 31), "SpaceSaving has parameters"),
        (replace("samples", [3, 4]), "samples for 2 layers"),
        (replace("samples", [2**62]), "exceed"),
        (replace("name_sizes", [5]), "names have 6 values, not 5"),
        (replace("name_sizes", [5, 1]), "names for 2 parts"),
        (replace("units", [3]), "counts have"),
        (replace("units", [2**40]), "counts have"),
        (replace("sketch_sizes", [0, 0, 0, 0, 2**64 - 1]), "sketches have"),
        (put("names", 0, 255), "cannot be read"),
        (put("counts", 0, 4), "more activations than samples"),
        (put("counts", 2, 2**62), "more activations than samples"),
        (put("counts", 0, 2), "as many activations as there are samples"),
        (put("counts", 6, 4), "more zeros"),
        (put("counts", 9, 1), "more zeros"),
        (put("counts", 8, 2), "SpaceSaving of 3 items, not 2"),
        (put("moments", 0, np.nan), "NaN or negative"),
        (put("moments", 2, -1), "NaN or negative"),
        (put("moments", 0, 9), "outside the extremes"),
        (put("moments", 6, np.inf), "extreme is infinite"),
        (keyed, "cannot be read"),
        (lambda values: wire.Envelope(1, 0, 4, 4, 0), "3 samples, not the total 4"),
        (lambda values: wire.Envelope(1, 0, 3, 4, 0), "total is not the weight"),
        (lambda values: wire.Envelope(1, 0, 3, 3, 1), "nulls"),
        (lambda values: wire.Envelope(1, 5, 3, 3, 0), "Hasher"),
        (lambda values: wire.Envelope(0, 0, 3, 3, 0), "hash number 0"),
    ],
)
def test_impossible_states_are_refused(change, message):
    with pytest.raises(FormatError, match=message):
        StreamingStatistics.from_bytes(edited(change))


def test_hostile_bytes():
    valid = [StreamingStatistics().to_bytes(), fed(rectified(30, 8)).to_bytes(), fed(rectified(300)).to_bytes()]
    random = np.random.default_rng(8)
    loaded = 0
    for turn in range(1500):
        data = damage(valid[turn % 3], valid, random)
        data = seal(data) if random.random() < 0.9 else data
        try:
            statistics = StreamingStatistics.from_bytes(data)
        except FormatError:
            continue
        loaded += 1
        assert statistics.to_bytes() == data
        for layer in statistics.layers:
            statistics.summary(layer)
            try:
                statistics.observe(layer, np.ones((2, len(statistics.summary(layer).mean))))
            except OverflowError:
                continue
        statistics.copy()
    assert loaded < 750


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
