"""Compressed files give back what was written, and refuse everything else."""

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from sketches import FormatError
from sketches.nn import BloomierWeights, CompressedFile, CompressedWriter, SharedWeights
from sketches.nn.compression import directory
from sketches.nn.compression.arithmetic import encode_arithmetic
from sketches.nn.compression.directory import MAGIC, WORDS, TensorEntry, written_directory
from sketches.nn.compression.units import Units
from sketches.nn.tensor_file import real

RANDOM = np.random.default_rng(1)
SPARSE = SharedWeights(
    np.where(RANDOM.random((40, 30)) < 0.1, RANDOM.integers(1, 9, (40, 30)), 0).astype(np.uint8),
    np.concatenate([[0], RANDOM.normal(size=8)]).astype(np.float32),
    sparse=True,
)
TENSORS = {
    "empty": ("F32", np.zeros((0, 3), np.float32)),
    "scalar": ("I64", np.array(-7)),
    "flags": ("BOOL", RANDOM.random(33) < 0.5),
    "tokens": ("I32", RANDOM.integers(-5, 5, (10, 4)).astype(np.int32)),
    "half": ("F16", RANDOM.normal(size=(5, 6)).astype(np.float16)),
    "brain": ("BF16", RANDOM.integers(0, 2**16, (9, 7), np.uint16)),
    "double": ("F64", np.array([np.nan, -0.0, np.inf, 5e-324])),
    "eight": ("F8_E4M3", RANDOM.integers(0, 256, (3, 5), np.uint8)),
    "complex": ("C64", np.array([1 + 2j], np.complex64)),
    "places": ("I64", np.arange(60).reshape(5, 12)),
}


def layer(seed, live, columns, dtype=np.uint8):
    """Give weights of units that are live or not, whose inputs are, too."""
    random = np.random.default_rng(seed)
    kept = (random.random((len(live), len(columns))) < 0.3) & live[:, None] & columns
    return SharedWeights((kept * random.integers(1, 4, kept.shape)).astype(dtype), CODEBOOK, sparse=True)


CODEBOOK = np.array([0, -1, 0.5, 2], np.float32)
LIVE = np.random.default_rng(2).random((3, 60)) < 0.3
LAYERS = {
    "1.weight": layer(1, LIVE[0], np.full(25, True)),
    "1.bias": SharedWeights(layer(2, np.full(1, True), LIVE[0]).indices[0], CODEBOOK, sparse=True),
    "2.weight": layer(3, LIVE[1], np.repeat(LIVE[0], 4)),
    "3.weight": layer(4, np.full(10, True), LIVE[1], np.uint16),
}
LAYERS["2.weight"] = SharedWeights(LAYERS["2.weight"].indices.reshape(60, 60, 2, 2), CODEBOOK, sparse=True)
METADATA = {"format": "pt", "ключ": "値"}


@pytest.fixture(params=[2**16, 0], ids=["one checksum", "many checksums"])
def path(tmp_path, request, monkeypatch):
    monkeypatch.setattr(directory, "SMALL", request.param)
    with CompressedWriter(tmp_path / "model.skn", METADATA) as writer:
        for name, (dtype, array) in TENSORS.items():
            writer.write(name, dtype, array)
        writer.write("four", "F4", np.arange(6, dtype=np.uint8), shape=(3, 4))
        writer.write("sparse", "F32", SPARSE)
        writer.write("paper", "BF16", SPARSE, coder="huffman")
        writer.write("table", "F32", BloomierWeights.from_weights(SPARSE))
        for name, weights in LAYERS.items():
            writer.write(name, "F32", weights)
    return tmp_path / "model.skn"


