"""Shared weights: nearest means, exact where they can be, in one piece or block by block; gradients of centroids."""

import tracemalloc

import numpy as np
import pytest

from sketches.nn import SharedWeights, StreamingSharer, centroid_gradients, share_weights
from sketches.nn.compression.clustering import STARTS

RANDOM = np.random.default_rng(11)


def pruned(shape=(40, 50), share=0.2):
    return (RANDOM.normal(size=shape) * (RANDOM.random(shape) < share)).astype(np.float32)


@pytest.mark.parametrize("start", STARTS)
def test_kept_weights_are_means_and_pruned_ones_zero(start):
    weights = pruned()
    shared = share_weights(weights, 4, start=start)
    assert shared.sparse
    assert shared.indices.dtype == np.uint8
    assert shared.codebook.dtype == np.float32
    assert shared.codebook[0] == 0
    assert ((shared.indices == 0) == (weights == 0)).all()
    assert len(shared.codebook) <= 17
    for entry in range(1, len(shared.codebook)):
        own = weights[shared.indices == entry]
        assert shared.codebook[entry] == np.float32(own.mean(dtype=np.float64))
    # each is the nearest entry: at the optimum, or where Lloyd has settled, means do not move on
    distances = np.abs(weights[weights != 0][:, None] - shared.codebook[1:])
    assert (distances.argmin(axis=1) + 1 == shared.indices[weights != 0]).all()


def test_few_different_weights_are_kept_exactly():
    values = RANDOM.normal(size=16).astype(np.float32)
    for weights in (RANDOM.choice(values, (30, 30)), np.where(RANDOM.random((30, 30)) < 0.5, 0, values[0])):
        weights = weights.astype(np.float32)
        assert (share_weights(weights, 4).dense() == weights).all()
    close = np.float32([1, np.nextafter(np.float32(1), np.float32(2)), 3])
    assert (share_weights(close, entries=3).dense() == close).all()


def test_more_bits_never_cost_more_and_256_values_with_zero_need_two_bytes():
    weights = pruned((100, 100), 0.9)
    errors = []
    for bits in range(1, 9):
        shared = share_weights(weights, bits)
        errors.append(float(((shared.dense() - weights) ** 2).sum()))
        assert shared.indices.dtype == (np.uint16 if bits == 8 else np.uint8)
    assert (np.diff(errors) < 0).all()
    assert share_weights(weights + 10, 8).indices.dtype == np.uint8  # none is zero


def test_mask_shapes_and_empty_arrays():
    weights = np.float32([[1, 2], [3, 4]])
    shared = share_weights(weights, 1, mask=np.array([[True, False], [True, True]]))
    assert shared.dense().tolist() == [[1, 0], [3.5, 3.5]]
    full = share_weights([[0.0, 1.0]], 1, mask=np.array([[True, True]]))
    assert not full.sparse
    assert full.dense().tolist() == [[0, 1]]
    for array in (np.zeros((0, 3)), np.zeros((2, 2)), np.float32(5), np.float32(0), np.ones((2, 0))):
        shared = share_weights(array, 2)
        assert isinstance(shared, SharedWeights)
        assert shared.indices.shape == np.shape(array)
        assert (shared.dense() == array).all()


def test_importances_move_the_means():
    shared = share_weights([1.0, 2.0, 10.0], entries=2, importances=[3.0, 1.0, 0.0])
    assert shared.dense().tolist() == [1, 2, 2]  # what does not count has no part in a mean, but the nearest
    shared = share_weights([1.0, 2.0, 9.0, 10.0], entries=2, importances=[3.0, 1.0, 1.0, 1.0])
    assert shared.dense().tolist() == [1.25, 1.25, 9.5, 9.5]


@pytest.mark.parametrize("start", STARTS)
def test_blocks_are_shared_as_the_whole_is(start):
    weights = pruned((200, 300), 0.5)  # some 30,000 are kept: a sketch counts them in both
    sharer = StreamingSharer(4, start=start, seed=2)
    for block in np.array_split(weights, 7):
        sharer.update(block)
    begin = sharer.codebook
    indices = np.concatenate([sharer.indices(block) for block in np.array_split(weights, 5)])
    whole = share_weights(weights, 4, start=start, seed=2)
    assert sharer.sparse
    assert (indices == whole.indices).all()
    np.testing.assert_allclose(sharer.codebook, whole.codebook, rtol=1e-6)

    def cost(codebook):
        return float(((codebook[indices].astype(np.float64) - weights) ** 2).sum())

    assert cost(sharer.codebook) < cost(begin)  # means of the weights, not of the bins' middles
    exact = share_weights(weights[:50], 4)
    part = StreamingSharer(4)
    part.update(weights[:50])
    approximate = part.indices(weights[:50])
    bound = np.linalg.norm(exact.dense() - weights[:50]) + 2 * 2**-10 * np.linalg.norm(weights[:50])
    assert np.linalg.norm(part.codebook[approximate] - weights[:50]) <= bound


