"""Quantisation to a grid: nearest without a price, cheaper with one, better with second derivatives."""

import math

import numpy as np
import pytest

from sketches.nn.compression import rate_distortion
from sketches.nn.compression.arithmetic import encode_arithmetic
from sketches.nn.compression.rate_distortion import on_grid, quantize, short_step


def pruned(seed, shape=(100, 200)):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.2, rng.laplace(size=shape), 0)


@pytest.mark.parametrize("shape", [(), (7,), (0,), (0, 3), (4, 5), (3, 2, 2, 2)])
def test_without_a_price_weights_go_to_the_nearest_level(shape):
    weights = np.random.default_rng(1).normal(size=shape)
    found = quantize(weights, 0.25).dense()
    assert (found == (np.rint(weights / 0.25) * 0.25).astype(np.float32)).all()


def test_a_price_makes_bits_fewer_and_no_weight_better_off_elsewhere():
    weights = pruned(2)
    sizes, errors = [], []
    for price in (0, 0.003, 0.03, 0.3):
        shared = quantize(weights, 0.25, price)
        sizes.append(len(encode_arithmetic(shared)))
        errors.append(((weights - shared.dense()) ** 2).sum())
        assert (shared.dense()[weights == 0] == 0).all()
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert sizes[2] < 0.8 * sizes[0]


def logit(p):
    return math.log(p / (1 - p))


def estimated_bits(levels, r, c, size):
    """What the docstring says: zero or not by row and column, the sign, and the magnitude by how frequent it is."""
    rows, columns = len(levels), len(levels[0])
    every = (sum(x != 0 for row in levels for x in row) + 0.5) / (rows * columns + 1)
    of_row = (sum(x != 0 for x in levels[r]) + 4 * every) / (columns + 4)
    of_column = (sum(row[c] != 0 for row in levels) + 4 * every) / (rows + 4) if rows >= 8 else every
    other = 1 / (1 + math.exp(-(logit(of_row) + logit(of_column) - logit(every))))
    if size == 0:
        return -math.log2(1 - other)
    counts = [0.3 + sum(min(abs(x), 40) == i for row in levels for x in row) for i in range(1, 41)]
    return -math.log2(other) + 1 - math.log2(counts[min(size, 40) - 1] / sum(counts))


@pytest.mark.parametrize("shape", [(12, 20), (3, 40)])
@pytest.mark.parametrize("weighed", [False, True])
def test_every_weight_goes_to_the_level_that_costs_least(shape, weighed):
    weights = pruned(6, shape)
    importance = np.random.default_rng(7).random(shape) * 2 if weighed else np.ones(shape)
    step, price = 0.25, 0.02
    levels = np.rint(weights / step).astype(int).tolist()
    for _ in range(2):
        new = [[0] * shape[1] for _ in levels]
        for r, c in zip(*np.nonzero(weights), strict=True):
            exact = abs(weights[r, c]) / step
            costs = {
                size: importance[r, c] * (step * (exact - size)) ** 2 + price * estimated_bits(levels, r, c, size)
                for size in (0, math.floor(exact), math.ceil(exact))
            }
            new[r][c] = int(math.copysign(min(costs, key=costs.get), weights[r, c]))
        levels = new
    assert (np.rint(weights / step) != levels).sum() >= 3  # it does change something
    found = quantize(weights, step, price, importance=importance if weighed else None)
    assert (found.dense() == np.array(levels) * step).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_blocks_change_nothing(monkeypatch, dtype):
    weights = pruned(8, (50, 30)).astype(dtype)
    importance = np.random.default_rng(9).random((50, 30))
    whole = quantize(weights, 0.3, 0.02, importance=importance).dense()
    assert (whole == quantize(weights.astype("f8"), 0.3, 0.02, importance=importance).dense()).all()
    monkeypatch.setattr(rate_distortion, "BLOCK", 70)
    assert (whole == quantize(weights, 0.3, 0.02, importance=importance).dense()).all()


