"""Files of tensors: beside the safetensors library in both directions, hostile headers, and writes that fail."""

import json
import math
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from sketches import FormatError
from sketches.nn.tensor_file import REAL, TensorFile, TensorWriter, real
from sketches.nn.tensor_header import BITS

RANDOM = np.random.default_rng(50)
BF16 = RANDOM.normal(size=(7, 5)).astype(ml_dtypes.bfloat16)
ARRAYS = {
    "encoder.weight": RANDOM.normal(size=(300, 20)).astype("f4"),
    "half": RANDOM.normal(size=(3, 4, 2, 2)).astype("f2"),
    "double": RANDOM.normal(size=9),
    "scalar": np.array(3, np.int64),
    "empty": np.zeros((0, 3), "f4"),
    "Ünïcode \n": np.array([True, False]),
    "bytes": RANDOM.integers(0, 256, (2, 3), np.uint8),
    "complex": np.array([1 + 2j], np.complex64),
    **{str(np.dtype(kind)): RANDOM.integers(0, 100, 5).astype(kind) for kind in ("i1", "i2", "i4", "u2", "u4", "u8")},
}
NAMES = {array.dtype: name for name, array in ARRAYS.items()}


def packed(header, data=b"", length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def dtype_of(array) -> str:
    kinds = {"bool": "BOOL", "complex64": "C64", "bfloat16": "BF16"}
    name = array.dtype.name
    return kinds.get(name) or name.replace("uint", "U").replace("int", "I").replace("float", "F")


def test_reads_what_the_library_writes(path):
    safetensors.numpy.save_file(ARRAYS, path, metadata={"format": "np", "ü": ""})
    with TensorFile(path) as file:
        assert sorted(file.names) == sorted(ARRAYS)
        assert file.metadata == {"format": "np", "ü": ""}
        for name, array in ARRAYS.items():
            assert file.shape(name) == array.shape
            assert file.dtype(name) == dtype_of(array)
            assert file[name].dtype == array.dtype
            assert np.array_equal(file[name], array)
            blocks = list(file.blocks(name, 60))
            rejoined = np.concatenate(blocks) if array.ndim else blocks[0]
            assert np.array_equal(rejoined, array)
            assert all(block.nbytes <= 60 or len(block) == 1 for block in blocks if block.ndim)
        assert len(list(file.blocks("encoder.weight", 240))) == 100  # three rows of 20 float32 in each
        assert "half" in file
        assert "other" not in file
        with pytest.raises(KeyError, match="no tensor 'other'"):
            file["other"]


def test_the_library_reads_what_is_written(path):
    layout = {name: (dtype_of(array), array.shape) for name, array in ARRAYS.items()}
    with TensorWriter(path, layout, {"who": "x"}) as writer:
        for name, array in ARRAYS.items():
            half = len(array) // 2 if array.ndim else 0
            if half:
                writer.write(name, array[:half])
                writer.write(name, array[half:])
            else:
                writer.write(name, array)
    found = safetensors.numpy.load_file(path)
    assert found.keys() == ARRAYS.keys()
    assert all(found[name].tobytes() == array.tobytes() for name, array in ARRAYS.items())
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"who": "x"}
    with TensorFile(path) as file:
        assert file.names == tuple(ARRAYS)
    start = int.from_bytes(path.read_bytes()[:8], "little")
    assert start % 8 == 0


def test_strided_arrays_are_written_in_order(path):
    array = np.arange(24, dtype="f4").reshape(4, 6).T
    with TensorWriter(path, {"a": ("F32", (6, 4))}) as writer:
        writer.write("a", array)
    assert np.array_equal(safetensors.numpy.load_file(path)["a"], array)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("F8_E4M3", ml_dtypes.float8_e4m3fn), ("F8_E5M2", ml_dtypes.float8_e5m2), ("BF16", ml_dtypes.bfloat16)],
)
def test_small_floats_are_exact(name, dtype):
    bits = np.arange(2 ** BITS[name]).astype(f"u{BITS[name] // 8}")
    expected = bits.view(dtype).astype(np.float32)
    found = real(bits, name)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(expected))