def test_what_was_written_is_read(path):
    with CompressedFile(path) as file:
        assert list(file.entries) == [*TENSORS, "four", "sparse", "paper", "table", *LAYERS]
        assert file.metadata == METADATA
        assert file.nbytes == path.stat().st_size
        for name, (dtype, array) in TENSORS.items():
            found = file.stored(name)
            assert (file.entries[name].dtype, found.dtype, found.shape) == (dtype, array.dtype, array.shape)
            assert found.tobytes() == array.tobytes()
            assert found.flags.writeable
            assert file[name].tobytes() == real(array, dtype).tobytes()
        assert file.entries["four"].shape == (3, 4)
        assert file.stored("four").tolist() == list(range(6))
        with pytest.raises(TypeError, match="tensor 'four' has dtype F4, which is not read as numbers"):
            file["four"]
        assert (file["sparse"] == SPARSE.dense()).all()
        for name in ("sparse", "paper"):
            assert (file.weights(name).indices == SPARSE.indices).all()
            assert (file.weights(name).codebook == SPARSE.codebook).all()
        kept = SPARSE.indices > 0
        assert (file["table"][kept] == SPARSE.dense()[kept]).all()
        assert isinstance(file.weights("table"), BloomierWeights)
        rounded = SPARSE.codebook.astype(np.float64)
        assert np.abs(file["paper"] - rounded[SPARSE.indices]).max() <= np.abs(rounded).max() * 2**-9
        for name, weights in LAYERS.items():
            assert (file.weights(name).indices == weights.indices).all()
            assert file.weights(name).indices.dtype == weights.indices.dtype
        assert "sparse" in file
        with pytest.raises(KeyError, match="no tensor 'other'"):
            file.stored("other")


def test_bfloat16_is_rounded_to_the_nearest_even_one(tmp_path):
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0xBF80FFFF, 0, 0x80000000, 0x7F7FFFFF], np.uint32)
    shared = SharedWeights(np.arange(7, dtype=np.uint8), bits.view(np.float32), sparse=False)
    with CompressedWriter(tmp_path / "m.skn") as writer:
        writer.write("w", "BF16", shared)
    with CompressedFile(tmp_path / "m.skn") as file:
        # ties to even, down and up; just above a tie; carry; zeros of both signs; the largest float32 gives infinity
        assert [hex(x) for x in file.stored("w")] == ["0x3f80", "0x3f82", "0x3f81", "0xbf81", "0x0", "0x8000", "0x7f80"]


@pytest.mark.parametrize(
    ("name", "dtype", "weights", "options", "error", "message"),
    [
        ("flags", "BOOL", np.zeros(1, bool), {}, ValueError, "tensor 'flags' was written before"),
        ("x", "F32", np.zeros(1), {}, TypeError, "tensor 'x': an array of float64 cannot be F32"),
        ("x", "F33", np.zeros(1), {}, ValueError, "tensor 'x': dtype is 'F33'"),
        ("x", "I32", SPARSE, {}, TypeError, "tensor 'x': shared weights cannot be read as I32"),
        ("x", "F32", SPARSE, {"shape": (1200,)}, ValueError, r"tensor 'x': shape is \(1200,\)"),
        ("x", "F4", np.zeros(3, np.uint8), {}, ValueError, "tensor 'x': shape is None"),
        ("x", "F32", SPARSE, {"coder": "zip"}, ValueError, "tensor 'x': coder is 'zip'"),
        ("x", "F32", [1.0, 2.0], {}, TypeError, "tensor 'x': weights are a list"),
        ("x", "BOOL", np.array([2, 0], np.uint8).view(bool), {}, ValueError, "tensor 'x': a bool is neither 0 nor 1"),
        (3, "F32", SPARSE, {}, TypeError, "name is 3"),
        ("\ud800", "F32", SPARSE, {}, ValueError, r"name is '\\ud800'; Unicode text"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, dtype, weights, options, error, message):
    target = tmp_path / "model.skn"
    with pytest.raises(error, match=message), CompressedWriter(target) as writer:  # noqa: PT012
        writer.write("flags", "BOOL", np.zeros(1, bool))
        writer.write(name, dtype, weights, **options)
    assert not list(tmp_path.iterdir())


def test_every_altered_byte_is_refused(path):
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :])
        with pytest.raises(FormatError), CompressedFile(path) as file:  # noqa: PT012
            for name in file.entries:
                file.stored(name)


