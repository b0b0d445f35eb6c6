"""A batch reduced by PyTorch is what NumPy makes of it."""

import numpy as np
import pytest
import torch

from sketches.nn import StreamingStatistics
from sketches.nn.statistics.reduction import reduce_batch as with_numpy
from sketches.nn.torch.reduce import reduce_batch

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def special(dtype):
    """Numbers of every kind in three units: of all magnitudes, special, and close together far from zero."""
    random = np.random.default_rng(1)
    kind = torch.finfo(dtype)
    low, high = np.log2(kind.smallest_normal) - 6, np.log2(kind.max)  # from below the normal numbers on
    wide = torch.from_numpy(np.exp2(random.uniform(low, high, 40)) * random.choice([-1, 1], 40))
    odd = [0.0, -0.0, torch.nan, torch.inf, -torch.inf, kind.max, kind.min, kind.smallest_normal, kind.eps, 1.0, -1.0]
    odd = torch.tensor(odd * 4, dtype=torch.float64)[:40]
    near = torch.from_numpy(1000 + random.normal(size=40))
    return torch.stack([wide, odd, near], 1).to(dtype)


def assert_reduced(tensor, axis, limits):
    reduced, twin = reduce_batch(tensor, axis, limits), with_numpy(tensor.double().numpy(), axis, limits)
    assert reduced.samples == twin.samples
    assert np.array_equal(reduced.counts, twin.counts)
    assert np.array_equal(reduced.bins, twin.bins)
    assert np.array_equal(reduced.patterns, twin.patterns)
    assert np.array_equal(reduced.rows, twin.rows, equal_nan=True)
    assert [part.dtype for part in (reduced.counts, reduced.values, *reduced.bins, reduced.patterns, reduced.rows)] == [
        part.dtype for part in (twin.counts, twin.values, *twin.bins, twin.patterns, twin.rows)
    ]
    assert np.array_equal(reduced.values[2:], twin.values[2:])
    # n additions in any order are off by n eps at most, relative to the sizes of what is added
    rounding = max(reduced.samples, 1) * np.finfo(float).eps
    largest = np.where(twin.counts[0] > 0, np.abs(twin.values[2:]).max(axis=0), 0)
    assert (np.abs(reduced.values[0] - twin.values[0]) <= rounding * largest).all()
    finite = np.isfinite(twin.values[1])
    assert np.array_equal(np.isfinite(reduced.values[1]), finite)
    squares, exact = reduced.values[1, finite], twin.values[1, finite]
    # deviations are off by rounding * largest each, which the second pass takes off to the first order
    assert (np.abs(squares - exact) <= 4 * rounding * exact + reduced.samples * (rounding * largest[finite]) ** 2).all()
    StreamingStatistics().absorb("layer", reduced, limits=limits)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("limits", [None, (-0.5, 1.0)])
def test_rows_of_units(dtype, limits):
    assert_reduced(special(dtype), -1, limits)
    assert_reduced(special(dtype).reshape(4, 10, 3), -1, limits)


@pytest.mark.parametrize("dtype", DTYPES)
def test_channels_first(dtype):
    tensor = special(dtype).reshape(5, 2, 2, 2, 3)
    assert_reduced(tensor, 1, (-0.5, 1.0))
    assert_reduced(tensor[..., 0].contiguous(memory_format=torch.channels_last), 1, None)
    assert_reduced(tensor.transpose(0, 3), 1, None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_magnitudes_have_the_bins_of_quantiles(dtype):
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    width = 8 * dtype.itemsize
    random = np.random.default_rng(2)
    some = random.integers(-(2 ** (width - 1)), 2 ** (width - 1), 20_000)
    tensor = torch.from_numpy(some).to(bits).view(dtype).reshape(-1, 4)
    tensor = torch.where(tensor.isnan(), torch.nan, tensor)  # NumPy warns of signalling NaN
    edges = torch.arange(64).to(bits).view(dtype).reshape(-1, 4)  # the least magnitudes
    assert_reduced(torch.cat([tensor, edges, -edges]), -1, None)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (1, 9), (7, 8), (9, 17)])
def test_shapes(shape):
    assert_reduced(torch.randn(shape, generator=torch.Generator().manual_seed(1)), -1, None)


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 5, 7)])
def test_shapes_of_channels_first(shape):
    assert_reduced(torch.randn(shape, generator=torch.Generator().manual_seed(1)), 1, None)


def test_means_of_the_largest_numbers_do_not_overflow():
    largest = torch.finfo(torch.float64).max
    reduced = reduce_batch(torch.full((3, 1), largest, dtype=torch.float64))
    assert abs(reduced.values[0, 0] / largest - 1) < 1e-15
    reduced = reduce_batch(torch.tensor([[largest], [-largest]], dtype=torch.float64))
    assert reduced.values[0, 0] == 0
    assert reduced.values[1, 0] == np.inf


def test_without_float64_moments_are_close(monkeypatch):
    from sketches.nn.torch import reduce as module

    monkeypatch.setattr(module, "WITHOUT_FLOAT64", ("cpu",))
    tensor = 1000 + torch.randn(50_000, 2, generator=torch.Generator().manual_seed(1))
    mean, squares, least, most = reduce_batch(tensor).values
    wide = tensor.double().numpy()
    # float32 has 6e-8: of the mean 1000 that is 6e-5 each, and the errors of deviations of size 1 cancel to less
    assert np.abs(mean - wide.mean(axis=0)).max() < 1e-4
    assert np.abs(squares / len(wide) - wide.var(axis=0)).max() < 1e-4
    assert (least == wide.min(axis=0)).all()
    assert (most == wide.max(axis=0)).all()
