"""The kernel's bytes are those of the plain twin."""

import numpy as np
import pytest

from sketches._ext import weight_code
from sketches.plain.weight_code import encode


def matrices():
    rng = np.random.default_rng(1)
    mask = rng.random((25, 1)) * rng.random(40) < 0.1
    yield "sparse", np.where(mask, np.rint(rng.laplace(size=mask.shape) * 2), 0), True
    yield "dense", np.rint(rng.normal(size=(12, 30)) * 3), True
    yield "no zero", rng.choice([-3, -1, 2], (12, 30)), False
    yield "large", np.rint(rng.laplace(size=(8, 20)) * 9000).clip(-65535, 65535), True
    yield "row", rng.integers(-1, 2, (1, 200)), True
    yield "column", rng.integers(-1, 2, (200, 1)), True
    yield "zeros", np.zeros((5, 6)), True
    yield "one", np.ones((1, 1)), True
    yield "many rows", rng.integers(0, 2, (300, 3)) * rng.integers(0, 2, (300, 1)), True


@pytest.mark.parametrize(("levels", "zero"), [pytest.param(*rest, id=name) for name, *rest in matrices()])
@pytest.mark.parametrize("lag", [1, 2, 7])
@pytest.mark.parametrize("told", [False, True])
def test_bytes_equal_the_twins(levels, zero, lag, told):
    levels = levels.astype(np.int32)
    columns = levels.shape[1]
    lag = min(lag, columns)
    live = np.random.default_rng(2).random(columns) < 0.5 if told else None
    flags = live.astype(np.uint8) if told else None
    least, most = int(levels.min()), int(levels.max())
    code = weight_code.encode(levels, lag, zero, False, least, most, flags)
    assert code == encode(levels.tolist(), lag, zero, live.tolist() if told else None)
    out = np.zeros_like(levels)
    assert weight_code.decode(np.frombuffer(code, np.uint8), out, lag, zero, False, least, most, flags)
    assert (out == levels).all()


def test_wide_matrices_share_places():
    levels = np.random.default_rng(3).integers(-1, 2, (2, 600)).astype(np.int32)
    for lag in (1, 2, 100):  # 600 and 300 bands, 100 phases
        code = weight_code.encode(levels, lag, True, False, -1, 1)
        assert code == encode(levels.tolist(), lag, True)
