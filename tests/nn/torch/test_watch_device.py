"""What is elsewhere than on the CPU is reduced there, and gives the same statistics."""

import numpy as np
import pytest
import torch
from nn.torch.models import convolutional, images
from torch import nn

from sketches.nn import watch

EXACT = ("samples", "count", "nans", "infinities", "zeros", "fires", "minimum", "maximum", "beyond")


@pytest.fixture
def elsewhere(monkeypatch):
    """Treat the CPU as another device; gives the tensors that were reduced."""
    from sketches.nn.torch import watch as module

    reduced = []

    def reduce_batch(tensor, *arguments):
        reduced.append(tuple(tensor.shape))
        return module_reduce(tensor, *arguments)

    module_reduce = module.reduce_batch
    monkeypatch.setattr(module, "reduce_batch", reduce_batch)
    monkeypatch.setattr(module, "_is_elsewhere", lambda tensor: True)
    return reduced


def assert_alike(statistics, expected):
    assert statistics.layers == expected.layers
    for layer in expected.layers:
        ours, other = statistics.summary(layer), expected.summary(layer)
        for name in EXACT:
            assert np.array_equal(getattr(ours, name), getattr(other, name), equal_nan=True), name
        assert ours.values == other.values
        assert ours.patterns == other.patterns
        # both are sums of at most 4,000 float64 in some order
        assert np.allclose(ours.mean, other.mean, rtol=0, atol=4000 * 2.3e-16 * np.abs(other.maximum).max())
        assert np.allclose(ours.variance, other.variance, rtol=1e-10, atol=1e-20)


def watched(model, batches, **options):
    with watch(model, what=("outputs", "inputs", "gradients"), **options) as statistics:
        for batch in batches:
            model(batch).sum().backward()
    return statistics


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_statistics_are_alike(share, request):
    batches = [images(6, 1), images(3, 2)]
    expected = watched(convolutional().eval(), batches, share=share)
    reduced = request.getfixturevalue("elsewhere")
    found = watched(convolutional().eval(), batches, share=share)
    assert len(reduced) == 2 * 3 * 8
    assert_alike(found, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_alike(dtype, request):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).to(dtype)
    batches = [torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).to(dtype)]
    expected = watched(model, batches)
    request.getfixturevalue("elsewhere")
    assert_alike(watched(model, batches), expected)


def test_autocast_does_not_reach_reductions(elsewhere):
    model = nn.Tanh()
    given = torch.full((8, 2), 1 / 3)
    with torch.autocast("cpu", torch.bfloat16), watch(model) as statistics:
        output = model(given)
    assert elsewhere == [(8, 2)]
    assert np.allclose(statistics.summary("model").mean, output.double().mean(0).numpy(), rtol=1e-15, atol=0)


def test_special_and_empty_tensors(elsewhere):
    model = nn.Identity()
    with watch(model) as statistics:
        model(torch.ones(0, 2))
        model(torch.tensor([[1.0, torch.nan], [3.0, torch.inf], [2.0, 5.0]]))
    summary = statistics.summary("model")
    assert (summary.nans.tolist(), summary.infinities.tolist(), summary.mean.tolist()) == ([0, 1], [0, 1], [2, 5])
    assert elsewhere == [(0, 2), (3, 2)]
