"""Ranges of quantisers, beside their definitions on the numbers themselves."""

import math

import numpy as np
import pytest

from sketches import Quantiles
from sketches.nn import CalibrationRange, calibration_range, unit_ranges
from sketches.nn.statistics.clipping import squared_errors
from sketches.nn.statistics.histogram import Histogram, histogram, magnitudes

RANDOM = np.random.default_rng(3)
STREAMS = {
    "normal": RANDOM.normal(size=20_000),
    "moved": RANDOM.normal(3, 1, size=20_000),
    "heavy": RANDOM.standard_t(2, size=20_000),
    "rectified": np.maximum(RANDOM.normal(-0.5, 1, size=20_000), 0),
    "negative": -RANDOM.lognormal(0, 1, size=20_000),
    "outlier": np.append(RANDOM.normal(size=20_000), 1e5),
    "integers": RANDOM.integers(-3, 9, 5000).astype(float),
    "one": np.array([2.5]),
    "zero": np.zeros(5),
    "tiny": RANDOM.normal(size=500) * 1e-42,
}
METHODS = ("minmax", "percentile", "mse", "entropy")


def sketch(numbers):
    values = Quantiles()
    values.update(np.asarray(numbers, np.float64))
    return values


def error(found, numbers):
    return float(np.mean((found.fake_quantize(numbers) - numbers) ** 2))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("name", STREAMS)
def test_every_range_is_a_quantiser(name, bits, symmetric, method):
    found = calibration_range(sketch(STREAMS[name]), method, bits=bits, symmetric=symmetric)
    assert found.low <= 0 <= found.high
    assert found.scale > 0
    assert found.quant_min <= found.zero_point <= found.quant_max
    assert found.low == found.scale * (found.quant_min - found.zero_point)
    assert found.high == found.scale * (found.quant_max - found.zero_point)
    expected = (-(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)
    assert (found.quant_min, found.quant_max) == expected
    assert found.fake_quantize(0.0) == 0
    if symmetric:
        assert found.zero_point == 0
    extent = np.abs(STREAMS[name]).max()
    if found.scale == np.finfo(np.float32).tiny or not extent:
        return  # no range is that narrow
    assert max(-found.low, found.high) <= extent * (1 + 2**-7) + found.scale / 2


def test_minmax_is_off_by_half_a_step_at_most():
    for name, numbers in STREAMS.items():
        found = calibration_range(sketch(numbers), "minmax")
        worst = np.abs(found.fake_quantize(numbers) - numbers).max()
        assert worst <= found.scale / 2 * (1 + 1e-9), name


@pytest.mark.parametrize("share", [0.8, 0.99, 0.999, 1.0])
def test_percentile(share):
    for name in ("rectified", "negative"):  # what is cut off lies at one end
        numbers = STREAMS[name]
        found = calibration_range(sketch(numbers), "percentile", share=share)
        exact = np.quantile(np.abs(numbers), share, method="inverted_cdf")
        end = max(-found.low, found.high)
        assert abs(end - exact) <= 2**-8 * exact
        assert min(-found.low, found.high) == 0
    numbers = STREAMS["heavy"]
    found = calibration_range(sketch(numbers), "percentile", share=share)
    ends = np.quantile(numbers, [(1 - share) / 2, (1 + share) / 2], method="inverted_cdf")
    for end, exact in zip((found.low, found.high), ends, strict=True):
        assert abs(end - exact) <= 2**-8 * abs(exact) + found.scale / 2
    found = calibration_range(sketch(numbers), "percentile", share=share, symmetric=True)
    exact = np.quantile(np.abs(numbers), share, method="inverted_cdf")
    assert abs(found.high - exact) <= 2**-8 * exact


def test_expected_errors_are_integrals():
    """Of values spread evenly inside their bins, beside a million points a bin; of single points exactly."""
    bins = Histogram(
        *map(np.array, ([-3.0, -0.2, 0.0, 0.7, 2.0], [-2.5, -0.1, 0.0, 0.7, 6.0], [3.0, 5.0, 9.0, 2.0, 4.0]))
    )
    for low, high, number_of_bits in ((-1.0, 3.0, 3), (-5.0, 9.0, 4), (0.0, 2.0, 8)):
        quantiser = CalibrationRange.between(low, high, bits=number_of_bits)
        expected = 0.0
        for start, end, count in zip(*bins, strict=True):
            points = np.linspace(start, end, 1_000_001)
            expected += count * error(quantiser, points) / bins.counts.sum()
        (found,) = squared_errors(
            bins, np.array([quantiser.scale]), np.array([float(quantiser.zero_point)]), quantiser.quant_max
        )
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ["normal", "moved", "heavy", "rectified", "negative", "outlier"])
def test_least_squared_error_beats_a_grid(name, bits, symmetric):
    """Of 40 × 40 pairs of ends, judged by all the numbers, none is better by more than 2 %.

    The search judges by the bins; what it picks may be another local minimum than what is best for these numbers.
    """
    numbers = STREAMS[name]
    found = calibration_range(sketch(numbers), "mse", bits=bits, symmetric=symmetric)
    low, high = min(numbers.min(), 0), max(numbers.max(), 0)
    shares = 2.0 ** -np.linspace(0, 14 if name == "outlier" else 6, 40)
    some = numbers[::10] if name != "outlier" else np.append(numbers[:-1:10], numbers[-1])
    best = (
        min(
            (
                error(CalibrationRange.between(low * a, high * b, bits=bits, symmetric=symmetric), some),
                low * a,
                high * b,
            )
            for a in (shares if low and not symmetric else [1.0 if not symmetric else 0.0])
            for b in (shares if high or symmetric else [1.0])
        )[1:]
        if not symmetric
        else min(
            (
                error(CalibrationRange.between(0, max(high, -low) * b, bits=bits, symmetric=True), some),
                0,
                max(high, -low) * b,
            )
            for b in shares
        )[1:]
    )
    rival = CalibrationRange.between(*best, bits=bits, symmetric=symmetric)
    assert error(found, numbers) <= 1.02 * error(rival, numbers)
    assert error(found, numbers) <= 1.001 * error(
        calibration_range(sketch(numbers), "minmax", bits=bits, symmetric=symmetric), numbers
    )


