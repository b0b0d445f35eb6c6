"""The job of structured pruning, on images that are made here; torch-pruning is stood in for by what halves widths."""

import copy

import numpy as np
import pytest
import torch

from benchmarks.networks import mnist
from benchmarks.networks.jobs import structured
from benchmarks.networks.measure import Row
from benchmarks.networks.models import lenet_5
from sketches.nn import shrink


@pytest.fixture
def blobs(monkeypatch):
    """Images of ten patterns of 4 × 4 squares, with noise; and two peers, of which one does nothing."""
    random = np.random.default_rng(1)
    patterns = np.kron(random.random((10, 4, 4)), np.ones((7, 7)))
    labels = np.arange(640) % 10
    pixels = np.clip(patterns[labels] + random.normal(0, 0.1, (640, 28, 28)), 0, 1).astype(np.float32)
    images = mnist.Images(torch.from_numpy(pixels)[:, None], torch.from_numpy(labels))
    peers = {"idle": lambda model, _: model, "halves": lambda model, _: shrink(model, structured.ONE, share=0.5).module}
    monkeypatch.setattr(structured, "sides", lambda: {structured.OURS: structured.ours} | peers)
    monkeypatch.setattr(mnist, "absent", lambda: "")
    monkeypatch.setattr(mnist, "training", lambda: images)
    monkeypatch.setattr(mnist, "test", lambda: images.part(None, 200))
    return images


def test_widths_leave_half_of_the_multiply_adds(blobs):
    model = lenet_5().eval()
    smaller = structured.ours(copy.deepcopy(model), blobs)
    widths = {name: len(smaller.get_submodule(name).weight) for name in structured.WIDTHS}
    assert widths == structured.WIDTHS
    assert 0.4 < structured.multiply_adds(smaller) / structured.multiply_adds(model) <= structured.LEFT


def test_each_side_has_its_errors_and_only_full_runs_are_judged(blobs):
    rows = [row for row in structured.JOBS["structured-seed-0"].run(True) if isinstance(row, Row)]
    assert {(row.name, row.role) for row in rows} == {
        ("dense", "exact"),
        (structured.OURS, "ours"),
        ("idle", "peer"),
        ("halves", "peer"),
    }
    found = {(row.name, row.measure, row.x): row.value for row in rows}
    assert found["idle", structured.COUNTED, None] == 100
    assert found["idle", structured.ERROR, 0] == found["dense", structured.ERROR, 0]
    assert all(row.goal is None for row in rows)
    rows = list(structured.compared(blobs, blobs, 0, *structured.quickly()))
    judged = {row.measure for row in rows if row.goal is not None}
    assert judged == {structured.COUNTED, structured.ADDED.format("idle"), structured.ADDED.format("halves")}
    for row in rows:
        if row.measure == structured.ADDED.format("idle"):
            values = {
                other.name: other.value for other in rows if (other.measure, other.x) == (structured.ERROR, row.x)
            }
            assert row.value == values[structured.OURS] - values["idle"]


def test_times_are_relative_to_the_dense_network(blobs):
    rows = [row for row in structured.times(True) if isinstance(row, Row)]
    assert len({row.where for row in rows}) == 3
    values = {(row.where, row.name, row.measure): row.value for row in rows}
    for (where, name, measure), value in values.items():
        if measure == structured.SHARE:
            times = [values[where, each, structured.PASS] for each in (name, "dense")]
            assert value == pytest.approx(times[0] / times[1])


def test_the_peer_prunes_to_half():
    pytest.importorskip("torch_pruning", reason="of the extra for benchmarks")
    images = mnist.Images(torch.rand(20, 1, 28, 28), torch.arange(20) % 10)
    model = lenet_5()
    for kind in structured.PEERS:
        smaller = structured.theirs(kind, copy.deepcopy(model), images)
        assert 0.4 < structured.multiply_adds(smaller) / structured.multiply_adds(model) <= 0.5
