"""The format: its page, its refusals, and atomic files."""

import os
import stat
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from cases import CASES

import sketches
from sketches import BloomFilter, CountMin, FormatError
from sketches._ext.wire import PATHS, Body, crc32
from sketches.core import contract, layouts, wire

ROOT = Path(__file__).parents[2]


def sealed(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


@pytest.fixture
def data() -> bytes:
    sketch = CountMin(width=5, depth=2)
    sketch.update([1, 2, 2])
    return sketch.to_bytes()


def test_the_page_follows_the_table():
    assert (ROOT / "docs/format.md").read_text() == wire.markdown(), "run `make docs`"


def test_class_numbers_are_unique_and_every_class_exists():
    numbers = [layout.id for layout in layouts.LAYOUTS]
    assert len(set(numbers)) == len(numbers)


def test_a_class_may_have_several_layouts(data, monkeypatch):
    name, envelope, fields = wire.decode(data)
    assert envelope.layout == 23
    newer = layouts.Layout(200, name, (*layouts.NUMBERED[23].fields, layouts.Field("more", "u8", "")))
    monkeypatch.setitem(layouts.NUMBERED, 200, newer)
    monkeypatch.setitem(layouts.NEWEST, name, newer)
    written = wire.encode(name, envelope._replace(layout=None), {**fields, "more": 7})
    assert (len(written), written[5], written[-5]) == (len(data) + 1, 200, 7)
    assert wire.decode(written)[1].layout == 200
    assert wire.encode(*wire.decode(data)) == data
    assert sketches.from_bytes(written).counters.tolist() == sketches.from_bytes(data).counters.tolist()


def test_the_header_is_what_the_page_says(data):
    assert data[:8] == b"SKCH" + bytes([1, 23, 1, 0])
    assert struct.unpack_from("<QqqQQ", data, 8) == (0, 3, 3, 0, len(data) - 52)
    assert data[48:] == sealed(data[:-4])[48:]


@pytest.mark.parametrize("path", range(PATHS))
def test_the_checksum_is_zlibs_on_every_path(path):
    random = np.random.default_rng(1).bytes(70_000)
    for size in [*range(1400), 4095, 4096, 4097, 65_535, 65_536]:  # with all remainders of 16, 64 and 256 bytes
        start = size * 7 % 64
        data = memoryview(random)[start : start + size]
        assert crc32(data, path) == zlib.crc32(data), size
    for start in range(64):
        for size in (15, 63, 65, 1023, 1025, 1290):
            data = memoryview(random)[start : start + size]
            assert crc32(data, path) == zlib.crc32(data), (start, size)
    for bit in range(8 * 1290):  # of each bit alone
        data = (1 << bit).to_bytes(1290, "little")
        assert crc32(data, path) == zlib.crc32(data), bit


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"X", "not a sketch"),
        (4, bytes([2]), "format version 2 is newer"),
        (4, bytes([0]), "unknown format version 0"),
        (5, bytes([200]), "unknown class number 200"),
        (6, bytes([3]), "unknown hash number 3"),
        (6, bytes([0]), "hash number 0 does not go with a CountMin"),
        (7, bytes([1]), "reserved byte is 1"),
        (12, bytes([1]), "the seed is 4294967296"),
        (16, struct.pack("<q", 9), "total 9 exceeds the weight 3"),
        (40, struct.pack("<Q", 2**64 - 1), "truncated"),
        (40, struct.pack("<Q", 1), "follow the sketch's end"),
        (48, bytes([2]), r"conservative is 2, outside \[0, 1\]"),
        (50, struct.pack("<Q", 2**40 + 1), "width is"),
        (50, struct.pack("<Q", 4), "10 counters for a table of 2 × 4"),
        (58, bytes([3]), "counter_bytes is 3; it is 1, 2, 4 or 8"),
        (58, bytes([2]), "5 counters for a table of 2 × 5"),
        (59, struct.pack("<Q", 27), "cells announces 27 values, but 26 are left"),
        (59, struct.pack("<Q", 18), "truncated before values"),
        (67, bytes([127]), "counters exceed"),
        (67, bytes([3]), "counters exceed"),
    ],
)
def test_what_is_refused(data, at, value, message):
    broken = bytearray(data[:-4])
    broken[at : at + len(value)] = value
    with pytest.raises(FormatError, match=message):
        sketches.from_bytes(sealed(bytes(broken)))


def test_bytes_after_the_last_field_are_refused(data):
    longer = bytearray(data[:-4] + bytes(8))
    struct.pack_into("<Q", longer, 40, len(longer) - 48)
    with pytest.raises(FormatError, match="8 bytes follow the last field"):
        sketches.from_bytes(sealed(bytes(longer)))


