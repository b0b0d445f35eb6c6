"""A batch reduced by PyTorch is what NumPy makes of it."""

import math

import numpy as np
import pytest
import torch

from sketches import Quantiles
from sketches.nn.torch.reduce import reduce

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
    reduced = reduce(tensor, axis, limits)
    wide = tensor.double().numpy()
    matrix = np.moveaxis(wide, axis, -1).reshape(-1, wide.shape[axis])
    finite = np.isfinite(matrix)
    assert reduced.samples == len(matrix)
    low, high = limits or (-np.inf, np.inf)
    beyond = ((matrix <= low) | (matrix >= high)) if limits else np.zeros_like(finite)
    masks = finite, np.isnan(matrix), np.isinf(matrix), matrix == 0, matrix > 0, beyond
    assert reduced.counts.tolist() == [mask.sum(axis=0).tolist() for mask in masks]
    for unit in range(matrix.shape[1]):
        column = matrix[finite[:, unit], unit]
        mean, squares, least, most = reduced.values[:, unit]
        assert (least, most) == ((column.min(), column.max()) if len(column) else (np.inf, -np.inf))
        if len(column):
            expected = math.fsum(column / len(column))
            with np.errstate(over="ignore"):
                exact = ((column - expected) ** 2).sum()
            rounding = len(column) * np.finfo(float).eps
            assert abs(mean - expected) <= rounding * np.abs(column).max()
            assert squares == exact or abs(squares - exact) <= 4 * rounding * exact
    values = Quantiles()
    values.update(matrix[finite])
    numbers, counts = values.bins()
    order = np.argsort(reduced.bins[0])
    assert reduced.bins[0][order].tolist() == numbers.tolist()
    assert reduced.bins[1][order].tolist() == counts.tolist()
    chunks = (
        (wide > 0).reshape(-1, wide.shape[-1])
        if axis == -1
        else (wide > 0).reshape(len(wide), math.prod(wide.shape[1:]))
    )
    assert np.array_equal(reduced.patterns, np.packbits(chunks, axis=1))


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
    edges = torch.arange(64).to(bits).view(dtype).reshape(-1, 4)  # the least magnitudes
    assert_reduced(torch.cat([tensor, edges, -edges]), -1, None)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (1, 9), (7, 8), (9, 17)])
def test_shapes(shape):
    assert_reduced(torch.randn(shape, generator=torch.Generator().manual_seed(1)), -1, None)


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 3, 0), (3, 5, 7)])
def test_shapes_of_channels_first(shape):
    assert_reduced(torch.randn(shape, generator=torch.Generator().manual_seed(1)), 1, None)


def test_means_of_the_largest_numbers_do_not_overflow():
    largest = torch.finfo(torch.float64).max
    reduced = reduce(torch.full((3, 1), largest, dtype=torch.float64))
    assert abs(reduced.values[0, 0] / largest - 1) < 1e-15
    reduced = reduce(torch.tensor([[largest], [-largest]], dtype=torch.float64))
    assert reduced.values[0, 0] == 0
    assert reduced.values[1, 0] == np.inf


def test_without_float64_moments_are_close(monkeypatch):
    from sketches.nn.torch import reduce as module

    monkeypatch.setattr(module, "WITHOUT_FLOAT64", ("cpu",))
    tensor = 1000 + torch.randn(50_000, 2, generator=torch.Generator().manual_seed(1))
    mean, squares, least, most = reduce(tensor).values
    wide = tensor.double().numpy()
    # float32 has 6e-8: of the mean 1000 that is 6e-5 each, and the errors of deviations of size 1 cancel to less
    assert np.abs(mean - wide.mean(axis=0)).max() < 1e-4
    assert np.abs(squares / len(wide) - wide.var(axis=0)).max() < 1e-4
    assert (least == wide.min(axis=0)).all() and (most == wide.max(axis=0)).all()
