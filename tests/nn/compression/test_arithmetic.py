"""The arithmetic coder of weights: exact, as short as information, deaf to hostile bytes."""

import tracemalloc

import numpy as np
import pytest
from nn.coded import SHAPES, entropy, same, stands_hostile_bytes, weights

from sketches import FormatError
from sketches._ext import weight_code
from sketches.nn.compression.arithmetic import decode_arithmetic, encode_arithmetic
from sketches.nn.compression.codebook import write_head
from sketches.nn.compression.rate_distortion import on_grid
from sketches.nn.compression.shared import SharedWeights


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("entries", [1, 2, 3, 16, 256])
@pytest.mark.parametrize("sparse", [False, True])
def test_what_is_decoded_is_what_was_coded(shape, entries, sparse):
    shared = weights(shape, entries, sparse, 1)
    same(decode_arithmetic(encode_arithmetic(shared), shape), shared)


def test_indices_in_any_order_of_memory():
    shared = weights((7, 9, 4), 5, True, seed=1)
    turned = SharedWeights(shared.indices.T, shared.codebook, True)
    found = decode_arithmetic(encode_arithmetic(turned), (4, 9, 7))
    assert (found.indices == turned.indices).all()


def test_wide_indices_and_extreme_levels():
    rng = np.random.default_rng(2)
    for indices in (rng.integers(0, 2**16, (40, 50)), rng.choice([0, 1, 2**15, 2**16 - 1], (40, 50))):
        shared = SharedWeights(indices.astype(np.uint16), np.arange(2**16, dtype=np.float32) - 2**15, False)
        same(decode_arithmetic(encode_arithmetic(shared), (40, 50)), shared)


@pytest.mark.parametrize("zero", [False, True])
def test_large_dense_tensors_are_coded_quickly_and_exactly(zero):
    rng = np.random.default_rng(3)
    levels = (
        np.rint(rng.normal(size=(1100, 1000)) * 3).astype(np.int64) if zero else rng.choice([-3, -1, 2], (1100, 1000))
    )
    shared = on_grid(levels, 0.5)
    code = encode_arithmetic(shared)
    assert code[0] & 4
    same(decode_arithmetic(code, shared.indices.shape), shared)
    # 1.1 million independent symbols: some hundred contexts learn some ten bits each, 10**4 bits of 3 million
    assert len(code) < 1.005 * entropy(levels)


def test_independent_weights_take_their_entropy():
    rng = np.random.default_rng(4)
    levels = np.where(rng.random((500, 500)) < 0.1, np.rint(rng.laplace(size=(500, 500)) * 2), 0).astype(np.int64)
    size = len(encode_arithmetic(on_grid(levels, 0.5)))
    # The mean of code lengths is the entropy, and its standard error below 1 %: 250,000 weights of 0.8 bits, the
    # deviation of one below 3 bits: 3 / 0.8 / 500 = 0.75 %. What contexts cost that have nothing to say is below 2 %.
    assert 0.96 * entropy(levels) < size < 1.03 * entropy(levels)


def test_dead_rows_and_columns_cost_next_to_nothing():
    rng = np.random.default_rng(5)
    levels = np.zeros((200, 300), np.int64)
    rows, columns = rng.random(200) < 0.2, rng.random(300) < 0.2
    levels[np.ix_(rows, columns)] = rng.integers(1, 3, (rows.sum(), columns.sum())) * 2 - 3
    signs = rows.sum() * columns.sum() / 8  # bytes, at random
    size = len(encode_arithmetic(on_grid(levels, 0.5)))
    # Which rows and columns live: 500 * 0.72 bits = 45 bytes; each column learns this from a few rows.
    assert size < signs + 300
    live = levels.any(0)
    told = encode_arithmetic(on_grid(levels, 0.5), live)
    assert len(told) < signs + 130
    same(decode_arithmetic(told, (200, 300), live), on_grid(levels, 0.5))


