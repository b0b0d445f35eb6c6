"""Statistics of activations as bytes: copies, files, foreign and hostile ones."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from contract.test_fuzz import damage, seal
from nn.layers import UNITS, fed, rectified

import sketches
from sketches import CountMin, FormatError
from sketches.core import wire
from sketches.nn import StreamingStatistics


def test_bytes_copies_and_pickles(tmp_path):
    statistics = fed(rectified(), seed=9)
    statistics.observe("schöne\ud800 Schicht", np.ones((2, 2)))
    for other in (
        StreamingStatistics.from_bytes(statistics.to_bytes()),
        copy.copy(statistics),
        copy.deepcopy(statistics),
        pickle.loads(pickle.dumps(statistics)),
    ):
        assert other == statistics
        assert other.layers == statistics.layers
        other.observe("hidden", np.ones((1, UNITS)))
        assert other != statistics
    statistics.save(tmp_path / "layers.sketch")
    assert StreamingStatistics.from_bytes((tmp_path / "layers.sketch").read_bytes()) == statistics
    assert statistics != 3
    assert "hidden' (4,000 × 37)" in repr(statistics)
    assert "none yet" in repr(StreamingStatistics())
    assert StreamingStatistics.from_bytes(StreamingStatistics().to_bytes()) == StreamingStatistics()
    with pytest.raises(TypeError):
        hash(statistics)


def golden():
    """Whole numbers and powers of two: no rounding that a platform might do differently."""
    statistics = StreamingStatistics(epsilon=0.25, seed=3)
    statistics.observe("first", np.array([[1, 0, -2, np.nan], [3, 0, -4, 8], [0.5, 0, np.inf, 16]]))
    statistics.observe("zweite Schicht ü", np.eye(8))
    statistics.observe("first", np.array([[1.5, 0, np.nan, -np.inf]]))
    return statistics


def newest():
    """Of whole numbers, too; directions, whose axes LAPACK may turn round, have not been shrunk."""
    statistics = StreamingStatistics(epsilon=0.25, directions=2, seed=3)
    values = np.array([[1, 0, -2, np.nan], [3, 0, -4, 8], [0.5, 0, np.inf, 16]])
    statistics.observe("first", values, limits=(-1, 1))
    statistics.observe("second", np.arange(16.0).reshape(2, 2, 2, 2), axis=1)
    return statistics


def frozen(name):
    return (Path(__file__).parents[1] / "golden" / name).read_bytes()


def test_bytes_are_frozen():
    assert newest().to_bytes() == frozen("v1-51-StreamingStatistics.bytes")
    assert StreamingStatistics.from_bytes(frozen("v1-51-StreamingStatistics.bytes")) == newest()


def test_the_first_layout_is_read_without_its_sketches_of_firings():
    read, expected = StreamingStatistics.from_bytes(frozen("v1-StreamingStatistics.bytes")), golden()
    for layer in ("first", "zweite Schicht ü"):
        found, whole = read.summary(layer), expected.summary(layer)
        for name in ("samples", "values", "patterns", "energy", "effective_units"):
            assert getattr(found, name) == getattr(whole, name), name
        for name in ("count", "nans", "infinities", "mean", "variance", "minimum", "maximum", "zeros", "fires", "rare"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), name)
        assert found.effective_rank == 0
        assert np.isnan(found.beyond).all()
    assert StreamingStatistics.from_bytes(read.to_bytes()) == read
    read.observe("first", np.ones((3, 4)))
    assert read.summary("first").samples == expected.summary("first").samples + 3


def test_other_readers_refuse_kindly():
    with pytest.raises(FormatError, match="hold a CountMin"):
        StreamingStatistics.from_bytes(CountMin(width=4).to_bytes())
    with pytest.raises(FormatError, match="StreamingStatistics"):
        sketches.from_bytes(StreamingStatistics().to_bytes())
    with pytest.raises(FormatError, match="StreamingStatistics"):
        CountMin.from_bytes(StreamingStatistics().to_bytes())


def fields(statistics):
    _, envelope, values = wire.decode(statistics.to_bytes())
    return envelope, {key: np.array(value) if np.ndim(value) else value for key, value in values.items()}


def edited(change):
    """Bytes of a state that `change` has made impossible; count, nan, infinite, zero, fires of two units, 3 samples."""
    envelope, values = fields(fed(np.array([[1.0, 0], [2, 0], [3, np.nan]]), 1))
    envelope = change(values) or envelope
    return wire.encode("StreamingStatistics", envelope, values)


def put(name, index, value):
    def change(values):
        values[name][index] = value

    return change


def replace(name, value):
    def change(values):
        values[name] = value

    return change


def keyed(values):
    sketch = sketches.FlajoletMartin(key=bytes(16)).to_bytes()
    data, sizes = values["sketches"].tobytes(), values["sketch_sizes"]
    start, end = int(sizes[:1].sum()), int(sizes[:2].sum())
    values["sketches"] = np.frombuffer(data[:start] + sketch + data[end:], np.uint8)
    sizes[1] = len(sketch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("epsilon", 1.0), "epsilon is 1"),
        (replace("limits", [1.0, 1.0]), "limits are"),
        (replace("limits", [1.0]), "limits for 0.5 layers"),
        (replace("filled", [3]), "axes have"),
        (put("rows", 0, 4), "directions of 4 rows of 3 samples"),
        (put("rows", 0, 1), "directions without rows"),
        (put("means", 0, np.nan), "mean of directions"),
        (put("energies", 0, -1), "impossible energy"),
        (put("energies", 1, 1e9), "impossible energy"),
        (put("axes", 0, np.nan), "zero or too large"),
        (replace("samples", [3, 4]), "samples for 2 layers"),
        (replace("samples", [2**62]), "exceed"),
        (replace("name_sizes", [5]), "names have 6 values, not 5"),
        (replace("name_sizes", [5, 1]), "names for 2 parts"),
        (replace("units", [3]), "counts have"),
        (replace("units", [2**40]), "counts have"),
        (replace("sketch_sizes", [0, 2**64 - 1]), "sketches have"),
        (put("names", 0, 255), "cannot be read"),
        (put("counts", 0, 4), "more activations than samples"),
        (put("counts", 2, 2**62), "more activations than samples"),
        (put("counts", 0, 2), "as many activations as there are samples"),
        (put("counts", 6, 4), "more zeros"),
        (put("counts", 9, 1), "more zeros"),
        (put("counts", 10, 1), "beyond no limits"),
        (put("moments", 0, np.nan), "NaN or negative"),
        (put("moments", 2, -1), "NaN or negative"),
        (put("moments", 0, 9), "outside the extremes"),
        (put("moments", 6, np.inf), "extreme is infinite"),
        (keyed, "cannot be read"),
        (lambda values: wire.Envelope(1, 0, 4, 4, 0), "3 samples, not the total 4"),
        (lambda values: wire.Envelope(1, 0, 3, 4, 0), "total is not the weight"),
        (lambda values: wire.Envelope(1, 0, 3, 3, 1), "nulls"),
        (lambda values: wire.Envelope(1, 5, 3, 3, 0), "Hasher"),
        (lambda values: wire.Envelope(0, 0, 3, 3, 0), "hash number 0"),
    ],
)
def test_impossible_states_are_refused(change, message):
    with pytest.raises(FormatError, match=message):
        StreamingStatistics.from_bytes(edited(change))


def test_hostile_bytes():
    valid = [StreamingStatistics().to_bytes(), fed(rectified(30, 8)).to_bytes(), fed(rectified(300)).to_bytes()]
    random = np.random.default_rng(8)
    loaded = 0
    for turn in range(1500):
        data = damage(valid[turn % 3], valid, random)
        data = seal(data) if random.random() < 0.9 else data
        try:
            statistics = StreamingStatistics.from_bytes(data)
        except FormatError:
            continue
        loaded += 1
        assert statistics.to_bytes() == data
        for layer in statistics.layers:
            statistics.summary(layer)
            try:
                statistics.observe(layer, np.ones((2, len(statistics.summary(layer).mean))))
            except OverflowError:
                continue
        statistics.copy()
    assert loaded < 750
