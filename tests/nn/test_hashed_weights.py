"""HashedWeights: equal to the plain twin, its promises hold over seeds, and wrong bytes are refused."""

import copy
import pickle

import numpy as np
import pytest

import sketches
from sketches import FormatError
from sketches.core import wire
from sketches.nn import HashedWeights
from sketches.plain.hashed_weights import HashedWeights as Twin

RANDOM = np.random.default_rng(3)


def filled(shape=(7, 200), size=50, seed=0) -> HashedWeights:
    weights = HashedWeights(shape, size, seed=seed)
    weights.values[:] = RANDOM.normal(size=size)
    return weights


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("shape", [(7, 200), (1400,), (2, 7, 10, 10)])
def test_equals_twin(shape, seed):
    weights, twin = filled(shape, 50, seed), Twin(shape, 50, seed)
    twin.values = weights.values.tolist()
    assert weights.matrix().ravel().tolist() == twin.matrix()
    assert weights.matrix().shape == shape
    dense = RANDOM.integers(-9, 9, shape)  # whole numbers, so that sums are exact in any order
    assert weights.gradient(dense).tolist() == twin.gradient(dense.ravel().tolist())
    twin.fit(dense.ravel().tolist())
    fitted = HashedWeights.from_matrix(dense, 50, seed=seed)
    assert fitted.values.tolist() == np.array(twin.values, np.float32).tolist()


