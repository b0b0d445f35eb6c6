"""The compiled pass over activations equals its plain twin `reduce_batch`: bit for bit, and moments within rounding."""

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from sketches import FlajoletMartin, Quantiles
from sketches._ext.activations import observe
from sketches.nn import Reduction, StreamingStatistics, reduce_batch, team
from sketches.nn.statistics import layer
from sketches.nn.statistics.moments import Moments
from sketches.nn.statistics.reduction import ROWS, sampled

# One unit and many; places below, at and above the lanes of a unit; tails of every kind.
SHAPES = [(0, 3), (1, 1), (5, 7), (130, 300), (3, 40, 5), (0, 2, 3), (2, 5, 0), (9, 4, 63), (6, 3, 64), (5, 2, 65)]
SHAPES += [(2, 3, 4, 5), (3, 2, 257), (7, 1, 640), (2, 300, 3), (4, 3, 1, 1), (2, 2, 70_000), (1, 140_000)]
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8, np.int64, np.uint16, bool, ">f4"]
SPECIAL = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -5e-324, 2.0**-149, -1.0, 3.5, 65504, -2e-8])


def drawn(shape, dtype, special, seed=3):
    random = np.random.default_rng(seed)
    values = random.normal(1, 3, shape)
    if special:
        places = random.random(shape) < 0.3
        values[places] = random.choice(SPECIAL, int(places.sum()))
    if np.dtype(dtype).kind in "biu":
        values = np.clip(np.nan_to_num(values, posinf=9, neginf=-9), 0, 100)
    return values.astype(dtype)


def assert_same(statistics, other, scale=1.0):
    """The states are equal, but for the rounding of moments: n additions are off by about n eps times the largest."""
    ours, theirs = statistics._layers["x"], other._layers["x"]
    np.testing.assert_array_equal(ours.moments.counts, theirs.moments.counts)
    np.testing.assert_array_equal(ours.moments.values[2:], theirs.moments.values[2:])
    np.testing.assert_allclose(ours.moments.values[0], theirs.moments.values[0], rtol=1e-12, atol=1e-13 * scale)
    np.testing.assert_allclose(ours.moments.values[1], theirs.moments.values[1], rtol=1e-11, atol=0)
    assert ours.values == theirs.values
    assert ours.patterns == theirs.patterns
    np.testing.assert_array_equal(ours.directions.rows, theirs.directions.rows)
    assert ours.samples == theirs.samples


def compared(values, axis, limits=None, batches=2):
    quick, slow = StreamingStatistics(), StreamingStatistics()
    for _ in range(batches):
        quick.observe("x", values, axis=axis, limits=limits)
        slow.absorb("x", reduce_batch(values, axis, limits), limits=limits)
    with np.errstate(invalid="ignore"):
        finite = np.abs(np.where(np.isfinite(values.astype(float)), values.astype(float), 0))
    assert_same(quick, slow, finite.max(initial=1))
    assert StreamingStatistics.from_bytes(quick.to_bytes()) == quick


@pytest.mark.filterwarnings("ignore:overflow encountered in cast", "ignore:invalid value")
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_compiled_pass_equals_its_twin(shape, dtype, special):
    values = drawn(shape, dtype, special)
    compared(values, 1, (-1, 3.5))
    compared(values, 1)
    if len(shape) == 2 or 0 not in shape:
        compared(values, -1, (0, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_layout_in_memory_does_not_matter(dtype):
    values = drawn((6, 8, 10), dtype, True)
    expected = StreamingStatistics()
    expected.observe("x", values, axis=1)
    others = np.asfortranarray(values), np.repeat(values, 2, axis=2)[:, :, ::2], values[::-1].copy()[::-1]
    for other in (*others, np.moveaxis(np.moveaxis(values, 1, 2).copy(), 2, 1)):
        statistics = StreamingStatistics()
        statistics.observe("x", other, axis=1)
        assert statistics == expected


def test_channels_first_are_rows_of_channels_but_for_patterns_and_rows():
    values = drawn((6, 5, 4, 3), np.float32, True)
    first, last = StreamingStatistics(), StreamingStatistics()
    first.observe("x", values, axis=1)
    last.observe("x", np.moveaxis(values, 1, 3))
    ours, theirs = first._layers["x"], last._layers["x"]
    assert (ours.moments.counts == theirs.moments.counts).all()
    assert ours.values == theirs.values
    assert ours.samples == theirs.samples == 72
    assert (ours.patterns.total, theirs.patterns.total) == (6, 72)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4000, 3), (40, 3, 100)])