def test_truncation_and_corruption(data):
    for end in range(len(data)):
        with pytest.raises(FormatError):
            sketches.from_bytes(data[:end])
    for at in range(len(data)):
        with pytest.raises(FormatError):
            sketches.from_bytes(data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :])
    with pytest.raises(TypeError, match="data is of type str"):
        sketches.from_bytes("SKCH")
    with pytest.raises(TypeError, match="data is of type memoryview"):
        sketches.from_bytes(memoryview(data)[::2])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bytes_may_lie_at_any_address(case):
    for n in (3, 2000):
        data = case.built([(-1.5) ** (i % 41) for i in range(n)]).to_bytes()
        for start in range(9):
            padded = bytearray(bytes(start) + data)
            assert sketches.from_bytes(memoryview(padded)[start:]).to_bytes() == data
        copy = sketches.from_bytes(padded := bytearray(data))
        padded[:] = bytes(len(data))  # the sketch has memory of its own
        assert copy.to_bytes() == data


@pytest.mark.parametrize("kind", ["u8", "u32", "u64", "i64", "f32", "f64"])
def test_every_value_of_an_array_is_held_to_its_range(kind):
    low, high = (-1.5, 2.5) if kind[0] == "f" else (-3 if kind[0] == "i" else 3, 200)
    body = Body([("x", "u8", "", None, None), ("values", f"{kind}[]", "", low, high)])
    dtype = np.dtype(f"{kind[0]}{int(kind[1:]) // 8}")
    limits = (dtype.type(-np.inf), dtype.type(np.inf)) if kind[0] == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for n in (1, 2, 7, 8, 33, 70):
        good = np.linspace(low, high, n).astype(dtype)
        written = body.write(bytes(48), {"x": 1, "values": good})
        assert written[48:-4] == b"\1" + struct.pack("<Q", n) + good.tobytes()
        assert body.read(written[48:-4])["values"].tolist() == good.tolist()
        for at in range(n):
            for value in {limits[0], limits[1], dtype.type(low) - 1, dtype.type(high) + 1}:
                bad = good.copy()
                bad[at] = value
                with pytest.raises(ValueError, match=r"values is .*, outside \["):
                    body.read(body.write(bytes(48), {"x": 1, "values": bad})[48:-4])


@pytest.mark.parametrize(("kind", "least", "most"), [("u8", 0, 255), ("u32", 0, 2**32 - 1), ("u64", 0, 2**64 - 1),
                                                     ("i64", -(2**63), 2**63 - 1)])  # fmt: skip
def test_scalars_that_do_not_fit_are_not_written(kind, least, most):
    body = Body([("x", kind, "", None, None)])
    for value in (least, most):
        assert body.read(body.write(bytes(48), {"x": value})[48:-4]) == {"x": value}
    for value in (least - 1, most + 1):
        with pytest.raises(OverflowError):
            body.write(bytes(48), {"x": value})


def test_a_class_reads_its_own_and_a_subclass_what_it_extends(data):
    class Other(CountMin):
        pass

    other = Other.from_bytes(data)
    assert type(other) is type(other.copy()) is Other
    assert other.to_bytes() == data
    assert type(sketches.from_bytes(data)) is CountMin
    with pytest.raises(FormatError, match="hold a CountMin, not a BloomFilter"):
        BloomFilter.from_bytes(data)


def test_an_interrupted_write_leaves_the_file_as_it_was(data, tmp_path, monkeypatch):
    path = tmp_path / "x.sketch"
    path.write_bytes(data)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        contract.write_atomically(path, b"half")
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        contract.write_atomically(tmp_path / "nowhere" / "x.sketch", b"")


def test_a_link_stays_a_link(data, tmp_path):
    target, link = tmp_path / "there.sketch", tmp_path / "here.sketch"
    link.symlink_to("there.sketch")
    for expected in (b"new", data):  # the target need not exist
        contract.write_atomically(link, expected)
        assert target.read_bytes() == expected
        assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, target]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_keeps_its_mode(tmp_path, umask):
    path = tmp_path / "x.sketch"
    before = os.umask(umask)
    try:
        contract.write_atomically(path, b"old")
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
        for mode in (0o600, 0o664, 0o444, 0o755):
            path.chmod(mode)
            contract.write_atomically(path, b"new")
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


def test_a_pipe_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        contract.write_atomically(path, b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert path.is_fifo()


def test_threads_may_write_the_same_file(tmp_path):
    written = [bytes([i]) * 1000 for i in range(4)]
    path, failures = tmp_path / "x.sketch", []

    def write(data):
        try:
            for _ in range(25):
                contract.write_atomically(path, data)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(data,)) for data in written]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert path.read_bytes() in written
    assert list(tmp_path.iterdir()) == [path]
