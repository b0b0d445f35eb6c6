"""The compiled kernel of Frequent Directions does what NumPy's LAPACK does, and wakes no thread."""

import subprocess
import sys

import numpy as np
import pytest

from sketches._ext.directions import centred, joined, shrink
from sketches.nn.statistics.directions import LARGEST, Directions, _shrink_many

ROUNDED = 1e-5  # of float32 beside the largest eigenvalue: some 64 * 2^-24


def check(rows, size):
    """Shrink rows, and hold the result to the guarantee and to LAPACK's."""
    rows = np.ascontiguousarray(rows, np.float32)
    ours, theirs, exact = rows.copy(), rows.copy(), rows.astype(np.float64)
    (left, taken), (most, lowered) = shrink(ours, size), _shrink_many(theirs, size)
    values = np.linalg.eigvalsh(exact.T @ exact)[::-1]
    slack = ROUNDED * values[0]
    assert 0 <= left < size
    assert left <= max(min(rows.shape), 1)
    assert taken == pytest.approx(lowered, rel=1e-9, abs=1e-12 * values[0])
    assert ours[:left].any(axis=1).all()
    assert theirs[:most].any(axis=1).all()
    kept = ours[:left].astype(np.float64)
    lost = np.linalg.eigvalsh(exact.T @ exact - kept.T @ kept)
    assert -slack <= lost[0]
    assert lost[-1] <= taken + slack
    expected = np.maximum(values - taken, 0)[:left]
    np.testing.assert_allclose(np.linalg.eigvalsh(kept @ kept.T)[::-1], expected, rtol=0, atol=slack)
    assert np.abs(kept.T @ kept - theirs[:most].T.astype(np.float64) @ theirs[:most]).max(initial=0) <= slack


