"""Floats to the last bit."""

import numpy as np
import pytest

from sketches import FormatError
from sketches.nn.compression.floats import decode_floats, encode_floats

DTYPES = [np.float16, np.uint16, np.float32, np.float64]
BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def check(array):
    code = encode_floats(array)
    found = decode_floats(code, array.shape, array.dtype)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.shape == array.shape
    assert found.astype(array.dtype).tobytes() == array.tobytes()
    assert len(code) <= array.nbytes + 1
    return code


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (1000,), (30, 41), (2, 3, 4, 5)])
def test_every_bit_returns(dtype, shape):
    rng = np.random.default_rng([1, len(shape)])
    width = np.dtype(dtype).itemsize
    check(rng.integers(0, 256, (*shape, width), np.uint8).view(dtype).reshape(shape))  # NaNs and all
    if dtype != np.uint16:
        check((rng.normal(size=shape) * 0.1).astype(dtype))
    check(np.zeros(shape, dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_special_numbers(dtype):
    bits = BITS[np.dtype(dtype).itemsize]
    tiny = np.finfo(dtype).smallest_subnormal
    numbers = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, tiny, -tiny, 1, 2, np.finfo(dtype).max], dtype)
    payloads = (np.array([np.inf], dtype).view(bits) + np.array([1, 3, 5], bits)).view(dtype)
    for array in (numbers, payloads, np.tile(numbers, 500), np.repeat(numbers, 500)):
        check(array)
        check(array[::-1])
        check(array.astype(array.dtype.newbyteorder(">")))


def test_what_is_regular_takes_little():
    rng = np.random.default_rng(2)
    weights = (rng.normal(size=(200, 300)) * 0.02).astype(np.float32)
    # A normal variable's exponent has an entropy of 2.6 bits: 1 + 2.6 + 23 of 32 bits
    assert len(check(weights)) < 0.84 * weights.nbytes
    halves = weights.astype(np.float16)
    assert len(check(halves.astype(np.float32))) < 1.002 * len(check(halves))  # 13 of 23 bits are always zero
    sparse = np.where(rng.random(weights.shape) < 0.1, weights, 0)
    assert len(check(sparse)) < 0.11 * weights.nbytes  # 0.47 bits of the mask, 27 of the tenth: 3.2 of 32
    assert len(check(np.full(10_000, 0.1))) < 100 + 10_000 * 49 // 8


@pytest.mark.parametrize("dtype", DTYPES)
def test_hostile_bytes(dtype):
    rng = np.random.default_rng(3)
    code = encode_floats((rng.normal(size=(20, 30)) * 4).astype(dtype))
    for _ in range(300):
        altered = bytearray(code)
        for at in rng.integers(0, len(code), rng.integers(1, 4)):
            altered[at] = rng.integers(0, 256)
        if rng.random() < 0.3:
            altered = altered[: rng.integers(0, len(altered))]
        try:
            found = decode_floats(bytes(altered), (20, 30), dtype)
        except FormatError:
            continue
        assert found.shape == (20, 30)
    with pytest.raises(FormatError):
        decode_floats(b"", (20, 30), dtype)
    with pytest.raises(FormatError):
        decode_floats(code + b"12345678", (20, 30), dtype)


def test_bad_arguments():
    with pytest.raises(TypeError, match="int32"):
        encode_floats(np.zeros(3, np.int32))
    with pytest.raises(TypeError, match="complex64"):
        decode_floats(b"", (3,), np.complex64)