def test_entropy_ignores_outliers_and_zeros():
    numbers = STREAMS["normal"]
    plain = calibration_range(sketch(numbers), "entropy")
    spread = np.abs(numbers).max()
    assert 0.5 * spread <= plain.high <= 1.01 * spread
    outlier = calibration_range(sketch(STREAMS["outlier"]), "entropy")
    assert 0.5 * spread <= outlier.high <= 1.5 * spread  # and not 1e5, whose 2048 bins would have the rest in the first
    rectified = STREAMS["rectified"]
    with_zeros = calibration_range(sketch(rectified), "entropy")
    assert with_zeros == calibration_range(sketch(rectified[rectified > 0]), "entropy")


def test_entropy_is_that_of_the_definition():
    """Migacz's loop, written out, over the same 2048 bins."""
    numbers = np.random.default_rng(4).exponential(size=400_000)
    numbers = numbers[numbers < 5]  # so that the last bins hold 6 numbers each on average
    top = numbers.max()
    counts, _ = np.histogram(numbers, 2048, (0, top))
    best = []
    for length in range(128, 2049):
        reference = counts[:length].astype(float)
        reference[-1] += counts[length:].sum()
        candidate = np.zeros(length)
        for level in range(128):
            part = slice(level * length // 128, (level + 1) * length // 128)
            filled = counts[:length][part] > 0
            if filled.any():
                candidate[part][filled] = counts[:length][part].sum() / filled.sum()
        p, q = reference / reference.sum(), candidate / candidate.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(p > 0, p * np.log(p / q), 0)
        best.append(terms.sum())
    found = calibration_range(sketch(numbers), "entropy", symmetric=True)
    length = round(found.high / top * 2048)
    assert 128 <= length <= 2048
    # The sketch's bins are interpolated, which blurs single numbers far out: nearly as good, not the same.
    assert best[length - 128] <= min(best) + 0.1 * (max(b for b in best if math.isfinite(b)) - min(best))


def test_units():
    low, high = np.array([-1.0, 0.5, np.nan, 0.0]), np.array([3.0, 2.0, np.nan, 0.0])
    found = unit_ranges(low, high, symmetric=True)
    assert [one.scale for one in found] == [3 / 127, 2 / 127, 1.0, 1.0]
    assert [one.zero_point for one in unit_ranges(low, high, symmetric=False)] == [64, 0, 0, 0]  # 255 / 4, rounded
    with pytest.raises(ValueError, match="minimum and maximum have shapes"):
        unit_ranges(low, high[:2])


def test_infinities_and_nan_are_left_out():
    numbers = [*STREAMS["normal"], math.inf, -math.inf, math.nan]
    for method in METHODS[1:]:
        found = calibration_range(sketch(numbers), method, share=0.99)
        clean = calibration_range(sketch(STREAMS["normal"]), method, share=0.99)
        assert found.high == pytest.approx(clean.high, rel=0.01)
    with pytest.raises(ValueError, match="low and high are -inf and inf"):
        calibration_range(sketch(numbers), "minmax")


def test_refused():
    values = sketch([1.0])
    with pytest.raises(ValueError, match="method is 'best'; accepted are 'minmax', 'percentile', 'mse', 'entropy'"):
        calibration_range(values, "best")
    for bits in (1, 17):
        with pytest.raises(ValueError, match=f"bits is {bits}"):
            calibration_range(values, bits=bits)
    with pytest.raises(TypeError, match="bits"):
        calibration_range(values, bits=8.0)
    for share in (0, 1.5, math.nan):
        with pytest.raises(ValueError, match="share is"):
            calibration_range(values, "percentile", share=share)
    with pytest.raises(ValueError, match="no finite numbers"):
        calibration_range(sketch([math.nan, math.inf]))


def test_histograms():
    values = sketch([-2.0, 0.0, 0.0, 2.0, 5.0, math.inf])
    assert histogram(values).counts.tolist() == [1, 2, 1, 1]
    assert histogram(sketch([-2.0, 0.0, 5.0])).upper[-1] == 5.0
    found = magnitudes(values)
    assert found.counts.tolist() == [2, 1]
    assert magnitudes(sketch([-2.0, 0.0, 5.0])).upper[-1] == 5.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [2, 8])
def test_scales_fit_a_float32(method, bits):
    values = Quantiles()
    values.update(np.float32([-3.4028234e38, 1.0, 3.4028234e38]))
    for symmetric in (False, True):
        found = calibration_range(values, method, bits=bits, symmetric=symmetric)
        assert 0 < np.float32(found.scale) < np.inf
    values.add(-1e39)
    with pytest.raises(ValueError, match=r"above 2\*\*128"):
        calibration_range(values, method, bits=bits)
