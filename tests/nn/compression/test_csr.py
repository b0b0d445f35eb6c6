"""The product from codebook and indices beside NumPy's and SciPy's, on odd shapes, empty rows and all-zero matrices."""

import copy
import pickle

import numpy as np
import pytest

from sketches.nn import SharedCSR, SharedWeights, share_weights
from sketches.nn.compression import csr


def layer(rows, columns, share, entries, seed=0, sparse=True) -> SharedWeights:
    random = np.random.default_rng(seed)
    dtype = np.uint8 if entries < 256 else np.uint16
    if not sparse:
        return SharedWeights(
            random.integers(0, entries, (rows, columns)).astype(dtype), random.normal(size=entries).astype("f4"), False
        )
    kept = random.random((rows, columns)) < share * random.integers(0, 3, (rows, 1))  # a third of the rows is empty
    indices = np.where(kept, random.integers(1, entries + 1, (rows, columns)), 0).astype(dtype)
    return SharedWeights(indices, np.concatenate([[0], random.normal(size=entries)]).astype(np.float32), True)


SHAPES = [(1, 1), (7, 3), (33, 100), (5, 16), (16, 16), (40, 300), (0, 5), (5, 0)]


@pytest.mark.parametrize("entries", [1, 16, 17, 32, 33, 256])
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.08, 1.0])
def test_products_are_numpys(rows, columns, entries, share):
    shared = layer(rows, columns, share, entries, seed=entries, sparse=share < 1)
    dense = shared.dense()
    random = np.random.default_rng(1)
    for threads in (1, 3):
        matrix = SharedCSR(shared, threads=threads)
        assert (matrix.dense() == dense).all()
        assert matrix.size == (np.count_nonzero(shared.indices) if shared.sparse else dense.size)
        for batch in (None, 0, 1, 2, 3, 16, 17, 31, 34):
            x = random.normal(size=columns if batch is None else (columns, batch)).astype(np.float32)
            found, exact = matrix @ x, dense.astype(np.float64) @ x
            assert found.dtype == np.float32
            assert found.shape == exact.shape
            # n products and n sums, each off by 2**-24 of what it gives at most, which is below the sum of magnitudes
            n = np.diff(matrix.starts).reshape(-1, *[1] * (x.ndim - 1))
            bound = (n + 1) * 2.0**-23 * (np.abs(dense).astype(np.float64) @ np.abs(x))
            assert (np.abs(found - exact) <= bound).all()


def test_the_widest_matrix():
    single = SharedWeights(np.zeros((1, 65_536), np.uint8), np.float32([0, 2]), True)
    single.indices[0, -1] = 1
    assert (SharedCSR(single) @ np.arange(65_536)).tolist() == [131_070]


def test_whole_numbers_are_exact_in_any_order():
    indices = layer(50, 999, 0.3, 100).indices
    shared = SharedWeights(indices, np.arange(101, dtype=np.float32), True)
    x = np.random.default_rng(2).integers(-9, 9, (999, 21))
    for part in (x, x[:, 0], x[:, ::2], x.T.copy().T, x.astype(np.float64)):
        assert (SharedCSR(shared) @ part == shared.dense().astype(np.int64) @ part).all()


def test_scipy_reads_it():
    scipy = pytest.importorskip("scipy.sparse")
    shared = layer(40, 300, 0.2, 20)
    found = SharedCSR(shared).to_scipy_csr()
    assert isinstance(found, scipy.csr_array)
    assert found.has_canonical_format
    assert (found.toarray() == shared.dense()).all()
    assert found.indices.dtype == found.indptr.dtype == np.int32
    found.data[:9] = 0
    found.eliminate_zeros()  # it is the caller's own


