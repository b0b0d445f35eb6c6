"""Bloomier weights: what is stored is exact, false positives are as rare as stated, and wrong bytes are refused."""

import copy
import pickle

import numpy as np
import pytest

from sketches import CountMin, FormatError
from sketches.core import wire
from sketches.nn import BloomierWeights, SharedWeights
from sketches.nn.compression.bloomier import _packed, _unpacked


def layer(shape, share, entries, seed=0) -> SharedWeights:
    random = np.random.default_rng(seed)
    kept = random.random(shape) < share
    dtype = np.uint8 if entries < 256 else np.uint16
    indices = np.where(kept, random.integers(1, entries + 1, shape), 0).astype(dtype)
    return SharedWeights(indices, np.concatenate([[0], random.normal(size=entries)]).astype(np.float32), True)


@pytest.mark.parametrize("entries", [1, 2, 3, 15, 100, 300])
@pytest.mark.parametrize(("shape", "share"), [((1,), 1.1), ((3, 5), 0.5), ((300, 784), 0.02), ((2, 3, 40, 41), 0.3)])
def test_kept_weights_are_exact(shape, share, entries):
    shared = layer(shape, share, entries)
    stored = BloomierWeights.from_weights(shared)
    found = stored.shared()
    kept = shared.indices > 0
    assert found.sparse
    assert found.indices.dtype == shared.indices.dtype
    assert (found.codebook == shared.codebook).all()
    assert (found.indices[kept] == shared.indices[kept]).all()
    assert (stored.dense() == found.codebook[found.indices]).all()
    assert stored.size == kept.sum()
    assert stored.false_positive_rate == entries / 2**stored.cell_bits <= 2**-6 < 2 * stored.false_positive_rate


@pytest.mark.parametrize(("entries", "rate", "bits"), [(15, 0.5, 5), (8, 0.03125, 8), (5, 0.1, 6), (60, 2**-9, 15)])
def test_false_positives_are_as_rare_as_stated_and_of_every_value_alike(entries, rate, bits):
    shared = layer((1000, 1000), 0.05, entries, seed=entries)
    stored = BloomierWeights.from_weights(shared, false_positive_rate=rate)
    assert stored.cell_bits == bits
    probability, pruned = stored.false_positive_rate, shared.indices == 0
    found = stored.shared().indices[pruned]
    n = found.size
    # a binomial count: its standard error is (n p (1 - p))^0.5; of one value of several, the same with p / entries
    assert abs(np.count_nonzero(found) - n * probability) <= 5 * (n * probability * (1 - probability)) ** 0.5
    single = probability / entries
    counts = np.bincount(found, minlength=entries + 1)[1:]
    # 6 standard errors, since up to 60 counts are looked at
    assert np.abs(counts - n * single).max() <= 6 * (n * single * (1 - single)) ** 0.5


@pytest.mark.parametrize(("n", "most"), [(1000, 1.31), (5000, 1.24), (50_000, 1.18)])
def test_cells_for_each_weight(n, most):
    indices = np.zeros(20 * n, np.uint8)
    indices[np.random.default_rng(n).permutation(20 * n)[:n]] = 1
    stored = BloomierWeights.from_weights(SharedWeights(indices, np.float32([0, 1]), True))
    assert 1.08 < stored.bits_per_weight / stored.cell_bits <= most
    assert len(stored.to_bytes()) <= stored.nbytes + 150


def test_no_weights_and_no_positions():
    for shape in ((0,), (5, 4), (), (3, 0, 2)):
        stored = BloomierWeights.from_weights(SharedWeights(np.zeros(shape, np.uint8), np.zeros(1, np.float32), True))
        assert stored.dense().shape == shape
        assert not stored.dense().any()
        assert stored.bits_per_weight == stored.nbytes == stored.false_positive_rate == 0
        assert BloomierWeights.from_bytes(stored.to_bytes()) == stored