def test_torch_tensors_of_small_floats(path):
    tensors = {
        "b": torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).bfloat16(),
        "f": torch.arange(-5, 5).to(torch.float8_e4m3fn),
        "g": torch.arange(-5, 5).to(torch.float8_e5m2),
    }
    safetensors.torch.save_file(tensors, path)
    with TensorFile(path) as file:
        for name, tensor in tensors.items():
            assert np.array_equal(file[name], tensor.float().numpy())
        assert {block.dtype for block in file.blocks("b")} == {np.dtype(np.uint16)}


def test_dtypes_without_numbers_pass_through(path):
    path.write_bytes(packed({"a": entry("F4", (3, 2), (0, 3)), "b": entry("F8_E8M0", (2,), (3, 5))}, b"12345"))
    with TensorFile(path) as file:
        with pytest.raises(TypeError, match="tensor 'a' has dtype F4"):
            file["a"]
        with pytest.raises(TypeError, match="tensor 'b' has dtype F8_E8M0"):
            file["b"]
        assert next(file.blocks("a")).tobytes() == b"123"
        layout = {name: (file.dtype(name), file.shape(name)) for name in file.names}
        with TensorWriter(path.with_suffix(".copy"), layout) as writer:
            for name in file.names:
                for block in file.blocks(name):
                    writer.write(name, block)
    with TensorFile(path.with_suffix(".copy")) as file:
        assert b"".join(next(file.blocks(name)).tobytes() for name in file.names) == b"12345"
    assert {"F4", "F8_E8M0", "C64"}.isdisjoint(REAL)