def test_moments_do_not_cancel(shape, dtype):
    values = (1000 + np.random.default_rng(1).normal(size=shape)).astype(dtype)
    values[0, :] = -1e5  # the pivot is an outlier
    statistics = StreamingStatistics()
    statistics.observe("x", values, axis=1)
    exact = np.moveaxis(values, 1, -1).reshape(-1, 3).astype(np.longdouble)
    summary = statistics.summary("x")
    # The squares about the pivot are at most n + 1 = 4,001 times those about the mean, and n additions round them by
    # n × 2^-53 at most: 4,001 × 4,000 × 2^-53 = 1.8e-9.
    np.testing.assert_allclose(summary.variance, exact.var(axis=0).astype(float), rtol=2e-9)
    np.testing.assert_allclose(summary.mean, exact.mean(axis=0).astype(float), rtol=1e-12)


def test_numbers_that_overflow_squares_are_taken_slowly():
    values = np.array([[1e308, 1.0], [-1e308, 2.0], [1e200, 3.0]])
    quick, slow = StreamingStatistics(), StreamingStatistics()
    quick.observe("x", values)
    slow.absorb("x", reduce_batch(values))
    assert_same(quick, slow, 1e308)
    assert np.isinf(quick.summary("x").variance[0])


@pytest.mark.parametrize("axis", [0, 2, -2, None])
def test_other_axes_are_refused(axis):
    with pytest.raises(ValueError, match="axis is"):
        StreamingStatistics().observe("x", np.ones((2, 3, 4)), axis=axis)


def test_samples_are_spread_and_bounded():
    assert sampled(0).tolist() == []
    assert sampled(5).tolist() == [0, 1, 2, 3, 4]
    for samples in (ROWS + 1, 100, 256 * 576, 2**40):
        chosen = sampled(samples)
        assert ROWS // 2 <= len(chosen) <= ROWS
        assert (np.diff(chosen) > 0).all()
        assert 0 <= chosen[0] < chosen[-1] < samples
    assert len(set((sampled(256 * 576) % 576).tolist())) == ROWS  # not the same place of each image


def spoiled(**changes):
    return Reduction(**(vars(reduce_batch(np.arange(6.0).reshape(3, 2))) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": np.zeros((5, 2), np.int64)}, "counts of a reduction has shape"),
        ({"values": np.zeros((4, 3))}, "values of a reduction has shape"),
        ({"rows": np.zeros((2, 2))}, "rows of a reduction has shape .* of float64"),
        ({"patterns": np.zeros((3, 1), np.int8)}, "patterns of a reduction"),
        ({"samples": 2}, "more activations than samples"),
        ({"bins": (np.array([0, -1]), np.array([5, 1]))}, "do not ascend"),
        ({"bins": (np.array([0]), np.array([6]))}, "outermost"),
        ({"bins": (np.array([0]), np.array([-1]))}, "below 1"),
        ({"patterns": np.zeros((4, 1), np.uint8)}, "4 patterns of 3 samples"),
    ],
)
def test_impossible_reductions_change_nothing(changes, message):
    statistics = StreamingStatistics()
    statistics.observe("x", np.ones((2, 2)))
    before = statistics.to_bytes()
    with pytest.raises(ValueError, match=message):
        statistics.absorb("x", spoiled(**changes))
    assert statistics.to_bytes() == before


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_more_threads_change_nothing(monkeypatch, dtype):
    values = drawn((60, 90, 100), dtype, True)
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(team, "CORES", cores)
        found.append(StreamingStatistics())
        found[-1].observe("x", values, axis=1)
    assert found[0] == found[1]


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(601, 503), (130, 3, 27, 27), (3, 100_001)])
def test_parts_of_large_batches_equal_the_twin(shape, dtype, special):
    values = drawn(shape, dtype, special)
    assert values.size > 2 * layer.SMALL
    compared(values, 1, (-1, 3.5))