def test_gradients_of_centroids_are_sums():
    shared = share_weights(pruned(), 3)
    slopes = RANDOM.integers(-9, 9, shared.indices.shape)  # whole numbers: sums are exact in any order
    found = centroid_gradients(slopes, shared.indices, len(shared.codebook))
    assert found.tolist() == [slopes[shared.indices == entry].sum() for entry in range(len(shared.codebook))]
    # the derivative of a parabola by each entry, from central differences
    target = RANDOM.normal(size=shared.indices.shape)
    slope = centroid_gradients(shared.dense() - target, shared.indices, len(shared.codebook))
    for entry in range(len(shared.codebook)):
        step = np.zeros(len(shared.codebook))
        step[entry] = 0.5
        up, down = (((shared.codebook + sign * step)[shared.indices] - target) ** 2 / 2 for sign in (1, -1))
        assert up.sum() - down.sum() == pytest.approx(slope[entry], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: share_weights([1.0]), ValueError, "bits is None, and entries is None"),
        (lambda: share_weights([1.0], 2, entries=3), ValueError, "bits is 2, and entries is 3"),
        (lambda: share_weights([1.0], 0), ValueError, "bits is 0"),
        (lambda: share_weights([1.0], True), TypeError, "bits is True"),
        (lambda: share_weights([1.0], entries=1025), ValueError, "entries is 1025"),
        (lambda: share_weights([1.0], 2, start="linea"), ValueError, "start is 'linea'"),
        (lambda: share_weights([[1.0, np.nan]], 2), ValueError, r"weights hold nan at \[0, 1\]"),
        (lambda: share_weights([1.0, -np.inf], 2), ValueError, r"weights hold -inf at \[1\]"),
        (lambda: share_weights(1e300, 2), ValueError, r"weights hold 1e\+300;"),
        (lambda: share_weights(["a"], 2), TypeError, "weights: dtype"),
        (lambda: share_weights([1.0], 2, mask=[1]), ValueError, "mask is int64"),
        (lambda: share_weights([1.0], 2, mask=[True, True]), ValueError, r"mask is bool of shape \(2,\)"),
        (lambda: share_weights([1.0], 2, importances=[1.0, 2.0]), ValueError, "importances have shape"),
        (lambda: share_weights([1.0], 2, importances=[-1.0]), ValueError, r"importances hold -1\.0"),
        (lambda: share_weights([1.0], 2, importances=[0.0]), ValueError, "are all 0"),
        (lambda: centroid_gradients([1.0], [0.0], 1), TypeError, "indices are of dtype float64"),
        (lambda: centroid_gradients([1.0], [0, 1], 1), ValueError, "gradients have shape"),
        (lambda: centroid_gradients([1.0], [1], 1), ValueError, r"indices lie in \[1, 1\]"),
        (lambda: StreamingSharer(), ValueError, "bits is None"),
        (lambda: StreamingSharer(2, start="x"), ValueError, "start is 'x'"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_passes_come_in_their_order_and_over_the_same_weights():
    sharer = StreamingSharer(1)
    sharer.update([1.0, 2.0, 5.0])
    with pytest.raises(ValueError, match="nan"):
        sharer.update([1.0, np.nan])
    assert not sharer.sparse
    assert sharer.codebook.tolist() == pytest.approx([1.5, 5], rel=2**-9)
    with pytest.raises(ValueError, match="second pass has begun"):
        sharer.update([1.0])
    with pytest.raises(ValueError, match="not those of the first pass"):
        sharer.indices([0.0])
    assert sharer.indices([1.0, 2.0, 5.0]).tolist() == [0, 0, 1]
    assert sharer.codebook.tolist() == [1.5, 5]


def test_many_weights_take_little_memory_and_means_are_those_of_all_blocks():
    weights = np.random.default_rng(31).normal(size=2**22 + 7).astype(np.float32)
    tracemalloc.start()
    shared = share_weights(weights, entries=6, mask=weights > -1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # bytes of each weight: 4 of those that are kept, one each of mask, index and place; of 2**20 of them, some 16
    assert peak < 2**22 * (7 + 16 / 4 + 2)
    counts = np.bincount(shared.indices)
    sums = np.bincount(shared.indices, weights)
    assert counts[0] == (weights <= -1).sum()
    assert shared.codebook[1:] == pytest.approx((sums / counts)[1:], rel=1e-6)