GOOD = entry()
HOSTILE = {
    "the file has 2 bytes": b"ab",
    "the header has 9 bytes, but the file has 10": packed(b"{}", length=9),
    "the header has 100000001 bytes; at most 100000000": packed(b"{}", length=100_000_001),
    "no JSON": packed(b"{]"),
    "no JSON: 'utf-8' codec": packed(b'{"\xff":1}'),
    "no JSON: Expecting value": packed(b""),
    "no JSON: Unexpected UTF-8 BOM": packed(b"\xef\xbb\xbf{}"),
    "no JSON: maximum recursion": packed(b"[" * 100_000),
    "is no JSON object": packed([1]),
    "'a' occurs twice": packed(b'{"a":%s,"a":%s}' % ((json.dumps(GOOD).encode(),) * 2), b"1234"),
    "'dtype' occurs twice": packed(b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"1234"),
    "'a' is described by list": packed({"a": ["F32", [1], [0, 4]]}, b"1234"),
    "'a' has no shape": packed({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, b"1234"),
    "'a': dtype is no text": packed({"a": entry(1)}, b"1234"),
    "'a': dtype is 'F33'; known are BOOL": packed({"a": entry("F33")}, b"1234"),
    "'a': shape is no list of integers": packed({"a": entry(shape=(1.0,))}, b"1234"),
    "'a': data_offsets is no list of integers": packed({"a": entry(offsets=(False, True))}, b"1234"),
    "'a': 3 data_offsets": packed({"a": entry(offsets=(0, 4, 4))}, b"1234"),
    "holds the number -1": packed({"a": entry(shape=(-1,))}, b"1234"),
    "holds the number -0": packed(b'{"a":{"dtype":"F32","shape":[],"data_offsets":[-0,4]}}', b"1234"),
    "holds the number 100000000000000000000000": packed(b'{"a":1%s}' % (b"0" * 5000)),
    "holds NaN": packed(b'{"a":NaN}'),
    "'a': shape is (9223372036854775808,)": packed({"a": entry(shape=(2**63,))}, b"1234"),
    "'a': shape (0, 4611686018427387904, 8) exceeds": packed({"a": entry(shape=(0, 2**62, 8), offsets=(0, 0))}),
    "'a': 65 axes": packed({"a": entry(shape=(1,) * 65)}, b"1234"),
    "'a': shape (3,) of F4 ends within a byte": packed({"a": entry("F4", (3,), (0, 2))}, b"12"),
    "'a': bytes 0 to 4, but 8 are needed": packed({"a": entry(shape=(2,))}, b"1234"),
    "'a': bytes 4 to 0, but 4 are needed": packed({"a": entry(offsets=(4, 0))}, b"1234"),
    "'a' ends at byte 4, but the file has 3": packed({"a": GOOD}, b"123"),
    "'b' begins at byte 5, but the one before ends at 4": packed({"a": GOOD, "b": entry(offsets=(5, 9))}, b"9" * 9),
    "'b' begins at byte 2, but the one before ends at 4": packed({"a": GOOD, "b": entry(offsets=(2, 6))}, b"123456"),
    "'a' begins at byte 1": packed({"a": entry(offsets=(1, 5))}, b"12345"),
    "1 bytes belong to no tensor": packed({"a": GOOD}, b"12345"),
    "__metadata__ is no JSON object": packed({"__metadata__": "x"}),
    "__metadata__ holds a value that is no text": packed({"__metadata__": {"x": 1}}),
    "is no Unicode text": packed({"\ud800": GOOD}, b"1234"),
}  # fmt: skip


@pytest.mark.parametrize("message", HOSTILE)
def test_hostile_headers_are_refused(path, message):
    path.write_bytes(HOSTILE[message])
    with pytest.raises(FormatError) as caught:
        TensorFile(path)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_harmless_headers_are_read(path):
    for data in (
        packed(b"{}"),
        packed({"__metadata__": None}),
        packed(b' {"a":%s} \n' % json.dumps(entry(unknown=1)).encode(), b"1234"),
        packed({"b": entry(offsets=(4, 8)), "a": GOOD, "c": entry(shape=(0,), offsets=(4, 4))}, b"12345678"),
    ):
        path.write_bytes(data)
        with TensorFile(path) as file:
            assert {name: file[name].tobytes() for name in file.names} == {
                name: array.tobytes() for name, array in safetensors.numpy.load_file(path).items()
            }


def test_damaged_values(path):
    path.write_bytes(packed({"a": entry("BOOL", (2,), (0, 2))}, b"\x01\x07"))
    with TensorFile(path) as file, pytest.raises(FormatError, match="'a' holds a bool that is neither"):
        file["a"]
    path.write_bytes(packed({"a": entry("U8", (10**6,), (0, 10**6))}, bytes(10**6)))  # larger than any buffer
    with TensorFile(path) as file:
        with open(path, "r+b") as writer:
            writer.truncate(path.stat().st_size - 1)
        with pytest.raises(FormatError, match="'a': the file ends after 999999 of 1000000 bytes"):
            file["a"]


def test_mutated_files_are_refused_or_read_as_the_library_does(path):
    """One or two bytes of the header change, or the file is cut: the library must agree with whatever is read."""
    original = safetensors.numpy.save(
        {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.arange(10, dtype="i2"), "c": np.zeros((0, 2))},
        metadata={"k": "v"},
    )
    head = int.from_bytes(original[:8], "little") + 8
    random = np.random.default_rng(51)
    read = refused = 0
    for _ in range(2000):
        data = bytearray(original)
        for place in random.integers(0, head, random.integers(1, 3 if random.random() < 0.3 else 2)):
            near = data[place] ^ (1 << int(random.integers(0, 8)))
            data[place] = near if random.random() < 0.5 else b'0123456789{}[],:"FI'[random.integers(0, 19)]
        if random.random() < 0.1:
            data = data[: random.integers(0, len(data))]
        path.write_bytes(data)
        try:
            with TensorFile(path) as file:
                found = {name: file[name].tobytes() for name in file.names if file.dtype(name) in REAL}
                metadata = file.metadata
        except FormatError:
            refused += 1
            continue
        with safetensors.safe_open(path, "np") as library:
            assert sorted(library.keys()) == sorted(file.names)
            assert metadata == (library.metadata() or {})
            for name in found:
                if file.dtype(name) not in ("BF16", "F8_E4M3", "F8_E5M2"):
                    assert library.get_tensor(name).tobytes() == found[name]
        read += 1
    assert read > 50
    assert refused > 300


def test_a_failed_write_leaves_nothing(path, tmp_path):
    layout = {"a": ("F32", (2, 2)), "b": ("BF16", (2,))}
    good = np.zeros((2, 2), "f4")
    for writes, error, message in (
        ([], ValueError, "'a': 16 bytes were not written"),
        ([("a", good)], ValueError, "'b': 4 bytes were not written"),
        ([("b", good)], ValueError, "'b' comes before 16 bytes of tensor 'a'"),
        ([("a", good.astype("f8"))], TypeError, "'a' of dtype F32 is stored as float32, not float64"),
        ([("a", np.zeros(5, "f4"))], ValueError, "'a': 20 bytes are given, but 16 are left"),
        ([("a", good), ("c", good)], ValueError, "'c' is not in the layout"),
    ):
        path.write_bytes(b"old")
        with pytest.raises(error, match=message), TensorWriter(path, layout) as writer:  # noqa: PT012
            for name, array in writes:
                writer.write(name, array)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="not open"):
        TensorWriter(path, layout).write("a", good)
    with pytest.raises(OSError, match="nowhere"), TensorWriter(tmp_path / "nowhere" / "x", layout):
        pass


