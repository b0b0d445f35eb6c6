"""Whatever holds real numbers is taken alike by everything in `sketches.nn`."""

import ml_dtypes
import numpy as np
import pytest
from contract.test_contract import OnlyDLPack
from numpy._core._rational_tests import rational

from sketches import CountMin
from sketches.nn import HashedWeights, StreamingStatistics, magnitude_scores
from sketches.nn.arrays import real_numbers

NUMBERS = np.array([[1.5, -2.0, 0.25], [0.0, 3.0, -0.5]])  # whole in every float type


class Tensor:
    """PyTorch's tensor, as far as it is needed: unreadable with a gradient or as bfloat16."""

    def __init__(self, array, dtype="torch.bfloat16", gradient=True):
        self.array = array
        self.dtype = dtype
        self.gradient = gradient

    def detach(self):
        return Tensor(self.array, self.dtype, False)

    def float(self):
        return Tensor(self.array.astype(np.float32), "torch.float32", self.gradient)

    def __array__(self, dtype=None, copy=None):
        if self.gradient or self.dtype == "torch.bfloat16":
            raise RuntimeError("not readable")
        return self.array

    def __dlpack__(self, **options):
        return self.__array__().__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def registered(array):
    """Numbers of a dtype that is not NumPy's own, as bfloat16 is, but one that comes with NumPy."""
    return np.array([[rational(int(4 * number), 4) for number in row] for row in array])


def bfloat16(array):
    return array.astype(ml_dtypes.bfloat16)


def half(array):
    return array.astype("f2")


def swapped(array):
    return array.astype(">f8")


@pytest.mark.parametrize("source", [half, swapped, registered, bfloat16, OnlyDLPack, Tensor, np.ndarray.tolist])
def test_every_source_is_taken(source):
    given = source(NUMBERS)
    expected, statistics = StreamingStatistics(), StreamingStatistics()
    expected.observe("hidden", NUMBERS)
    statistics.observe("hidden", given)
    assert statistics == expected
    assert (magnitude_scores(given) == np.abs(NUMBERS)).all()
    assert HashedWeights.from_matrix(given, 4) == HashedWeights.from_matrix(NUMBERS, 4)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64])
def test_integers_are_real_numbers(dtype):
    assert magnitude_scores(np.ones((2, 2), dtype)).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("source", [half, registered, bfloat16, Tensor])
def test_sketches_take_them_too(source):
    sketch, expected = CountMin(width=64), CountMin(width=64)
    sketch.update(source(NUMBERS[:1]).reshape(-1) if source is not Tensor else Tensor(NUMBERS[0]))
    expected.update(NUMBERS[0])
    assert sketch == expected


@pytest.mark.parametrize("bad", [np.ones(2, complex), np.array(["a"]), np.array([None]), np.ones(2, np.longdouble)])
def test_other_dtypes_are_refused(bad):
    with pytest.raises(TypeError, match=r"x: dtype .* is not supported; integers, bool, float16 to float64 and bfloat"):
        real_numbers("x", bad)


def test_dtypes_that_no_float_holds_are_refused(monkeypatch):
    monkeypatch.setattr(np, "can_cast", lambda dtype, target: False)
    with pytest.raises(TypeError, match="dtype rational"):
        real_numbers("x", registered(NUMBERS))
