"""The largest layer in a table with false positives, at toy scale: what goes into the file comes out of it."""

import numpy as np
import pytest
import torch

from benchmarks.compression import weightless
from benchmarks.compression.deep import Setting
from benchmarks.compression.weightless import LARGEST, OURS, PAPER, Table
from benchmarks.networks import mnist
from benchmarks.networks.models import NETWORKS
from sketches.nn import CompressedFile, compress


@pytest.fixture
def images():
    random = np.random.default_rng(1)
    return mnist.Images(torch.from_numpy(random.random((512, 1, 28, 28), np.float32)), torch.arange(512) % 10)


@pytest.fixture
def model():
    torch.manual_seed(1)
    found = NETWORKS["LeNet-300-100"]()
    for parameter in found.parameters():
        if parameter.ndim > 1:
            parameter.data *= torch.rand_like(parameter) < 0.05
    return found


SETTING = Table(2**-6, Setting(0.05, 2, epochs=2))


def test_false_positives_stay_and_other_layers_learn(model, images, tmp_path):
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    compress(weightless.stored(model, SETTING, images, seed=0), tmp_path / "m.skn")
    assert all((weights == before[name]).all() for name, weights in model.state_dict().items())
    with CompressedFile(tmp_path / "m.skn") as file:
        assert set(file.entries) == set(before)
        assert {name: entry.coding for name, entry in file.entries.items()} == {
            name: "bloomier" if name == LARGEST else "arithmetic" for name in before
        }
        pruned = before[LARGEST].numpy() == 0
        false = np.count_nonzero(file[LARGEST][pruned]) / pruned.sum()
        # of 223,440 pruned weights a 64th are false positives, with a standard deviation of 59
        assert abs(false - 2**-6) < 5 * 59 / 223_440
        assert (file[LARGEST][~pruned] != 0).all()
        for name in ("fc2.weight", "fc3.weight"):
            assert (file[name][before[name].numpy() == 0] == 0).all()
            assert len(np.unique(file[name])) <= 5
        assert any((file[name] != before[name].numpy()).any() for name in ("fc2.bias", "fc3.bias"))


def test_points_are_those_of_the_file(model, images, monkeypatch):
    monkeypatch.setitem(weightless.SETTINGS, "LeNet-300-100", [SETTING])
    load, read, test = weightless.load_compressed_, [], images.part(None, 50)

    def loaded(into, path):
        read.append(into)
        load(into, path)

    def tested(network, of):
        assert of is test
        return 2.5 if network in read else 90.0

    monkeypatch.setattr(weightless, "load_compressed_", loaded)
    monkeypatch.setattr(weightless, "error", tested)
    rows = list(weightless.points("LeNet-300-100", model, 0.05, images, test, 0, quick=True))
    assert {row.name: row.value for row in rows if row.measure == weightless.ERROR} == {
        OURS: 2.5,
        weightless.EXACT: 90.0,
    }
    (error,) = (row for row in rows if (row.name, row.measure) == (OURS, weightless.ERROR))
    (ratio,) = (row for row in rows if row.measure == weightless.RATIO)
    assert error.x == ratio.value > 10
    assert list(weightless.points("LeNet-300-100", model, 0.3, images, images, 0, quick=True)) == []


def test_known_points():
    assert {row.where: (row.x, row.value) for row in weightless.known(False)} == {
        "LeNet-300-100": (124, 1.9),
        "LeNet-5": (382, 1.0),
    }
    assert all(row.name == PAPER for row in weightless.known(True))
