"""The jobs of the page on compression, at toy scale: they run, and what must hold holds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.compression import bloomier, deep, hashed, lossless, recode, slim, sparse, speed, weightless
from benchmarks.compression.jobs import COMPRESSION, JOBS
from benchmarks.networks import mnist, worker
from benchmarks.networks.models import NETWORKS
from benchmarks.networks.page import write_page
from sketches.nn import share_, shared_weights


@pytest.fixture
def pruned(tmp_path, monkeypatch):
    """A net of 784, 12, 8 and 10 units, a tenth of its weights kept, with images and labels that it gives itself."""
    random = np.random.default_rng(1)
    widths, net = (784, 12, 8, 10), {}
    for layer, inputs, outputs in zip(recode.LAYERS, widths, widths[1:], strict=False):
        weights = random.normal(size=(outputs, inputs)) * (
            random.random((outputs, inputs)) < (0.1 if inputs > 99 else 0.6)
        )
        weights[1] = 0  # a unit without inputs, which other units take
        net |= {f"{layer}.weight": weights.astype(np.float32), f"{layer}.bias": np.ones(outputs, np.float32)}
        net[f"{layer}.bias"][1] = 0
    pixels = random.random((300, 784), np.float32)
    *_, outputs = recode.sums(net, pixels)
    np.savez(tmp_path / "net.npz", **net)
    monkeypatch.setattr(recode, "LENET", tmp_path / "net.npz")
    monkeypatch.setattr(recode, "images", lambda name: recode.Images(pixels, outputs.argmax(1).astype(np.uint8)))
    monkeypatch.setattr(mnist, "absent", lambda: "")
    return net, pixels


@pytest.fixture
def blobs(monkeypatch):
    random = np.random.default_rng(1)
    images = mnist.Images(torch.from_numpy(random.random((128, 1, 28, 28), np.float32)), torch.arange(128) % 10)
    monkeypatch.setattr(mnist, "absent", lambda: "")
    monkeypatch.setattr(mnist, "training", lambda: images)
    monkeypatch.setattr(mnist, "test", lambda: images.part(None, 50))


def test_weights_of_dead_units_change_no_answer(pruned):
    net, pixels = pruned
    part = recode.live_part(net)
    assert np.count_nonzero(net["ip2.weight"][:, 1]) > np.count_nonzero(part["ip2.weight"][:, 1]) == 0
    *_, outputs = recode.sums(net, pixels)
    *_, of_part = recode.sums(part, pixels)
    np.testing.assert_allclose(of_part, outputs, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="ip1: a unit without inputs has a bias"):
        recode.live_part(net | {"ip1.bias": np.ones(12, np.float32)})


def test_a_net_comes_from_the_file_as_it_was_quantized(pruned):
    net, pixels = pruned
    shared = recode.quantized(recode.live_part(net), pixels, 0.5)
    nbytes, read = recode.through_file(shared)
    assert nbytes > 0
    for name, weights in shared.items():
        assert (read[name] == weights.dense()).all()
        assert read[name].shape == net[name].shape
        assert (read[name][net[name] == 0] == 0).all()


def figures(rows, name, measure):
    return {row.setting: row.value for row in rows if (row.name, row.measure) == (name, measure)}


def test_the_shortest_file_that_is_allowed_is_chosen(pruned, monkeypatch):
    monkeypatch.setattr(recode, "ALLOWED", 100)
    rows = list(recode.run(False))
    sizes = figures(rows, recode.OURS, recode.BYTES)
    ((setting, nbytes),) = figures(rows, recode.CHOSEN, recode.BYTES).items()
    assert len(sizes) == len(recode.SCALES)
    assert nbytes == min(sizes.values()) == sizes[setting]
    assert {row.measure for row in rows if row.goal} == {recode.ERROR, recode.BYTES}
    assert all(row.name == recode.CHOSEN for row in rows if row.goal)
    for row in rows:  # an error stands where the bytes of its file are
        if row.role == "ours" and row.measure == recode.ERROR:
            assert row.x == figures(rows, row.name, recode.BYTES)[row.setting]
    monkeypatch.setattr(recode, "ALLOWED", -1)
    assert "No scale is allowed" in list(recode.run(False))[-1]


def test_quick_runs_and_absent_data_are_not_judged(pruned, monkeypatch, tmp_path):
    assert all(row.goal is None for row in recode.run(True))
    monkeypatch.setattr(recode, "LENET", tmp_path / "nowhere.npz")
    *known, remark = recode.run(False)
    assert {row.role for row in known} == {"known"}
    assert "nowhere.npz is absent" in remark


def test_what_a_file_gives_back_is_what_was_shared_but_for_rounding(blobs):
    torch.manual_seed(1)
    model, read = NETWORKS["LeNet-300-100"](), NETWORKS["LeNet-300-100"]()
    model.fc1.weight.data *= torch.rand_like(model.fc1.weight) < 0.1
    share_(model, 3)
    sizes = {coder: deep.through_file(model, deep.Setting(0.1, 3, 2**-6), coder, read) for coder in deep.OURS}
    assert sizes["arithmetic"] < sizes["huffman"] < 3 * 266_610 / 8
    for name in ("fc1", "fc2", "fc3"):
        weight, bias = (getattr(model.get_submodule(name), part).detach() for part in ("weight", "bias"))
        found = read.get_submodule(name)
        assert torch.equal(found.weight, weight.half().float())
        assert (found.bias - bias).abs().max() <= 2**-7


def test_units_of_a_copy_are_in_order_and_what_they_share_is_trained(blobs, monkeypatch):
    monkeypatch.setattr(deep, "BATCH", 64)
    torch.manual_seed(1)
    model = NETWORKS["LeNet-300-100"]()
    model.fc1.weight.data *= torch.rand_like(model.fc1.weight) < torch.rand(300, 1)
    before = [each.clone() for each in model.parameters()]
    setting = deep.Setting(0.5, 2, epochs=2)
    trained, untrained = (
        shared_weights(deep.shared_copy(model, each, mnist.training(), 0))
        for each in (setting, replace(setting, epochs=0))
    )
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    kept = np.count_nonzero(trained["fc1.weight"].dense(), axis=1)
    assert (np.diff(kept) <= 0).all()
    assert len(np.unique(kept)) > 100
    for name, weights in trained.items():
        assert (weights.indices == untrained[name].indices).all()
        assert (weights.codebook[1:] != untrained[name].codebook[1:]).all()


@pytest.mark.parametrize("part", [deep, slim])
def test_figures_are_of_the_network_in_the_file_and_the_test_images(blobs, monkeypatch, part):
    """Chosen settings have goals, at full scale: here of few steps and epochs."""
    training, test, read, narrowings = mnist.training(), mnist.test(), [], []
    stages = tuple(slim.Stage(share, 1) for share in (1.0, 0.5, 0.2))
    monkeypatch.setitem(deep.RECIPES, "LeNet-5", slim.Recipe(stages, batch=64))
    monkeypatch.setattr(slim, "RECIPE", slim.Recipe(stages, batch=64))
    settings = [deep.Setting(0.5, 3, epochs=0), deep.Setting(0.2, 3, epochs=0)]
    monkeypatch.setattr(slim, "SETTINGS", settings)
    monkeypatch.setattr(slim, "CHOSEN", settings[1])
    monkeypatch.setitem(deep.SETTINGS, "LeNet-5", settings)
    monkeypatch.setitem(deep.AIMS, "LeNet-5", (deep.Aim(settings[1], "arithmetic", 1110, 1.0),))
    through_file, narrow = part.through_file, slim.narrow

    def written(shared, setting, coder, found):
        read.append(found)
        return through_file(shared, setting, coder, found)

    def tested(model, images):
        assert images is test
        return 2.5 if model in read else 90.0

    def narrowed(dense, images, widths):
        assert (len(images), widths) == (min(slim.CALIBRATION, len(training)), slim.WIDTHS)
        narrowings.append(dense)
        return narrow(dense, images, widths)

    monkeypatch.setattr(part, "through_file", written)
    monkeypatch.setattr(part, "error", tested)
    monkeypatch.setattr(slim, "narrow", narrowed)
    points = partial(part.points, "LeNet-5") if part is deep else part.points
    rows = list(points(training, test, seed=0, quick=False))
    assert {row.value for row in rows if row.measure == deep.ERROR and row.role == "ours"} == {2.5}
    assert {row.value for row in rows if row.role == "exact"} == {90.0}
    goals = {(row.measure, row.setting.split()[0], row.goal) for row in rows if row.goal}
    assert goals == {(deep.ERROR, "20", deep.Goal(1.0)), (deep.RATIO, "20", deep.Goal(at_least=1110))}
    assert len(read) == (4 if part is deep else 2)
    assert len(narrowings) == (part is slim)


def test_units_go_before_weights(blobs, monkeypatch):
    stages = slim.Stage(1.0, 40), slim.Stage(0.06, 80), slim.Stage(0.045, 80)  # a step or two, as it is done quickly
    monkeypatch.setattr(slim, "RECIPE", slim.Recipe(stages, batch=128))
    rows = list(slim.points(mnist.training(), mnist.test(), 0, quick=True))
    assert [row.setting for row in rows if row.measure == slim.RATIO] == [
        "6 % of the weights of the units left, 3 bits",
        "4.5 % of the weights of the units left, 3 bits",
    ]
    first, second = (row.value for row in rows if row.measure == slim.RATIO)
    assert 400 < first < second
    kept = [row.x for row in rows if row.name == slim.FLOATS]
    # of 30,216 weights all, 6 and 4.5 %, and 106 biases, of 431,080 numbers
    assert kept == pytest.approx([431_080 / (30_216 * share + 106) for share in (1, 0.06, 0.045)], rel=0.05)
    assert all(row.goal is None for row in rows)


def test_entropy_is_that_of_symbols_alone():
    assert lossless.entropy_bytes(np.arange(1000) % 4) == pytest.approx(250)  # 2 bits each
    layers = [np.random.default_rng(1).normal(size=(20, 10, 3, 3)).astype(np.float32)]
    entropy, nbytes = lossless.coded(layers, 5)
    indices = lossless.rounded(layers[0], 5).indices
    assert entropy == lossless.entropy_bytes(indices)
    assert indices.max() < 31
    assert nbytes["huffman"] >= entropy  # no code of symbols alone is shorter


@pytest.mark.parametrize(("net", "quick"), [("plain", False), ("residual", True)])
def test_nets_are_coded_at_each_number_of_bits(blobs, monkeypatch, net, quick):
    monkeypatch.setattr(lossless, "BITS", (4, 6))
    rows = list(lossless.run(net, 2, quick))
    for name in lossless.CODERS.values():
        assert tuple(row.x for row in rows if row.name == name) == (4, 6)
    judged = {(row.name, row.measure) for row in rows if row.goal}
    assert judged == (set() if quick else {(lossless.CODERS["arithmetic"], lossless.RATIO)})


def test_speeds_have_goals_and_sizes_are_near_the_entropy(monkeypatch):
    monkeypatch.setattr(speed, "SIDE", 512)
    monkeypatch.setattr(speed, "NUMBERS", 2**10)
    monkeypatch.setattr(speed, "REPEATS", 1)
    rows = list(speed.run(False))
    assert {row.name for row in rows if row.goal} == set(speed.CODERS)
    assert {row.measure for row in rows if row.goal} == {speed.ENCODE, speed.DECODE}
    assert all(row.value > 0 for row in rows)
    indices = speed.tensor(speed.DENSE, 512).indices
    entropy = 8 * lossless.entropy_bytes(indices) / indices.size
    sizes = {row.name: row.value for row in rows if row.measure == speed.SIZE and speed.DENSE in row.where}
    assert entropy < sizes["ours: Huffman"] < entropy + 1
    assert entropy < sizes["ours: arithmetic"] < 1.02 * entropy
    assert all(row.goal is None for row in speed.run(True))


def test_products_are_set_beside_the_faster_dense_one():
    rows = list(sparse.products(1, 16, 1, 64, 2))
    times = {row.name: row.value for row in rows if row.measure == sparse.TIME}
    assert set(times) == {sparse.OURS, "NumPy, dense", "PyTorch, dense", "SciPy CSR"}
    (factor,) = [row for row in rows if row.measure == sparse.FACTOR]
    assert factor.value == min(times["NumPy, dense"], times["PyTorch, dense"]) / times[sparse.OURS]
    assert factor.goal is None  # it is of layers of 4096 units


def test_false_positives_are_as_rare_as_stated():
    rows = list(bloomier.run(True))
    found = [row for row in rows if row.measure == bloomier.FALSE]
    assert len(found) == 3
    for row in found:
        stated, deviation = (float(part.split(" ")[-1]) for part in row.setting.split(", "))
        assert abs(row.value - stated) <= 5 * deviation + 0.005  # and the rounding of what is stated
    bits, cells = (
        [row.value for row in rows if (row.name, row.measure) == (bloomier.OURS, measure)]
        for measure in (bloomier.BITS, bloomier.CELLS)
    )
    assert bits == pytest.approx([9 * each for each in cells])  # 4 of a value, 5 that tell it


def test_all_parts_of_the_table_are_on_the_page(tmp_path):
    for part in (bloomier, deep, hashed, lossless, recode, slim, sparse, speed, weightless):
        assert part.JOBS.items() <= JOBS.items()
    assert {name for name, job in JOBS.items() if job.alone} == {"bloomier", "speed", "sparse"}
    worker.run(COMPRESSION, "bloomier", True, 1, tmp_path)
    page = write_page(COMPRESSION, tmp_path).read_text()
    assert bloomier.PEELED in page