def test_a_trained_layers_sizes_and_copies():
    weights = np.random.default_rng(3).normal(size=(30, 40)).astype(np.float32)
    weights[np.abs(weights) < 1.5] = 0
    matrix = SharedCSR(share_weights(weights, 4), threads=2)
    kept = np.count_nonzero(weights)
    assert matrix.nbytes == 3 * kept + 31 * 8 + 16 * 4
    assert repr(matrix) == f"<SharedCSR(30, 40): {kept} of 1,200 weights, {matrix.nbytes:,} bytes>"
    others = (pickle.loads(pickle.dumps(matrix, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1))
    for other in (matrix, copy.copy(matrix), copy.deepcopy(matrix), *others):
        assert (other @ np.eye(40) == matrix.dense()).all()
        for part in (other.columns, other.starts, other.entries, other.codebook):
            with pytest.raises(ValueError, match="read-only"):
                part[0] = 1


def test_buffers_that_a_pickle_came_in_stay_the_callers():
    matrix, buffers = SharedCSR(layer(30, 40, 0.5, 3)), []
    state = pickle.dumps(matrix, 5, buffer_callback=buffers.append)
    assert buffers
    lent = [bytearray(buffer.raw()) for buffer in buffers]
    other = pickle.loads(state, buffers=lent)
    for buffer in lent:
        buffer[:] = b"\xff" * len(buffer)
    assert (other @ np.eye(40) == matrix.dense()).all()


def test_pruned_weights_take_no_part():
    matrix = SharedCSR(SharedWeights(np.uint8([[0, 1], [1, 1]]), np.float32([0, 1]), True))
    for x in (np.array([np.inf, 1]), np.array([[np.inf] * 5, [1] * 5])):
        assert (matrix @ x == np.array([1, np.inf]).reshape(2, *[1] * (x.ndim - 1))).all()


@pytest.mark.parametrize(
    ("rows", "columns", "members"),
    [(0, 9, 0), (1, 1, 1), (65, 1, 1), (200, 1, 4), (60, 16, 1), (60, 32, 2), (60, 900, 4)],
)
def test_small_products_have_one_thread(monkeypatch, rows, columns, members):
    monkeypatch.setattr(csr, "share_work", lambda work, members: (work(), sizes.append(members)))
    sizes = []
    matrix = SharedCSR(layer(rows, 1000, 1, 5, sparse=False), threads=4)
    product = matrix @ np.ones((1000, columns))
    assert max(sizes, default=0) == members
    assert np.abs(product - matrix.dense().sum(axis=1)[:, np.newaxis]).max(initial=0) < 0.01


def test_threads_are_what_was_asked_for():
    matrix = SharedCSR(layer(1, 9, 1, 5), threads=3)
    assert matrix.threads == 3
    with pytest.raises(AttributeError):
        matrix.threads = 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SharedCSR(layer(3, 4, 1, 5), threads=0), ValueError, "threads is 0"),
        (
            lambda: SharedCSR(SharedWeights(np.zeros(4, np.uint8), np.zeros(1, np.float32), True)),
            ValueError,
            r"shape \(4,\)",
        ),
        (lambda: SharedCSR(layer(1, 65_537, 0.5, 5)), ValueError, "65537"),
        (lambda: SharedCSR(layer(3, 4, 1, 257)), ValueError, "257 entries"),
        (
            lambda: SharedCSR(SharedWeights(np.uint8([[0, 2]]), np.float32([0, 1]), True)),
            ValueError,
            "index 2 is beyond",
        ),
        (
            lambda: SharedCSR(SharedWeights(np.uint8([[1]]), np.float32([3, 1]), True)),
            ValueError,
            "entry 0 is",
        ),
        (lambda: SharedCSR(np.eye(3)), TypeError, "shared is of type ndarray"),
        (lambda: SharedCSR(layer(3, 4, 1, 5)) @ np.ones(3), ValueError, r"\(3, 4\) cannot be multiplied"),
        (lambda: SharedCSR(layer(3, 4, 1, 5)) @ np.ones((4, 1, 1)), ValueError, "cannot be multiplied"),
        (lambda: SharedCSR(layer(3, 4, 1, 5)) @ np.float32(1), ValueError, "cannot be multiplied"),
        (lambda: SharedCSR(layer(3, 4, 1, 5)) @ ["a"] * 4, TypeError, "the array: dtype"),
        (lambda: np.ones(3) @ SharedCSR(layer(3, 4, 1, 5)), TypeError, "unsupported"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