@pytest.mark.parametrize(
    ("layout", "metadata", "error", "message"),
    [
        ({"a": ("F33", ())}, {}, ValueError, "'a': dtype is 'F33'"),
        ({"a": ("F32", (-1,))}, {}, ValueError, r"'a': shape is \(-1,\)"),
        ({"a": ("F32", (2**62,))}, {}, ValueError, "'a': shape .* exceeds"),
        ({1: ("F32", ())}, {}, TypeError, "a name or metadata is 1; text is accepted"),
        ({"a": ("F32", ())}, {"x": 1}, TypeError, "a name or metadata is 1; text is accepted"),
        ({"\udc00": ("F32", ())}, {}, ValueError, "Unicode text is accepted"),
        ({"__metadata__": ("F32", ())}, {}, ValueError, "cannot have the name '__metadata__'"),
    ],
)
def test_bad_layouts(path, layout, metadata, error, message):
    with pytest.raises(error, match=message):
        TensorWriter(path, layout, metadata)
    assert not path.exists()


def test_memory_is_that_of_a_block(path):
    """A tensor of 64 MB, sparse on disk, is read in blocks of 1 MB."""
    import tracemalloc

    size = 2**26
    with open(path, "wb") as file:
        file.write(packed({"a": entry("U8", (2**10, 2**16), (0, size))}))
        file.truncate(file.tell() + size)
    with TensorFile(path) as file:
        tracemalloc.start()
        total = sum(block.nbytes for block in file.blocks("a", 2**20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total == size
    assert peak < 3 * 2**20
    assert not math.isnan(peak)


def test_threads_share_a_file(path, request, monkeypatch):
    """Places and reads of several threads do not mix; without a lock, many of these blocks do."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    layout = {str(number): ("F32", (500, 64)) for number in range(4)}
    with TensorWriter(path, layout) as writer:
        for name in layout:
            writer.write(name, np.full((500, 64), float(name), np.float32))

    def wrong(file, name):
        return sum(int((block != float(name)).any()) for _ in range(20) for block in file.blocks(name, 2560))

    with TensorFile(path) as file, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(partial(wrong, file), layout)) == [0, 0, 0, 0]
        monkeypatch.delattr(os, "preadv", raising=False)  # as where there is none
        assert list(pool.map(partial(wrong, file), layout)) == [0, 0, 0, 0]