def test_important_weights_keep_close():
    weights = pruned(3)
    importance = np.where(np.arange(200) < 100, 10.0, 0.1) * np.ones((100, 1))
    errors = (weights - quantize(weights, 0.5, 0.05, importance=importance).dense()) ** 2
    assert errors[:, :100].sum() < 0.5 * errors[:, 100:].sum()


def test_diagonal_curvature_is_importance():
    weights = pruned(4)
    found = quantize(weights, 0.25, curvature=lambda row, columns: np.eye(len(columns)))
    assert (found.dense() == quantize(weights, 0.25).dense()).all()


def test_errors_are_made_good():
    # Inputs that are nearly alike: what one weight loses the next one takes over.
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(1000, 1)) + 0.3 * rng.normal(size=(1000, 20))
    weights = rng.normal(size=(50, 20))
    second = inputs.T @ inputs / 1000
    plain = weights - quantize(weights, 0.5).dense()
    better = weights - quantize(weights, 0.5, curvature=lambda row, columns: second[np.ix_(columns, columns)]).dense()
    assert np.einsum("ri,ij,rj", better, second, better) < 0.5 * np.einsum("ri,ij,rj", plain, second, plain)


def test_steps_are_short_and_multiples_exact():
    for step in (0.1, 1 / 3, 1e-9, 12345.678):
        short = short_step(step)
        assert abs(short / step - 1) <= 2**-8
        assert float(np.float32(short)) == short
        shared = on_grid(np.arange(-100, 101), short)
        assert (shared.dense().astype(np.float64) == np.arange(-100, 101) * short).all()


def test_codebooks():
    shared = on_grid(np.array([[0, 3], [-2, 0]]), 0.5)
    assert shared.sparse
    assert shared.codebook.tolist() == [0, -1, -0.5, 0.5, 1, 1.5]
    dense = on_grid(np.array([2, 3, 5]), 0.5)
    assert not dense.sparse
    assert dense.codebook.tolist() == [1, 1.5, 2, 2.5]
    assert on_grid(np.array([-300, 300]), 0.5).indices.dtype == np.uint16


def test_bad_arguments():
    ones = np.ones((2, 3))
    for arguments, options, match in [
        ((ones, 0), {}, "step"),
        ((ones, np.inf), {}, "step"),
        ((ones, 1e-6), {}, "more than 32768"),
        ((ones * np.nan, 1), {}, "nan"),
        ((ones, 1, -1), {}, "price"),
        ((ones, 1, 1), {"importance": np.ones(3)}, "importance"),
        ((ones, 1, 1), {"importance": -ones}, "importance"),
        ((ones, 1), {"importance": ones, "curvature": lambda r, c: np.eye(3)}, "one of the two"),
        ((ones, 1), {"curvature": lambda r, c: np.eye(2)}, "curvature of row 0"),
        ((ones, 1), {"curvature": lambda r, c: -np.eye(3)}, "positive definite"),
    ]:
        with pytest.raises(ValueError, match=match):
            quantize(*arguments, **options)
    with pytest.raises(TypeError, match="weights"):
        quantize(np.array(["a"]), 1)
    with pytest.raises(TypeError, match="price is '1'"):
        quantize(ones, 1, "1")
    with pytest.raises(ValueError, match="levels"):
        on_grid(np.array([2**16]), 1)


def test_as_many_levels_as_indices_can_number():
    levels = np.array([-(2**15), 0, 2**15 - 1])
    assert on_grid(levels, 0.5).dense().tolist() == (levels * 0.5).tolist()
    with pytest.raises(ValueError, match="levels reach from -32768 to 32768; 65536 of them are accepted"):
        on_grid(np.array([-(2**15), 0, 2**15]), 0.5)


def test_importance_is_checked_without_a_price_too():
    with pytest.raises(ValueError, match="importance"):
        quantize([1.0, 2.0], 0.5, importance=[1.0])