@pytest.mark.parametrize("bits", range(1, 17))
def test_cells_are_packed_lowest_bit_first(bits):
    cells = np.random.default_rng(bits).integers(0, 2**bits, 77).astype(np.uint16)
    packed = _packed(cells, bits)
    number = sum(int(cell) << i * bits for i, cell in enumerate(cells))
    assert packed.tobytes() == number.to_bytes((77 * bits + 7) // 8, "little")
    assert (_unpacked(packed, bits, 77) == cells).all()


def test_bytes_files_pickles_and_copies(tmp_path):
    stored = BloomierWeights.from_weights(layer((30, 40), 0.2, 7))
    stored.save(tmp_path / "layer.weights")
    for other in (
        BloomierWeights.from_bytes(stored.to_bytes()),
        BloomierWeights.load(tmp_path / "layer.weights"),
        pickle.loads(pickle.dumps(stored)),
        copy.deepcopy(stored),
    ):
        assert other == stored
        assert (other.dense() == stored.dense()).all()
        assert other.size == stored.size
    with pytest.raises(FormatError, match="hold a CountMin"):
        BloomierWeights.from_bytes(CountMin(width=3).to_bytes())


def test_bytes_are_frozen():
    stored = BloomierWeights.from_weights(SharedWeights(np.uint8([0, 1, 0, 2]), np.float32([0, -1, 0.5]), True))
    assert stored.to_bytes().hex() == FROZEN


FROZEN = (
    "534b4348013c0100000000000000000002000000000000000200000000000000000000000000000033000000000000000100000000000000"
    "04000000000000000200000000000000000080bf0000003f0700000400000004000000000000005e00a00deec1574c"
)


def test_hostile_bytes():
    stored = BloomierWeights.from_weights(layer((30, 40), 0.2, 7))
    good, n = stored._fields(), stored.size
    cells = len(stored._cells)
    for changes, envelope, message in (
        ({"shape": (1,) * 9}, {}, "9 dimensions"),
        ({"shape": (10, 2)}, {}, f"{n} of 20 weights"),
        ({"shape": (2**40, 2**40)}, {}, "weights are kept"),
        ({"codebook": np.float32([np.nan] * 7)}, {}, "not finite"),
        ({"codebook": np.ones(2**stored.cell_bits + 1, np.float32)}, {}, "entries for cells"),
        ({"codebook": np.zeros(0, np.float32)}, {}, "no entries"),
        ({"segments": 2}, {}, "2 segments"),
        ({"segments": 2**31, "log_length": 18}, {}, "segments for"),
        ({"segments": good["segments"] + 1}, {}, "bytes for"),
        ({"segments": 0, "cells": np.zeros(0, np.uint8)}, {}, "0 segments"),
        ({"segments": 1}, {"total": 0, "weight": 0}, "1 segments for no weights"),
        ({}, {"total": 0, "weight": 0}, "for 0 weights"),
        ({}, {"total": cells + 1, "weight": cells + 1}, "weights"),
        ({}, {"total": -1, "weight": 1}, "a total of -1"),
        ({}, {"fingerprint": 5}, "with a seed"),
        ({"cell_bits": 0}, {}, "cell_bits"),
    ):
        data = wire.encode("BloomierWeights", wire.Envelope(1, 0, n, n, 0)._replace(**envelope), {**good, **changes})
        with pytest.raises(FormatError, match=message):
            BloomierWeights.from_bytes(data)
    odd = BloomierWeights.from_weights(SharedWeights(np.uint8([1]), np.float32([0, 1]), True), false_positive_rate=0.2)
    fields = odd._fields()
    assert len(odd._cells) * odd.cell_bits % 8
    fields["cells"][-1] |= 0x80
    with pytest.raises(FormatError, match="bits beyond"):
        BloomierWeights.from_bytes(wire.encode("BloomierWeights", odd._envelope(), fields))
    data = stored.to_bytes()
    for end in range(len(data)):
        with pytest.raises(FormatError):
            BloomierWeights.from_bytes(data[:end])
    random = np.random.default_rng(4)
    for _ in range(300):  # altered fields under a right checksum: an error, or weights of the shape that is written
        fields = {**good}
        name = random.choice(["attempt", "log_length", "segments", "cell_bits"])
        fields[name] = int(random.integers(0, 19))
        try:
            found = BloomierWeights.from_bytes(wire.encode("BloomierWeights", stored._envelope(), fields))
        except FormatError:
            continue
        assert found.dense().shape == (30, 40)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BloomierWeights(), TypeError, "from_weights"),
        (lambda: BloomierWeights.from_weights(np.zeros(3)), TypeError, "shared is of type ndarray"),
        (
            lambda: BloomierWeights.from_weights(SharedWeights(np.uint8([0]), np.float32([1]), False)),
            ValueError,
            "not sparse",
        ),
        (
            lambda: BloomierWeights.from_weights(SharedWeights(np.uint8([2]), np.float32([0, 1]), True)),
            ValueError,
            "the index 2 of 1",
        ),
        (
            lambda: BloomierWeights.from_weights(SharedWeights(np.uint8([1]), np.float32([0, np.inf]), True)),
            ValueError,
            "finite entries",
        ),
        (lambda: BloomierWeights.from_weights(layer((1,) * 9, 1, 4)), ValueError, "9 axes; up to 8"),
        (lambda: BloomierWeights.from_weights(layer((9,), 1, 4), false_positive_rate=1), ValueError, "rate is 1"),
        (
            lambda: BloomierWeights.from_weights(layer((9,), 1, 4), false_positive_rate=1e-5),
            ValueError,
            "rate is 1e-05",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