def test_what_is_expected_need_not_be_true():
    rng = np.random.default_rng(6)
    levels = rng.integers(-2, 3, (50, 60))
    shared = on_grid(levels, 0.5)
    for live in (np.zeros(60, bool), np.ones(60, bool), rng.random(60) < 0.5):
        same(decode_arithmetic(encode_arithmetic(shared, live), (50, 60), live), shared)


def test_columns_alike_at_a_distance_are_found():
    # Four columns of seven are dense, and there is but one row to learn it from.
    levels = np.zeros((1, 3500), np.int64)
    levels[:, np.isin(np.arange(3500) % 7, (0, 1, 3, 6))] = 1
    shared = on_grid(levels, 0.5)
    code = encode_arithmetic(shared)
    lag = code[len(write_head(shared))]
    assert lag % 7 == 0
    alike = weight_code.encode(levels.astype(np.int32), lag, True, False, 0, 1)
    other = weight_code.encode(levels.astype(np.int32), 5, True, False, 0, 1)
    assert len(alike) < 0.7 * len(other)


def test_order_matters_not_to_what_is_a_zero():
    # A codebook in any order, with zero anywhere, twice, negative: levels come from its values.
    for book in ([0.5, 0, -0.5], [0, 0, 1], [-0.0, 0.0], [3, 2, 1], [-1, -2], [1e-30, -1e30, 7]):
        shared = SharedWeights(np.arange(len(book), dtype=np.uint8).repeat(9), np.array(book, np.float32), False)
        same(decode_arithmetic(encode_arithmetic(shared), shared.indices.shape), shared)


@pytest.mark.parametrize("entries", [2, 16, 200])
@pytest.mark.parametrize("sparse", [False, True])
def test_hostile_bytes(entries, sparse):
    rng = np.random.default_rng([8, entries])
    code = encode_arithmetic(weights((20, 30), entries, sparse, 8))
    stands_hostile_bytes(decode_arithmetic, code, (20, 30), 300, rng)


def test_bytes_that_follow_are_refused():
    code = encode_arithmetic(weights((20, 30), 16, True, 9))
    with pytest.raises(FormatError, match="no code of weights"):
        decode_arithmetic(code + b"12345678", (20, 30))


def test_bad_arguments():
    good = np.zeros((2, 3), np.uint8)
    one = np.zeros(1, np.float32)
    for shared, error, match in [
        (SharedWeights(good.astype(np.int32), one, True), TypeError, "int32"),
        (SharedWeights(good, one.astype(np.float64), True), TypeError, "float64"),
        (SharedWeights(good + np.uint8(1), one, True), ValueError, "index 1"),
        (SharedWeights(good, one + np.inf, False), ValueError, "inf"),
        (SharedWeights(good, one + 1, True), ValueError, "entry 0"),
        (SharedWeights(good, np.zeros(257, np.float32), True), ValueError, "257"),
    ]:
        with pytest.raises(error, match=match):
            encode_arithmetic(shared)
    shared = SharedWeights(good, one, True)
    for live in (np.ones(2, bool), np.ones(3, np.uint8)):
        with pytest.raises(ValueError, match="live"):
            encode_arithmetic(shared, live)
    for shape in ((-1, 2), (2**30, 2**30)):
        with pytest.raises(ValueError, match="shape"):
            decode_arithmetic(encode_arithmetic(shared), shape)
    with pytest.raises(TypeError, match="shape"):
        decode_arithmetic(encode_arithmetic(shared), "ab")
    with pytest.raises(TypeError, match="data"):
        decode_arithmetic(3, (2, 3))


def test_long_rows_take_no_more_memory_than_their_levels():
    shared = SharedWeights(np.zeros((1, 2**21), np.uint8), np.zeros(1, np.float32), True)
    tracemalloc.start()
    encode_arithmetic(shared)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21 * 8 + 2**17 * 100  # bytes: 4 of a level; what looks for lags, of so many columns
