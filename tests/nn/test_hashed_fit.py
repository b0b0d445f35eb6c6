"""The fit of hashed values: least squares by a dense solver, one pass over blocks, and wrong blocks."""

import numpy as np
import pytest

from sketches.nn import HashedWeights, TensorFile, TensorWriter
from sketches.nn.hashed_fit import fit_values, row_blocks
from sketches.plain.hashed_weights import HashedWeights as Twin

RANDOM = np.random.default_rng(8)


def design(shape, size, seed, hashes):
    """Give the matrix that makes weights of values, from the plain twin's places."""
    total, twin = int(np.prod(shape)), Twin(shape, size, seed)
    matrix = np.zeros((total, size))
    for j in range(hashes):
        for i in range(total):
            bucket, sign = twin.place(j * total + i)
            matrix[i, bucket] += sign
    return matrix


@pytest.mark.parametrize("hashes", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 9, 40])
def test_is_the_least_squares_solution(size, hashes):
    weights = RANDOM.normal(size=(12, 15))
    found = fit_values((12, 15), [weights[:5], weights[5:6], weights[6:]], size, seed=4, hashes=hashes)
    a = design((12, 15), size, 4, hashes)
    best = np.linalg.lstsq(a, weights.ravel(), rcond=None)[0]
    assert np.abs(a.T @ (a @ found - weights.ravel())).max() < 1e-4 * np.abs(a.T @ weights.ravel()).max()
    np.testing.assert_allclose(a @ found, a @ best, atol=1e-4)


def test_what_was_made_by_the_hash_is_found_again():
    values = RANDOM.normal(size=30)
    weights = (design((20, 25), 30, 0, 2) @ values).reshape(20, 25)
    np.testing.assert_allclose(fit_values((20, 25), [weights], 30, hashes=2), values, atol=1e-4)


def test_blocks_come_once_from_a_file(tmp_path):
    matrix = RANDOM.normal(size=(300, 40)).astype(np.float32)
    with TensorWriter(tmp_path / "layer.safetensors", {"w": ("F32", (300, 40))}) as file:
        file.write("w", matrix)
    with TensorFile(tmp_path / "layer.safetensors") as file:
        blocks = (block for block in file.blocks("w", 4 * 40 * 7))
        found = HashedWeights.from_blocks((300, 40), blocks, 500, seed=2)
        assert next(blocks, None) is None
    assert found == HashedWeights.from_matrix(matrix, 500, seed=2)


def test_row_blocks_cover_all_rows_once():
    for shape in ((1, 1), (700, 1000), (3, 2**19), (5,)):
        covered = [row for start, stop in row_blocks(shape) for row in range(start, stop)]
        assert covered == list(range(shape[0]))


def test_wrong_blocks():
    good = np.ones((4, 3))
    for blocks, error, message in (
        ([good], ValueError, "the blocks have 4 rows; 6 are accepted"),
        ([good, good], ValueError, r"a block has shape \(4, 3\) at row 4; consecutive rows of \(6, 3\)"),
        ([np.ones((4, 2))], ValueError, r"a block has shape \(4, 2\) at row 0"),
        ([np.ones(3)], ValueError, r"a block has shape \(3,\)"),
        ([good, np.full((2, 3), np.nan)], ValueError, "hold NaN or infinity"),
        ([good.astype(complex)], TypeError, "weights: dtype complex128"),
    ):
        with pytest.raises(error, match=message):
            fit_values((6, 3), blocks, 5)
    with pytest.raises(ValueError, match="beyond the range of float32"):
        HashedWeights.from_blocks((2,), [np.full(2, 1e300)], 1)