def test_every_shorter_file_is_refused(path):
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            CompressedFile(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(FormatError):
        CompressedFile(path)


def test_newer_and_foreign_files(path):
    data = path.read_bytes()
    path.write_bytes(b"SKN\x02" + data[4:])
    with pytest.raises(FormatError, match="version 02; 01 is read by this release"):
        CompressedFile(path)
    path.write_bytes(b"PK" + data[2:])
    with pytest.raises(FormatError, match="no compressed file"):
        CompressedFile(path)


def resummed(data, entries, metadata):
    """Give a file whose checksums are right, whatever it says."""
    return MAGIC + data + written_directory(entries, metadata, zlib.crc32(data))


def test_damaged_tensors_with_right_checksums_stay_in_bounds(path):
    random = np.random.default_rng(5)
    with CompressedFile(path) as file:
        entries = file.entries
    data = path.read_bytes()
    for _ in range(1000):
        entry = entries[
            random.choice(["sparse", "paper", "table", "half", "brain", "flags", "tokens", "double", *LAYERS])
        ]
        part = bytearray(data[entry.start : entry.start + entry.length])
        for _ in range(random.integers(1, 4)):
            part[random.integers(len(part))] = random.integers(256)
        if random.random() < 0.2:
            part = part[: random.integers(len(part))]
        changed = vars(entry) | {"start": 4, "length": len(part), "checksum": zlib.crc32(part)}
        path.write_bytes(resummed(bytes(part), [type(entry)(**changed)], {}))
        with CompressedFile(path) as file:
            try:
                found = file.stored(entry.name)
            except FormatError as error:
                assert str(error).startswith(f"tensor {entry.name!r}")  # noqa: PT017
            else:
                assert found.shape == entry.shape


def taken_apart(data):
    """Give what stands before a file's directory, and the directory as it is before it is deflated."""
    end = len(data) - 9 - int.from_bytes(data[-8:-4], "little")
    inflater = zlib.decompressobj(wbits=-15, zdict=WORDS)
    return data[:end], inflater.decompress(data[end:-9]) if data[-9] & directory.DEFLATED else data[end:-9]


def put_together(before, plain):
    """Give a file of a directory that is not deflated, whose checksum is right."""
    one_sum = len(before) - len(MAGIC) <= directory.SMALL
    flags = directory.ONE_SUM * one_sum
    sum_ = zlib.crc32(plain, zlib.crc32(MAGIC + bytes([flags]), zlib.crc32(before[4:]) if one_sum else 0))
    return before + plain + bytes([flags]) + len(plain).to_bytes(4, "little") + sum_.to_bytes(4, "little")


def test_damaged_directories_with_right_checksums(path):
    random = np.random.default_rng(6)
    before, plain = taken_apart(path.read_bytes())
    refused = 0
    for _ in range(1000):
        part = bytearray(plain)
        for _ in range(random.integers(1, 4)):
            part[random.integers(len(part))] = random.integers(256)
        path.write_bytes(put_together(before, bytes(part)))
        try:
            with CompressedFile(path, largest=2**20) as file:
                for name in file.entries:
                    file.stored(name)
        except FormatError:
            refused += 1
        except ValueError as error:
            assert "largest is 1048576" in str(error)  # noqa: PT017
            refused += 1
    assert refused > 500  # what only names tensors and metadata anew is accepted


def test_units_that_the_directory_does_not_list(path):
    before, plain = taken_apart(path.read_bytes())
    assert plain[-2:] == bytes([0, 2])  # no rows, and the columns of the last tensor
    path.write_bytes(put_together(before, plain[:-1] + bytes([3])))
    with pytest.raises(FormatError, match=r"tensor '3\.weight': its units are number 3, but 2 are listed"):
        CompressedFile(path)
    path.write_bytes(put_together(before, plain[:-1] + bytes([1])))  # others than the columns were coded by
    with CompressedFile(path) as file, pytest.raises(FormatError, match=r"tensor '3\.weight'"):
        file.stored("3.weight")


def test_a_directory_that_inflates_to_more_than_it_may(tmp_path, monkeypatch):
    path = tmp_path / "m.skn"
    with CompressedWriter(path, {"note": "z" * 5000}):
        pass
    assert path.stat().st_size < 200  # it is deflated
    monkeypatch.setattr(directory, "LONGEST", 5000)
    with pytest.raises(FormatError, match="does not end where it should"):
        CompressedFile(path)
    with pytest.raises(ValueError, match="metadata has 5004 bytes; 5000 are"):
        CompressedWriter(path, {"note": "z" * 5000})
    with pytest.raises(ValueError, match="directory of 0 tensors has 5006 bytes; 5000 are"):
        CompressedWriter(path, {"note": "z" * 4996}).__enter__().__exit__(None, None, None)


def test_a_directory_that_is_longer_than_what_is_deflated(tmp_path):
    path = tmp_path / "m.skn"
    with CompressedWriter(path, {"note": "z" * 5000}):
        pass
    data = path.read_bytes()
    assert data[-9] == directory.DEFLATED + directory.ONE_SUM
    longer = data[4:-9] + b"more"
    path.write_bytes(MAGIC + longer + directory._trailer(data[-9], longer, 0))
    with pytest.raises(FormatError, match="does not end where it should"):
        CompressedFile(path)


def test_numbers_of_a_directory(tmp_path):
    """Numbers of several bytes, and those that are too long or have a needless byte."""
    shapes = {"a": (0, 2**62), "b": (300, 0, 127, 128), "c": ()}
    with CompressedWriter(tmp_path / "m.skn") as writer:
        for name, shape in shapes.items():
            writer.write(name, "F4", np.zeros(0 if shape else 1, np.uint8), shape=shape or (2,))
    with CompressedFile(tmp_path / "m.skn") as file:
        assert [entry.shape for entry in file.entries.values()] == [*list(shapes.values())[:2], (2,)]
    before, plain = taken_apart((tmp_path / "m.skn").read_bytes())
    place = plain.index(bytes([0, *[128] * 8, 64]))  # 0 and 2**62 in nine bytes
    for number, message in (
        ([128] * 9, "ends within a number|exceeds"),
        ([128] * 9 + [1], "exceeds 2"),
        ([129, 0], "needless byte"),
    ):
        part = plain[: place + 1] + bytes(number) + plain[place + 10 :]
        (tmp_path / "m.skn").write_bytes(put_together(before, part))
        with pytest.raises(FormatError, match=message):
            CompressedFile(tmp_path / "m.skn")


def test_more_units_than_have_a_place(path):
    before, plain = taken_apart(path.read_bytes())
    with CompressedFile(path) as file:
        entries = file.entries.values()
    places = 2 * sum(entry.coding == "arithmetic" for entry in entries)
    units = {each for entry in entries for each in (entry.rows, entry.columns)} - {None}
    place = plain.index(bytes([len(units), 60]))  # how many, and the first one's size
    path.write_bytes(put_together(before, plain[:place] + bytes([places + 1]) + plain[place + 1 :]))
    with pytest.raises(FormatError, match=f"{places + 1} layers' units, but {places} places for them"):
        CompressedFile(path)
    path.write_bytes(put_together(before, plain[: place + 1] + bytes([129, 128, 128, 8]) + plain[place + 2 :]))
    with pytest.raises(FormatError, match="a layer of more than 16777216 units"):
        CompressedFile(path)


FORKS = """
import os, sys
import numpy as np
from sketches.nn import CompressedFile, TensorFile, compress, expand

arrays = {str(number): np.full((60, 60), number, np.int16) + np.arange(60, dtype=np.int16) for number in range(9)}
compress(arrays, sys.argv[1])
expand(sys.argv[1], sys.argv[2])
with CompressedFile(sys.argv[1]) as compressed, TensorFile(sys.argv[2]) as plain:
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            status = 2
            try:
                places = [(file, name) for _ in range(60) for name in arrays for file in (compressed, plain)]
                status = 0 if all((file[name] == arrays[name]).all() for file, name in places) else 1
            finally:
                os._exit(status)
        children.append(child)
    print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_processes_read_without_disturbing_each_other(tmp_path):
    run = [sys.executable, "-c", FORKS, tmp_path / "m.skn", tmp_path / "m.safetensors"]
    found = subprocess.run(run, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[0, 0, 0]"


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="no preadv on this platform")
def test_reads_that_give_less_than_was_asked_for(path, monkeypatch):
    with CompressedFile(path) as file:
        expected = {name: file.stored(name).tobytes() for name in file.entries}
        read = os.preadv
        monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: read(fd, [buffers[0][:7]], at))
        assert {name: file.stored(name).tobytes() for name in file.entries} == expected


def test_integers_take_few_bytes(tmp_path):
    """The low bytes of consecutive numbers repeat, the others hardly change; random ones take what they must."""
    random = np.random.default_rng(9).integers(0, 1000, 4000)
    with CompressedWriter(tmp_path / "m.skn") as writer:
        assert writer.write("consecutive", "I64", np.arange(100_000)) < 100_000 * 8 / 100
        assert writer.write("random", "I64", random) < 1.2 * 4000 * 10 / 8
        assert writer.entries["consecutive"].coding == "shuffle"
    with CompressedFile(tmp_path / "m.skn") as file:
        assert (file["consecutive"] == np.arange(100_000)).all()
        assert (file["random"] == random).all()


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64"])
def test_scalars_that_share_values(tmp_path, dtype):
    shared = SharedWeights(np.array(1, np.uint8), np.array([0, 2.5], np.float32), sparse=True)
    for coder in ("huffman", "arithmetic"):
        with CompressedWriter(tmp_path / "m.skn") as writer:
            writer.write("w", dtype, shared, coder=coder)
        with CompressedFile(tmp_path / "m.skn") as file:
            assert isinstance(file.stored("w"), np.ndarray)
            assert file["w"].shape == ()
            assert file["w"] == 2.5
    assert isinstance(shared.dense(), np.ndarray)


@pytest.mark.parametrize("size", [directory.SMALL, directory.SMALL + 1])
def test_one_checksum_of_up_to_so_many_bytes(tmp_path, size):
    array, target = np.random.default_rng(7).integers(0, 256, size, np.uint8), tmp_path / "m.skn"
    with CompressedWriter(target) as writer:
        writer.write("w", "U8", array)
    with CompressedFile(target) as file:
        assert (file.entries["w"].checksum is None) == (size == directory.SMALL)
        assert (file["w"] == array).all()
    data = target.read_bytes()
    target.write_bytes(data[:99] + bytes([data[99] ^ 1]) + data[100:])
    with pytest.raises(FormatError, match="checksum is wrong"), CompressedFile(target) as file:
        file.stored("w")


def test_dead_units_are_told_once(tmp_path):
    with CompressedWriter(tmp_path / "m.skn") as writer:
        for name, weights in LAYERS.items():
            writer.write(name, "F32", weights)
        entries = writer.entries
    first, second = entries["1.weight"].rows, entries["2.weight"].rows
    assert (first.live() == LAYERS["1.weight"].indices.any(1)).all()
    assert [entry.columns for entry in entries.values()] == [None, first, first, second]
    assert [entry.rows for entry in entries.values()] == [first, None, second, None]
    # what three tensors need not say again: some 40 of 60 units each time, at some 0.9 bits
    alone = sum(len(encode_arithmetic(weights)) for weights in LAYERS.values())
    together = sum(entry.length for entry in entries.values()) + len(first.code) + len(second.code)
    assert together < alone - 3 * 0.8 * 60 * 0.9 / 8


@pytest.mark.parametrize("wrong", [1, 3, 10])
def test_units_that_are_not_as_dead_as_expected(tmp_path, wrong):
    weights = LAYERS["3.weight"].indices.copy()
    weights[0, np.flatnonzero(~LIVE[1])[:wrong]] = 3
    with CompressedWriter(tmp_path / "m.skn") as writer:
        writer.write("2.weight", "F32", LAYERS["2.weight"])
        writer.write("3.weight", "F32", SharedWeights(weights, CODEBOOK, sparse=True))
    with CompressedFile(tmp_path / "m.skn") as file:
        assert (file.weights("3.weight").indices == weights).all()
        assert (file.entries["3.weight"].columns is None) == (wrong > 3)  # each costs what 8 dead ones save


def test_forged_units(path):
    with CompressedFile(path) as file:
        entries = file.entries
    data = path.read_bytes()
    units, entry = entries["1.weight"].rows, entries["2.weight"]
    part = data[entry.start : entry.start + entry.length]
    for changed in (
        {"rows": Units(61, units.code)},
        {"rows": Units(60, b"")},  # all are dead
        {"rows": Units(60, bytes(200))},
        {"columns": Units(0, b"")},
        {"columns": Units(2**24, b"")},
        {"columns": Units(7, units.code)},
        {"shape": (60, 0), "columns": Units(2**24, b"")},
        {"shape": (2**24, 0), "rows": Units(2**24, b""), "columns": None},
        {"shape": (60,)},
        {"shape": ()},
        {"rows": Units(60, Units.of(np.arange(60) < 0).code)},  # all are dead, as their code says
    ):
        path.write_bytes(resummed(part, [type(entry)(**vars(entry) | {"start": 4} | changed)], {}))
        with CompressedFile(path) as file, pytest.raises(FormatError, match=r"tensor '2\.weight': .*"):
            file.stored("2.weight")


def test_rows_that_are_dead_in_weights_that_have_no_zero(tmp_path):
    units = Units.of(LIVE[0])
    dense = SharedWeights(np.ones((np.count_nonzero(LIVE[0]), 5), np.uint8), CODEBOOK, sparse=False)
    code = encode_arithmetic(dense)
    entry = TensorEntry("w", "F32", (60, 5), "arithmetic", 4, len(code), zlib.crc32(code), units)
    (tmp_path / "m.skn").write_bytes(resummed(code, [entry], {}))
    with CompressedFile(tmp_path / "m.skn") as file, pytest.raises(FormatError, match="that is not sparse"):
        file.stored("w")


def test_codebooks_that_are_multiples_from_far_off(tmp_path):
    """Such a code holds places up to 2**16; beyond, entries are written otherwise."""
    for first in (2**16 - 1, 2**16, 2**16 + 1, 2**20):
        codebook = np.arange(first, first + 5, dtype=np.float32) / 8
        with CompressedWriter(tmp_path / "m.skn") as writer:
            writer.write("w", "F32", SharedWeights(np.arange(5, dtype=np.uint8), codebook, sparse=False))
        with CompressedFile(tmp_path / "m.skn") as file:
            assert (file["w"] == codebook).all()


def test_few_bytes_that_stand_for_many(tmp_path):
    zeros = SharedWeights(np.zeros((3000, 3000), np.uint8), np.zeros(1, np.float32), sparse=True)
    path = tmp_path / "zeros.skn"
    with CompressedWriter(path) as writer:
        assert writer.write("w", "F32", zeros) < 100
    with CompressedFile(path, largest=1000) as file, pytest.raises(ValueError, match="would have 36000000 bytes"):
        file.stored("w")
    with CompressedFile(path) as file:
        assert not file["w"].any()


def test_an_error_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(RuntimeError), CompressedWriter(path):
        raise RuntimeError
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="not open"):
        CompressedWriter(path).write("w", "F32", SPARSE)
