"""BinaryFuseFilter: its size, its answers, its table, and what it refuses."""

import numpy as np
import pytest

from sketches import BinaryFuseFilter, BloomFilter, FormatError, plain
from sketches._ext.binary_fuse import BinaryFuseKernel, solve
from sketches._ext.hashing import Hasher
from sketches.core import wire
from sketches.core.filter_bounds import BINARY_FUSE_ATTEMPTS, binary_fuse_shape

BITS = [8, 16]
RANDOM = np.random.default_rng(21)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 16, 100, 1000, 30_000])
def test_every_item_is_found(size, bits):
    items = RANDOM.integers(0, 2**62, size)
    fuse = BinaryFuseFilter(items, bits)
    assert fuse.contains(items).all()
    assert all(item in fuse for item in items[:1000].tolist())
    assert fuse.total == fuse.weight == size
    assert fuse.nbytes == fuse.fingerprints.nbytes


@pytest.mark.parametrize("bits", BITS)
def test_one_by_one_or_all_at_once(bits):
    fuse, twin = BinaryFuseFilter(range(300), bits), plain.BinaryFuseFilter(range(300), bits)
    questions = [*range(2000), None, "x", float("nan"), 2**70, (1, "a"), b"\xff"]
    for size in (1, 255, 256, 257, len(questions)):
        answers = fuse.contains(questions[:size]).tolist()
        assert answers == [item in fuse for item in questions[:size]] == [item in twin for item in questions[:size]]
    assert fuse.contains(np.arange(2000)).tolist() == fuse.contains(range(2000)).tolist()
    assert fuse.contains([]).tolist() == []


def test_the_empty_set_holds_nothing():
    for nothing in ([], [None], np.zeros(0)):
        fuse = BinaryFuseFilter(nothing)
        assert fuse.nbytes == fuse.total == fuse.false_positive_rate() == 0
        assert not fuse.contains(np.arange(10_000)).any()
        assert 1 not in fuse
        assert None not in fuse
        assert len(fuse.fingerprints) == 0


def test_mixed_items_are_those_of_other_sketches():
    items = [1, 1.0, True, "é", b"\xff", -(2**70), 2.5, (1, ("x", None)), np.datetime64("2020-02-29"), None]
    fuse = BinaryFuseFilter(items)
    assert (fuse.total, fuse.nulls) == (7, 1)
    assert fuse.contains(items).tolist() == [True] * 9 + [False]
    assert np.int8(1) in fuse


@pytest.mark.parametrize(("size", "bits", "most"), [(10**6, 8, 9.1), (10**6, 16, 18.2), (10**5, 8, 9.6)])
def test_bits_for_each_item(size, bits, most):
    fuse = BinaryFuseFilter(np.arange(size), bits)
    assert 8 * len(fuse.to_bytes()) / size <= most
    assert fuse.false_positive_rate() == 2.0**-bits


def test_shape_has_room():
    for size in [*range(1, 2000), 10**5, 10**6, 10**7, 2**31]:
        log_length, segments = binary_fuse_shape(size)
        slots = segments + 2 << log_length
        assert 1.125 * size <= slots < 2**32
        assert segments >= 1
    assert binary_fuse_shape(2**31)[0] == 18


def test_attempts_rarely_fail():
    # 3000 sets of small sizes, which fail most often: a first attempt does for at least nine of ten, and a fourth for
    # all: failures in a row are about independent, so that 64 would come once in far more than 2**100 sets.
    attempts = [BinaryFuseFilter(np.arange(n % 100), seed=n).attempt for n in range(3000)]
    assert np.mean(np.array(attempts) > 0) < 0.1
    assert 0 < max(attempts) < 6


def test_sets_chosen_to_fail_end_with_an_error():
    # Integers whose hashes begin alike share a first slot, and there are more of them than slots in the other segments.
    hasher = Hasher()
    chosen = [i for i in range(300_000) if hasher.item(i) >> 54 == 7]
    assert len(chosen) > 200
    with pytest.raises(ValueError, match=r"no filter was found for this set of \d+ in 64 attempts, .* bytes as key="):
        BinaryFuseFilter(chosen)
    assert BinaryFuseFilter(chosen, key=bytes(16)).contains(chosen).all()


def test_a_slot_of_too_many_hashes_fails():
    hashes = np.arange(300, dtype=np.uint64)  # of one first slot, whose count would be 44 if it were to wrap
    table = np.zeros(3 << 18, np.uint8)
    assert not solve(hashes, table, 18, 8, 0)
    assert not table.any()
    assert solve(hashes[:1], table, 18, 8, 0)


def test_kernels_refuse_tables_of_no_shape():
    for size, log_length, bits in [(11, 2, 8), (8, 2, 8), (12, 19, 8), (12, 2, 4), (12, 2, 0), (12, -1, 8)]:
        with pytest.raises(ValueError, match="not accepted"):
            BinaryFuseKernel()._setup(np.zeros(size, np.uint8), log_length, bits, 0)
    assert not solve(np.arange(13, dtype=np.uint64) << np.uint64(59), np.zeros(12, np.uint8), 2, 8, 0)
    with pytest.raises(ValueError, match="1 bytes for answers of 2"):
        BinaryFuseFilter([1])._ask(np.zeros(2, np.uint64), np.zeros(1, np.uint8))


@pytest.mark.parametrize("bits", [0, 4, 32, True, "8", 8.0, None])
def test_invalid_bits(bits):
    with pytest.raises(ValueError, match=f"bits is {bits!r}; 8 or 16 is accepted"):
        BinaryFuseFilter([1], bits)


def test_a_table_that_shares_no_memory_and_is_read_only():
    fuse = BinaryFuseFilter(range(100), 16)
    assert fuse.fingerprints.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        fuse.fingerprints[0] = 1
    assert "false positives 1.5e-05" in repr(fuse)
    assert fuse != BinaryFuseFilter(range(100), 8)
    assert fuse != BinaryFuseFilter(range(101), 16)
    with pytest.raises(TypeError, match="cannot merge a BloomFilter with a BinaryFuseFilter"):
        BloomFilter(10).merge(fuse)


def altered(fuse, **changes):
    fields = fuse._fields() | {name: value for name, value in changes.items() if name != "total"}
    total = changes.get("total", fuse.total)
    return wire.encode("BinaryFuseFilter", wire.Envelope(1, 0, total, abs(total), 0, 50), fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 9}, "fingerprints of 9 bits"),
        ({"bits": 4}, "bits is 4"),
        ({"attempt": BINARY_FUSE_ATTEMPTS}, "attempt is 64"),
        ({"log_length": 19}, "log_length is 19"),
        ({"log_length": 5}, "no whole number of segments"),
        ({"fingerprints": np.zeros(8, np.uint8)}, "8 slots in segments of 4"),
        ({"fingerprints": np.zeros(0, np.uint8)}, "0 slots for 2 items"),
        ({"fingerprints": np.ones(12, np.uint8)}, "12 slots are used by 2 items"),
        ({"total": 13}, "13 items in 12 slots"),
        ({"total": 0}, "12 slots for 0 items"),
        ({"total": -1}, "total -1"),
    ],
)
def test_bytes_that_no_filter_writes(changes, message):
    fuse = BinaryFuseFilter([1, 2])
    assert (fuse.nbytes, fuse.log_length) == (12, 2)
    with pytest.raises(FormatError, match=message):
        BinaryFuseFilter.from_bytes(altered(fuse, **changes))
