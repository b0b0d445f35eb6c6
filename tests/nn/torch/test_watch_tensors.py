"""Tensors of any dtype, layout and size are observed as they are, or passed over by a stated rule."""

import numpy as np
import pytest
import torch
from nn.torch.models import convolutional, images, observed
from torch import nn

from sketches.nn import watch


def passed(*tensors):
    """The statistics of an identity through which tensors went."""
    model = nn.Identity()
    with watch(model) as statistics:
        for tensor in tensors:
            model(tensor)
    return statistics


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes(dtype):
    tensor = numbers(5, 3).to(dtype)
    summary = passed(tensor).summary("model")
    wide = tensor.double().numpy()
    assert summary.maximum.tolist() == wide.max(axis=0).tolist()
    assert np.allclose(summary.mean, wide.mean(axis=0), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(3, 2, dtype=torch.int64),
        torch.ones(3, 2, dtype=torch.bool),
        torch.ones(3, 2, dtype=torch.complex64),
        torch.ones(3, 2).to_sparse(),
        torch.ones(3, 2, device="meta"),
        torch.ones(3, 0),
    ],
)
def test_what_is_no_activation_is_passed_over(tensor):
    assert passed(tensor).layers == ()
    assert passed(tensor, torch.ones(4, 2)).summary("model").samples == 4


@pytest.mark.filterwarnings("ignore")  # PyTorch deprecates both
def test_quantised_and_nested_tensors_are_passed_over():
    assert passed(torch.quantize_per_tensor(torch.ones(3, 2), 0.1, 0, torch.quint8)).layers == ()
    assert passed(torch.nested.nested_tensor([torch.ones(3, 2), torch.ones(1, 2)])).layers == ()


def test_token_ids_are_no_activations():
    model = nn.Embedding(10, 4)
    with watch(model, what=("inputs", "outputs")) as statistics:
        model(torch.arange(6).reshape(2, 3))
        model(torch.arange(8).reshape(2, 4))
    assert statistics.layers == ("model",)
    assert statistics.summary("model").samples == 14


def test_nan_and_infinities_are_counted_apart():
    summary = passed(torch.tensor([[1.0, torch.nan], [3.0, torch.inf], [2.0, 5.0]])).summary("model")
    assert summary.nans.tolist() == [0, 1]
    assert summary.infinities.tolist() == [0, 1]
    assert summary.mean.tolist() == [2, 5]


def test_empty_batches_and_batches_of_other_sizes():
    statistics = passed(torch.ones(0, 2), torch.ones(3, 2), torch.ones(5, 2), torch.ones(0, 2))
    assert statistics.summary("model").samples == 8
    assert passed(torch.ones(0, 2)).summary("model").samples == 0


def test_tensors_need_not_be_contiguous():
    whole = numbers(6, 8)
    views = [whole.T, whole[::2, 1::3], whole.flip(0), whole[:1].expand(4, 8), torch._neg_view(whole)]
    for view in views:
        assert passed(view) == passed(view.clone(memory_format=torch.contiguous_format))


def test_channels_last_means_the_same():
    model, given = convolutional().eval(), images()
    with watch(model) as expected:
        model(given)
    for last in (given.to(memory_format=torch.channels_last), given):
        with watch(model) as statistics:
            model(last)
        for layer in expected.layers:
            a, b = statistics.summary(layer), expected.summary(layer)
            # convolutions of another memory format may add in another order
            assert np.allclose(a.mean, b.mean, rtol=0, atol=1e-5)
            assert a.samples == b.samples
    identity = nn.Identity()
    with watch(identity) as statistics:
        identity(given.to(memory_format=torch.channels_last))
    assert statistics == observed(("model", given, 1))


def test_half_models():
    for dtype in (torch.float16, torch.bfloat16):
        model = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).to(dtype)
        given = numbers(5, 4).to(dtype)
        with watch(model) as statistics:
            output = model(given)
        assert statistics.summary("1").maximum.tolist() == output.double().max(dim=0).values.tolist()


def test_autocast():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    with torch.autocast("cpu", torch.bfloat16), watch(model) as statistics:
        output = model(numbers(5, 4))
    assert output.dtype is torch.bfloat16
    assert statistics.summary("1").maximum.tolist() == output.double().max(dim=0).values.tolist()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_modes_of_gradients(mode):
    model = convolutional().eval()
    with watch(model) as expected:
        model(images())
    with mode(), watch(model, what=("outputs", "gradients")) as statistics:
        model(images())
    assert statistics == expected
