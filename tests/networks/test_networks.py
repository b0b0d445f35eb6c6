"""The benchmark's own code: images, deformations, the recipe on images that are made here, and the page."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.networks import mnist, recipe, runner, worker
from benchmarks.networks.jobs import JOBS, lenet
from benchmarks.networks.jobs import NETWORKS as BENCHMARK
from benchmarks.networks.measure import Goal, Row, load, save, together, verdict
from benchmarks.networks.models import NETWORKS
from benchmarks.networks.page import write_page
from benchmarks.networks.recipe import Recipe, Stage, error, kept, sparsities, train
from benchmarks.networks.warp import warp


@pytest.fixture
def blobs():
    """Images of ten patterns of 4 × 4 squares, with noise; a stranger to them is wrong about nine in ten."""
    random = np.random.default_rng(1)
    patterns = np.kron(random.random((10, 4, 4)), np.ones((7, 7)))
    labels = np.arange(640) % 10
    pixels = np.clip(patterns[labels] + random.normal(0, 0.1, (640, 28, 28)), 0, 1).astype(np.float32)
    return mnist.Images(torch.from_numpy(pixels)[:, None], torch.from_numpy(labels))


def write_idx(path, array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()))


def test_idx_files_become_tensors(tmp_path, monkeypatch):
    pixels = np.random.default_rng(2).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", pixels)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([3, 1, 4, 1, 5], np.uint8))
    monkeypatch.setattr(mnist, "DATA", tmp_path)
    monkeypatch.setattr(mnist, "HELD_OUT", 2)
    found = mnist.training()
    assert found.labels.tolist() == [3, 1, 4, 1, 5]
    assert (found.pixels * 255).round().to(torch.uint8).numpy().tolist() == pixels[:, None].tolist()
    chosen, held_out = mnist.split()
    assert (chosen.labels.tolist(), held_out.labels.tolist()) == ([3, 1, 4], [1, 5])


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "floats.gz"
    path.write_bytes(gzip.compress(b"\0\0\x0d\1\0\0\0\0"))
    with pytest.raises(ValueError, match=r"floats\.gz is no idx file of bytes"):
        mnist.idx(path)


def test_absent_images_are_a_remark(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "DATA", tmp_path / "nowhere")
    for name, job in lenet.JOBS.items():
        found = list(job.run(True))
        assert found
        assert name == "lenet-known" or [mnist.absent()] == found
    assert "nowhere is absent" in mnist.absent()


@pytest.mark.parametrize(("name", "weights", "biases"), [("LeNet-300-100", 266_200, 410), ("LeNet-5", 430_500, 580)])
def test_networks_have_the_sizes_that_others_count(name, weights, biases):
    model = NETWORKS[name]()
    for parameter in model.parameters():
        nn.init.ones_(parameter)  # random ones may be 0
    layers = kept(model)
    assert (sum(w for w, _ in layers.values()), sum(b for _, b in layers.values())) == (weights, biases)


def test_a_warp_of_no_strength_changes_nothing_and_others_move_pixels(blobs):
    # Places are right to about 1e-6 of the image's width, 3e-5 pixels, and values differ by 1 at most between pixels.
    pixels = blobs.pixels[:20]
    assert (warp(pixels, 0.0) - pixels).abs().max() < 1e-4
    torch.manual_seed(3)
    moved = (warp(pixels, 0.5) - pixels).abs().mean(dim=(1, 2, 3))
    assert moved.min() > 0.01


def test_sparsities_rise_from_those_before():
    found = sparsities(0.5, 0.9, 100, 4)
    assert list(found) == [0, 25, 50, 75, 100]
    assert found[0] == 0.5
    assert found[50] == pytest.approx(0.9 - 0.4 / 8)
    assert found[100] == 0.9
    assert sparsities(0.0, 0.9, 100, 0) == {0: 0.9}
    assert sparsities(0.0, 0.0, 100, 4) == {}
    assert sparsities(0.0, 0.9, 2, 4)[2] == 0.9


def test_what_goes_is_what_the_loss_would_miss_least():
    model = nn.Sequential(nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    optimizer.state[model[0].weight]["exp_avg_sq"].copy_(torch.tensor([[16.0, 9.0, 1.0, 0.25]]))  # 4, 6, 3 and 2
    recipe.ours(model, optimizer).prune(0.5)
    assert model[0].weight.tolist() == [[1.0, 2.0, 0.0, 0.0]]  # magnitudes alone would keep the other two


@pytest.mark.parametrize("name", NETWORKS)
def test_biases_of_units_that_nothing_takes_are_zero(blobs, name):
    torch.manual_seed(6)
    model = NETWORKS[name]()
    first, second, *_ = recipe.weighted(model).values()
    with torch.no_grad():
        second.weight[:, 3:] = 0  # of the first layer's units, three are taken
        model.fc1.weight[:, -16:] = 0  # the last inputs: of LeNet-5 the places of one channel, of the other pixels
    before = model(blobs.pixels[:10])
    recipe.rest(model)
    assert torch.equal(model(blobs.pixels[:10]), before)
    assert torch.count_nonzero(first.bias) == 3
    left = {"LeNet-300-100": [3, 100, 10], "LeNet-5": [3, 49, 500, 10]}[name]
    assert [biases for _, biases in kept(model).values()] == left


@pytest.mark.parametrize("name", NETWORKS)
def test_units_with_more_weights_come_first_and_answers_stay(blobs, name):
    torch.manual_seed(8)
    model = NETWORKS[name]()
    for layer in recipe.weighted(model).values():
        layer.weight.data *= torch.rand_like(layer.weight) < torch.rand(
            len(layer.weight), *[1] * (layer.weight.ndim - 1)
        )
    model.to(memory_format=torch.channels_last)
    before = model(blobs.pixels[:10])
    recipe.order(model)
    torch.testing.assert_close(model(blobs.pixels[:10]), before)
    first, second, *_ = recipe.weighted(model).values()
    taken = second.weight.reshape(len(second.weight), len(first.weight), -1)
    weights = (first.weight != 0).flatten(1).sum(dim=1) + (taken != 0).sum(dim=(0, 2))
    assert weights.tolist() == sorted(weights.tolist(), reverse=True)
    assert len(weights.unique()) > 5


@pytest.mark.parametrize("cutter", [recipe.ours, lenet.TorchPrune])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_stage_keeps_its_share_of_the_weights(blobs, name, cutter):
    torch.manual_seed(4)
    model = NETWORKS[name]()
    total = sum(weights for weights, _ in kept(model).values())
    plan = Recipe((Stage(1.0, 3), Stage(0.1, 3), Stage(0.03, 3)), batch=32, warp=0.1, final_warp=0.0, looks=3)
    for stage in train(model, blobs, plan, 4, cutter):
        wrong = error(model, blobs)
        left = sum(weights for weights, _ in kept(model).values())
        assert abs(left - stage.share * total) <= 2, stage  # rounded, of each look anew by the peer
    assert wrong < 50  # 90 without training


def test_what_is_drawn_between_stages_changes_none_of_them(blobs):
    def weights(draws):
        torch.manual_seed(4)
        model = NETWORKS["LeNet-300-100"]()
        for _ in train(model, blobs, Recipe((Stage(1.0, 1), Stage(0.1, 1)), batch=64, looks=3), 4):
            torch.rand(draws)
        return model.fc1.weight.detach()

    assert torch.equal(weights(0), weights(7))


def test_one_look_prunes_at_once(blobs):
    torch.manual_seed(5)
    model = NETWORKS["LeNet-300-100"]()
    calls = []

    class Cutter:
        def __init__(self, *_):
            pass

        def prune(self, sparsity):
            calls.append(round(sparsity, 9))

    plan = Recipe((Stage(1.0, 1), Stage(0.1, 2)), batch=256, looks=0)
    assert [stage.share for stage in train(model, blobs, plan, 5, Cutter)] == [1.0, 0.1]
    assert calls == [0.9]
    calls.clear()
    list(train(model, blobs, replace(plan, looks=2), 5, Cutter))
    assert calls == [0.0, round(0.9 * 7 / 8, 9), 0.9]


def test_a_job_gives_each_figure_of_each_stage_and_a_page_shows_them(blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "absent", lambda: "")
    monkeypatch.setattr(mnist, "training", lambda: blobs)
    monkeypatch.setattr(mnist, "test", lambda: blobs.part(None, 200))
    for name in ("lenet-known", "lenet-300-100-seed-0", "lenet-300-100-seed-1", "lenet-300-100-peer-once-2"):
        assert worker.run(BENCHMARK, name, True, 1, tmp_path).startswith(f"{name}: ")
    rows, remarks, about = load(tmp_path / "lenet-300-100-seed-0.json")
    shares = [100 * stage.share for stage in lenet.RECIPES["LeNet-300-100"].stages]
    assert [row.x for row in rows if row.measure == lenet.WEIGHTS] == shares
    assert [row.value for row in rows if row.measure == lenet.WEIGHTS] == pytest.approx(
        [2662 * share for share in shares], abs=1
    )
    assert all(row.goal is None for row in rows)  # nothing is judged by a quick run
    assert (remarks, about["scale"]) == ([], "quick")
    page = write_page(BENCHMARK, tmp_path).read_text()
    assert page.count("<svg") == 2  # of each network, since the literature is there
    assert "Dynamic network surgery" in page
    assert lenet.ONCE in page


def test_rows_of_several_seeds_are_summed_up_kept_and_judged(tmp_path):
    rows = [Row("a", "ours", "error", value, "net", 1.0, Goal(2), seed=seed) for seed, value in enumerate((1, 2, 3))]
    other = Row("b", "peer", "error", 5.0, "net", 1.0, seed=0)
    save(tmp_path / "x.json", [*rows, other], ["a remark"], {"seconds": np.float64(1.5)})
    assert load(tmp_path / "x.json") == ([*rows, other], ["a remark"], {"seconds": 1.5})
    assert json.loads((tmp_path / "x.json").read_text())["rows"][0]["goal"]["at_most"] == 2
    mean, single = together([*rows, other])
    assert (mean.value, mean.spread, mean.runs, mean.seed) == (2, 1, 3, None)  # the deviation of 1, 2, 3 is 1
    assert (single.value, single.spread, single.runs) == (5, None, 1)
    assert (verdict(mean), verdict(replace(mean, value=2.1)), verdict(single)) == ("reached", "missed", "")


def test_the_page_judges_what_full_runs_gave(tmp_path):
    for seed, wrong in enumerate((1.5, 1.7, 2.2)):
        row = Row(lenet.OURS, "ours", lenet.ERROR, wrong, "LeNet-300-100", 2.0, Goal(1.7), seed=seed)
        save(tmp_path / f"lenet-300-100-seed-{seed}.json", [row], [], {})
    page = write_page(BENCHMARK, tmp_path).read_text()
    assert "≤ 1.7: missed" in page  # the mean is 1.8, whatever a single seed says
    assert "1.8" in page


def test_patterns_choose_jobs():
    assert runner.chosen(JOBS, ["lenet-5-seed-*"], False) == ["lenet-5-seed-0", "lenet-5-seed-1", "lenet-5-seed-2"]
    assert "lenet-5-seed-1" not in runner.chosen(JOBS, None, True)
    assert runner.chosen(JOBS, None, False) == list(JOBS)
    with pytest.raises(SystemExit, match="no job is called nothing; there are lenet-known"):
        runner.chosen(JOBS, ["nothing"], False)