@pytest.mark.parametrize(("dtype", "last"), [(np.float32, 1.0), (np.float64, 1.0), (np.float64, 1e200)])
def test_blocks_of_a_part_equal_the_whole(dtype, last):
    values = drawn((2**17, 9), dtype, True)  # more than the 2^20 of which the compiled pass takes moments at a time
    values[-1] = last  # 1e200 has a square that overflows
    moments, expected, quantiles = Moments(9), Moments(9), Quantiles()
    bits, hashes, hasher = np.empty((2**17, 2), np.uint8), np.empty(2**17, np.uint64), FlajoletMartin().hasher
    observe(values[..., None], (-1, 3.5), [moments], bits, hasher, hashes, quantiles, lambda work, _: work(), 1)
    expected.observe(values.astype(np.float64), (-1, 3.5))
    np.testing.assert_array_equal(moments.counts, expected.counts)
    np.testing.assert_array_equal(moments.values[2:], expected.values[2:])
    np.testing.assert_allclose(moments.values[:2], expected.values[:2], rtol=1e-9)
    np.testing.assert_array_equal(bits, np.packbits(values > 0, axis=1))
    wanted, known = np.empty(2**17, np.uint64), Quantiles()
    hasher.fixed_bytes(bits, True, wanted)
    np.testing.assert_array_equal(hashes, wanted)
    known.update(values[np.isfinite(values)])
    assert quantiles == known


def test_every_bin_of_float32_is_found():
    random = np.random.default_rng(9)
    heads = random.permutation(np.repeat(np.arange(2**16, dtype=np.uint32), 3)).reshape(-1, 3)
    values = (heads << 16 | random.integers(0, 2**16, heads.shape, np.uint32)).view(np.float32)
    compared(values, -1)
    compared(np.repeat(values[:100], 300, axis=0), -1)  # the counters were left empty


def test_a_bin_of_all_values():
    compared(np.full((300, 1000), -0.3, np.float32), -1)


@pytest.mark.parametrize("rows", [1, 40_000])
@pytest.mark.parametrize(
    ("dtype", "bits"), [(np.float16, 0x7C01), (np.float32, 0x7F800001), (np.float64, 0x7FF << 52 | 1)]
)
def test_signalling_nans_are_nans(dtype, bits, rows):
    values = np.full((rows, 2), bits, f"u{np.dtype(dtype).itemsize}").view(dtype)
    values[:, 1] = 1
    compared(values, -1)
    compared(np.asfortranarray(values), -1)
    assert reduce_batch(values).counts[1].tolist() == [rows, 0]


def test_a_forked_process_has_a_second_thread_of_its_own():
    script = """if True:
        import os
        import numpy as np
        from sketches.nn import StreamingStatistics
        from sketches.nn import team
        team.CORES = 2
        values, before = np.ones((300, 1000), np.float32), StreamingStatistics()
        before.observe("x", values)  # starts the thread
        child = os.fork()
        after = StreamingStatistics()
        after.observe("x", values)
        assert after == before
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_minus_zero_is_zero(dtype):
    batch = -np.zeros((4, 2), dtype)
    batch[0] = [1, 1e300] if dtype == np.float64 else [1, 0]  # whose square overflows
    known = StreamingStatistics()
    known.absorb("a", reduce_batch(batch))
    known.observe("b", batch)
    for name in "ab":
        summary = known.summary(name)
        assert not np.signbit(summary.minimum).any()
        assert summary.values.quantile(0.0) == 0
    assert StreamingStatistics.from_bytes(known.to_bytes()) == known


def test_an_interrupted_batch_changes_nothing(monkeypatch):
    known = StreamingStatistics()
    known.observe("a", np.ones((4, 2), np.float32))
    before = known.to_bytes()

    def interrupted(work, members):
        work()
        raise KeyboardInterrupt  # as Python does it once compiled code returns

    monkeypatch.setattr(layer, "share_work", interrupted)
    for shape in ((4, 2), (100_000, 2)):
        with pytest.raises(KeyboardInterrupt):
            known.observe("a", np.ones(shape, np.float32))
        assert known.to_bytes() == before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("samples", [4, 50_000, 200_000])
def test_counts_agree_wherever_python_can_be_interrupted(dtype, samples, monkeypatch):
    known, values, seen = StreamingStatistics(), np.ones((samples, 2), dtype), set()
    known.observe("a", values)
    state = known._layers["a"]

    def step(frame, event, _):  # signals raise between lines, at calls and at returns
        fires = int(state.moments.counts[4].sum())
        assert 2 * state.samples == 2 * state.patterns.total == state.values.total == fires
        seen.add(fires)
        return step

    monkeypatch.setattr(team, "CORES", 1)
    before = sys.gettrace()
    sys.settrace(step)
    try:
        known.observe("a", values)
    finally:
        sys.settrace(before)
    assert seen == {2 * samples, 4 * samples}


def test_more_places_than_are_counted_at_once():
    many = np.broadcast_to(np.float32(0), (1, 1, 2**16, 2**15))
    with pytest.raises(ValueError, match="2147483648 places of a unit; at most 2147483647"):
        StreamingStatistics().observe("x", many, axis=1)