@pytest.mark.parametrize("shape", [(64, 300), (64, 20), (33, 129), (129, 33), (16, 16), (17, 9), (2, 1), (3, 2)])
@pytest.mark.parametrize("decay", [1.0, 0.8, 0.1])
def test_shrinking_is_as_by_lapack(shape, decay):
    rows, units = shape
    random = np.random.default_rng(rows * units)
    turned = np.linalg.qr(random.normal(size=(units, units)))[0]
    check(random.normal(size=shape) * decay ** np.arange(units) @ turned, (rows + 1) // 2)


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((8, 30)),
        np.ones((30, 8)),
        np.zeros((8, 30)),
        np.zeros((30, 8)),
        np.eye(16, 40),
        np.eye(40, 16),
        np.vander(np.linspace(0, 1, 20), 50, increasing=True),
        np.outer(np.arange(1, 17), np.arange(1, 60)),
        np.outer(np.arange(-20, 20), np.arange(5)),
        np.diag(10.0 ** np.arange(-30, 19, 3)),
        np.diag(10.0 ** np.arange(18, -31, -3)),
        np.random.default_rng(5).normal(size=(32, 70)) * 10.0 ** np.linspace(-30, 18, 32)[:, None],
        np.random.default_rng(6).normal(size=(32, 70)) * 10.0 ** np.linspace(18, -30, 70),
        np.full((16, 40), 2.0**64),
        np.full((16, 40), 2.0**-100),
        np.arange(9.0)[:, None],
    ],
)
def test_shrinking_matrices_without_rank_or_of_all_sizes(rows):
    check(rows, (len(rows) + 1) // 2)


def test_shrinking_one_row_or_nothing():
    for shape in ((1, 1), (1, 50)):
        row = np.full(shape, 3, np.float32)
        left, taken = shrink(row, 1)
        assert (left, taken) == (0, pytest.approx(9 * row.size, rel=1e-12))
        assert shrink(row, 2) == (1, 0.0)
        np.testing.assert_allclose(np.abs(row), 3, rtol=1e-6)
    assert shrink(np.empty((0, 3), np.float32), 2) == shrink(np.empty((3, 0), np.float32), 2) == (0, 0.0)


def test_shrinking_random_matrices():
    random = np.random.default_rng(7)
    for _ in range(300):
        rows, units, rank = random.integers(1, 48, 3)
        left, right = random.normal(size=(rows, rank)), random.normal(size=(rank, units))
        scale = 10.0 ** (random.uniform(-12, 12) + random.uniform(-6, 0, rank) * random.integers(0, 2))
        check((left * scale) @ right, max((rows + 1) // 2, 2 if rows == 1 else 1))


@pytest.mark.parametrize("units", [1, 5, 16, 100])
@pytest.mark.parametrize("count", [1, 2, 8, 33])
def test_deviations_are_exact(count, units):
    random = np.random.default_rng(count * units)
    rows = (random.normal(size=(count, units)) * 2.0 ** random.integers(-60, 60, units)).astype(np.float32)
    mean, seen, deviations, energy = centred(rows, LARGEST)
    expected = (rows - rows.mean(axis=0, dtype=np.float64)).astype(np.float32)
    np.testing.assert_array_equal(mean, rows.mean(axis=0, dtype=np.float64))
    np.testing.assert_array_equal(deviations, expected[expected.any(axis=1)])
    assert seen == count
    assert energy == pytest.approx((expected.astype(np.float64) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("special", [np.nan, -np.nan, np.inf, -np.inf, 2.0**64, -(2.0**63) * (1 + 2.0**-23)])
@pytest.mark.parametrize("place", [0, 15, 16, 39])
def test_rows_with_special_numbers_are_left_out(special, place):
    rows = np.random.default_rng(place).normal(size=(6, 40)).astype(np.float32)
    rows[1] = 2.0**63  # the largest that is taken
    rows[4] = -(2.0**63)
    good = rows[[0, 1, 2, 4]]
    rows[[3, 5], place] = special
    for ours, expected in zip(centred(rows, LARGEST), centred(good, LARGEST), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_means_are_joined():
    random = np.random.default_rng(8)
    one, other = random.normal(size=(2, 37))
    mean, row, energy = joined(one, 5, other, 11)
    np.testing.assert_allclose(mean, (5 * one + 11 * other) / 16, rtol=1e-12)
    np.testing.assert_array_equal(row, (np.sqrt(5 * (11 / 16)) * (other - one)).astype(np.float32)[None])
    assert energy == pytest.approx((row.astype(np.float64) ** 2).sum(), rel=1e-12)
    mean, row, energy = joined(one, 5, one.copy(), 11)
    np.testing.assert_array_equal(mean, one)
    assert row.shape == (0, 37)
    assert energy == 0


def test_more_rows_than_the_kernel_takes_are_shrunk_by_lapack():
    rows = np.random.default_rng(9).normal(size=(400, 150)).astype(np.float32)
    directions, ours = Directions(100, 150), rows[:200].copy()
    directions._add(rows, float((rows.astype(np.float64) ** 2).sum()))
    exact = rows.T.astype(np.float64) @ rows
    lost = np.linalg.eigvalsh(exact - directions.rows.T.astype(np.float64) @ directions.rows)
    assert -ROUNDED * exact.max() <= lost[0] <= lost[-1] <= directions.shrunk + ROUNDED * exact.max()
    assert directions.shrunk > 0
    left, taken = shrink(ours, 100)  # slower, not wrong
    other = Directions(100, 150)
    other._add(rows[:201], 0.0)
    assert (left, taken) == (other.filled - 1, pytest.approx(other.shrunk, rel=1e-9))


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="size is 0; 1 or more"):
        shrink(np.ones((2, 2), np.float32), 0)
    with pytest.raises(ValueError, match="means of 3 and of 2 units"):
        joined(np.zeros(3), 1, np.zeros(2), 1)
    with pytest.raises(ValueError, match="dtype"):
        centred(np.ones((2, 2)), LARGEST)


def test_no_thread_is_woken():
    code = """
import time
import numpy as np
from sketches.nn.statistics.directions import Directions

directions = [Directions(32, units) for units in (20, 1536)]
random = np.random.default_rng(1)
batches = [random.normal(size=(40, 8, len(each.mean))).astype(np.float32) for each in directions]
time.sleep(0.2)  # whatever importing has woken
process, thread = time.process_time(), time.thread_time()
for each, rows in zip(directions, batches):
    for batch in rows:
        each.observe(batch)
    assert each.count == 320 and 0 < each.filled <= 64  # it was shrunk
time.sleep(0.1)
print(time.process_time() - process - (time.thread_time() - thread))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(result.stdout) <= 0.005  # seconds: OpenBLAS's threads spin for 0.03 after one call