def test_blocks_of_rows_are_the_matrix():
    weights = filled((700, 1000), 999)  # three blocks
    matrix = weights.matrix()
    for start, stop in ((0, 0), (0, 1), (13, 600), (699, 700), (0, 700)):
        assert (weights.rows(start, stop) == matrix[start:stop]).all()
    x, y = RANDOM.normal(size=(1000, 3)), RANDOM.normal(size=(2, 700)).astype(np.float32)
    np.testing.assert_allclose(weights @ x, matrix @ x, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(weights @ x[:, 0], matrix @ x[:, 0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(y @ weights, y @ matrix, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(y[0] @ weights, y[0] @ matrix, rtol=1e-3, atol=1e-3)
    assert (y @ weights).dtype == np.float32
    dense = RANDOM.integers(-9, 9, matrix.shape)
    assert (weights.gradient(dense) @ weights.values.astype(np.float64)) == pytest.approx((dense * matrix).sum())
    wide = HashedWeights((2, 300_000), 10)
    wide.values[:] = 1
    assert (wide @ np.ones(300_000, np.float32) == wide.matrix().sum(axis=1)).all()


def test_gradient_is_the_derivative():
    weights = filled((5, 8), 6)
    target = RANDOM.normal(size=(5, 8))

    def loss(values):
        trial = HashedWeights((5, 8), 6)
        trial.values[:] = values
        return float(((trial.matrix() - target) ** 2).sum()) / 2

    slope = weights.gradient(weights.matrix() - target)
    for k in range(6):
        step = np.zeros(6, np.float32)
        step[k] = 0.5  # the loss is a parabola: central differences are exact
        assert loss(weights.values + step) - loss(weights.values - step) == pytest.approx(slope[k], rel=1e-4, abs=1e-4)


def test_from_matrix_is_the_least_squares_fit():
    matrix = RANDOM.normal(size=(20, 30))
    fitted = HashedWeights.from_matrix(matrix, 40)
    residual = fitted.matrix() - matrix
    assert np.abs(fitted.gradient(residual)).max() < 1e-5  # at the minimum of a parabola
    again = HashedWeights.from_matrix(fitted.matrix(), 40)
    np.testing.assert_allclose(again.values, fitted.values, rtol=1e-6)
    assert HashedWeights.from_matrix(np.ones(1, np.float16), 5).matrix() == 1


# Over R seeds, w and x fixed: each mean below is divided by its theoretical standard error, and lies within 5 of them
# for 999,999 of a million choices of seeds. Signs that were always +1 would shift the first mean by
# (sum w sum x - w.x) / K = 3,900, about 1,500 of its standard errors.

SEEDS, M, K = 400, 1000, 64
W, X = RANDOM.uniform(0, 1, M), RANDOM.uniform(0, 1, M)


def test_gradients_have_an_unbiased_inner_product():
    found = []
    for seed in range(SEEDS):
        weights = HashedWeights((M,), K, seed=seed)
        found.append(weights.gradient(W).astype(np.float64) @ weights.gradient(X))
    variance = ((W @ W) * (X @ X) + (W @ X) ** 2 - 2 * (W**2) @ (X**2)) / K
    errors = (np.array(found) - W @ X) / variance**0.5
    assert abs(errors.mean()) <= 5 / SEEDS**0.5
    # A sample variance has the standard error ((kurtosis - 1) / R)^0.5, in units of the variance. The product is a sum
    # over K = 64 buckets, so it is nearly normal: its kurtosis is close to 3, at most 4.
    assert abs(errors.var() - 1) <= 5 * (3 / SEEDS) ** 0.5


def test_the_fit_is_as_good_and_as_shrunk_as_stated():
    r = K / M * (1 - (1 - 1 / K) ** M)
    lost, inner = [], []
    for seed in range(SEEDS):
        matrix = HashedWeights.from_matrix(W, K, seed=seed).matrix().astype(np.float64)
        lost.append(((matrix - W) ** 2).sum())
        inner.append(matrix @ X)
    # Given the buckets, bucket b adds (sum s w)^2 / n_b to what is kept, and (sum s w)(sum s x) / n_b to the inner
    # product: 64 nearly independent terms. Their spread is taken from the replicas themselves.
    for found, expected in ((lost, (1 - r) * (W @ W)), (inner, r * (W @ X))):
        assert abs(np.mean(found) - expected) <= 5 * np.std(found) / SEEDS**0.5
        assert (
            np.std(found) / SEEDS**0.5 < 0.02 * W @ W
        )  # and the test is sharp: without shrinking it would fail by far


def test_values_keep_their_place_type_and_length():
    weights = filled()
    view, before = weights.values, weights.values.copy()
    for wrong, error in (
        (np.zeros(0, np.float32), ValueError),  # a hash would look up values that do not exist
        (np.zeros((50, 1)), ValueError),
        (1.0, ValueError),
        (["a"] * 50, TypeError),
    ):
        with pytest.raises(error, match="values"):
            weights.values = wrong
    assert (weights.values == before).all()
    weights.values = np.arange(100)[::2]
    weights.values -= 1
    assert view is weights.values
    assert view.dtype == np.float32
    assert view.tolist() == list(range(-1, 99, 2))
    assert HashedWeights.from_bytes(weights.to_bytes()).values.flags.writeable
    emptied = filled()
    emptied.values.resize(0, refcheck=False)
    for call in (emptied.matrix, lambda: emptied.gradient(np.ones((7, 200)))):
        with pytest.raises(ValueError, match="there are no"):
            call()


def test_bytes_files_pickles_and_copies(tmp_path):
    weights = filled(seed=9)
    data = weights.to_bytes()
    weights.save(tmp_path / "layer.weights")
    for other in (
        HashedWeights.from_bytes(data),
        HashedWeights.from_bytes((tmp_path / "layer.weights").read_bytes()),
        pickle.loads(pickle.dumps(weights)),
        copy.deepcopy(weights),
        weights.copy(),
    ):
        assert other == weights
        assert (other.shape, other.seed, other.size) == ((7, 200), 9, 50)
        assert (other.matrix() == weights.matrix()).all()
        other.values[0] += 1
        assert other != weights
        assert other != 5
    assert len(data) < weights.nbytes + 100
    with pytest.raises(FormatError, match="hold a HashedWeights, not a Sketch"):
        sketches.from_bytes(data)
    with pytest.raises(FormatError, match="hold a CountMin, not HashedWeights"):
        HashedWeights.from_bytes(sketches.CountMin(width=3).to_bytes())


def test_bytes_are_frozen():
    weights = HashedWeights((2, 3), 2, seed=1)
    weights.values[:] = 1.5, -0.25
    assert weights.to_bytes().hex() == FROZEN


FROZEN = (
    "534b43480109010001000000000000000000000000000000000000000000000000000000000000002800000000000000"
    "02000000000000000200000000000000030000000000000002000000000000000000c03f000080beee14541c"
)


def test_hostile_bytes():
    good = {"shape": (2, 3), "values": np.ones(2, np.float32)}
    for changes, envelope, message in (
        ({"shape": ()}, {}, "0 dimensions"),
        ({"shape": (1,) * 9}, {}, "9 dimensions"),
        ({"shape": (0, 3)}, {}, "shape is 0"),
        ({"shape": (2**40, 2**40)}, {}, "above 2"),
        ({"values": []}, {}, "no values"),
        ({}, {"hash": 0}, "hash number 0"),
        ({}, {"weight": 1}, "counted something"),
    ):
        data = wire.encode("HashedWeights", wire.Envelope(1, 0, 0, 0, 0)._replace(**envelope), {**good, **changes})
        with pytest.raises(FormatError, match=message):
            HashedWeights.from_bytes(data)
    data = filled().to_bytes()
    for end in range(len(data)):
        with pytest.raises(FormatError):
            HashedWeights.from_bytes(data[:end])
    huge = HashedWeights.from_bytes(
        wire.encode("HashedWeights", wire.Envelope(1, 0, 0, 0, 0), {**good, "shape": (2**40, 2**22)})
    )
    assert huge.nbytes == 8
    assert huge.rows(0, 0).shape == (0, 2**22)


def test_bad_arguments():
    weights = filled()
    for call, error, message in (
        (lambda: HashedWeights(5, 5), TypeError, "shape is 5"),
        (lambda: HashedWeights("55", 5), TypeError, "shape is '55'"),
        (lambda: HashedWeights((), 5), ValueError, "1 to 8 dimensions"),
        (lambda: HashedWeights((2.5,), 5), TypeError, r"shape is 2\.5"),
        (lambda: HashedWeights((0, 2), 5), ValueError, "shape is 0"),
        (lambda: HashedWeights((2**40, 2**40), 5), ValueError, "at most 2"),
        (lambda: HashedWeights((2, 2), 0), ValueError, "size is 0"),
        (lambda: HashedWeights((2, 2), 1, seed=-1), ValueError, "seed is -1"),
        (lambda: weights.rows(-1, 2), ValueError, "start is -1"),
        (lambda: weights.rows(3, 2), ValueError, "stop is 2"),
        (lambda: weights.rows(0, 8), ValueError, "stop is 8"),
        (lambda: weights @ np.ones(7), ValueError, r"\(7, 200\) cannot be multiplied with an array of shape \(7,\)"),
        (lambda: np.ones(200) @ weights, ValueError, "cannot be multiplied"),
        (lambda: weights @ np.ones((200, 1, 1)), ValueError, "cannot be multiplied"),
        (lambda: weights @ np.array(["a"] * 200), TypeError, "the array: dtype"),
        (lambda: filled((5,)) @ np.ones(5), ValueError, "needs two dimensions"),
        (lambda: weights.gradient(np.ones((200, 7))), ValueError, r"shape \(200, 7\); \(7, 200\) is accepted"),
        (lambda: weights.gradient(np.ones((7, 200), complex)), TypeError, "dtype complex128"),
        (lambda: HashedWeights.from_matrix([[1, np.nan]], 2), ValueError, "NaN"),
        (lambda: HashedWeights.from_matrix([1e300], 2), ValueError, "beyond the range"),
        (lambda: HashedWeights.from_matrix(["a"], 2), TypeError, "matrix: dtype"),
    ):
        with pytest.raises(error, match=message):
            call()
    with pytest.raises(TypeError):
        hash(weights)
    assert repr(filled()) == "<HashedWeights((7, 200), 50, seed=0): 200 bytes, 28 : 1>"
