"""The model computes the same while it is watched, and nothing of it is kept."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from nn.torch.models import convolutional, images
from torch import nn

from sketches.nn import watch

EVERYTHING = ("outputs", "inputs", "gradients")


def hooks(model):
    return [
        hook
        for module in model.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        for hook in getattr(module, kind).values()
    ]


def trained(model, watched):
    """Outputs, gradients and buffers of a step."""
    given = images().requires_grad_()
    if watched:
        with watch(model, what=EVERYTHING) as statistics:
            outputs = model(given)
            outputs.square().sum().backward()
        assert len(statistics.layers) == 3 * 8
    else:
        outputs = model(given)
        outputs.square().sum().backward()
    return [outputs, given.grad, *(weight.grad for weight in model.parameters()), *model.state_dict().values()]


def test_results_and_gradients_are_the_same_bits():
    plain, watched = trained(convolutional(), False), trained(convolutional(), True)
    assert len(plain) == len(watched)
    assert all(torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(plain, watched, strict=True))


def test_hooks_are_gone_afterwards():
    model = convolutional()
    before = set(model.__dict__)
    with watch(model, what=EVERYTHING):
        assert hooks(model)
    assert not hooks(model)
    assert set(model.__dict__) == before


def test_hooks_are_gone_after_an_error():
    model = convolutional()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), watch(model, what=EVERYTHING) as statistics:
        model(torch.ones(1, 3, 7, 7))  # too small for the linear module
    assert not hooks(model)
    assert statistics.layers == (
        "0:input",
        "0",
        "1:input",
        "1",
        "2:input",
        "2",
        "3:input",
        "3",
        "4:input",
        "4",
        "5:input",
    )


def test_hooks_of_the_user_stay():
    model, called = nn.Linear(1, 1), []
    model.register_forward_hook(lambda module, given, output: called.append(module))
    with watch(model):
        model(torch.ones(1, 1))
    assert len(hooks(model)) == 1
    assert called == [model]


def test_nothing_is_observed_after_the_block():
    model = convolutional()
    with watch(model, what=EVERYTHING) as statistics:
        outputs = model(images())
    before = statistics.to_bytes()
    outputs.sum().backward()  # through tensors that have had hooks
    model(images())
    assert statistics.to_bytes() == before


def test_watches_nest():
    model = convolutional()
    with watch(model) as outer:
        model(images())
        with watch(model, modules="0") as inner:
            model(images())
        model(images())
    assert inner.layers == ("0",)
    assert [watched.summary("0").samples for watched in (outer, inner)] == [3 * 6 * 36, 6 * 36]


def test_no_activation_is_kept():
    model, kept = convolutional(), []
    for module in model:
        module.register_forward_hook(lambda module, given, output: kept.append(weakref.ref(output)))
    gc.disable()
    try:
        with watch(model, what=EVERYTHING):
            model(images()).sum().backward()
            assert len(kept) == 8
            assert all(activation() is None for activation in kept)
    finally:
        gc.enable()


def test_storages_stay_resizable():
    model = nn.Linear(2, 2)
    with watch(model), torch.no_grad():
        output = model(torch.ones(1, 2))
    assert output.resize_(9, 9).shape == (9, 9)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_of_a_watched_model_are_not_watched(duplicate):
    model = convolutional()
    with watch(model, what=EVERYTHING) as statistics:
        twin = duplicate(model)
        twin(images()).sum().backward()
    assert statistics.layers == ()
    assert torch.equal(twin(images()), model(images()))


class Queries(nn.Module):
    """Give a parameter itself, as learned queries are given."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Parameter(torch.ones(2, 3))

    def forward(self, _):
        return self.queries


def test_a_parameter_that_is_an_output_is_hooked_once_and_released():
    model = nn.Sequential(Queries(), nn.Linear(3, 1))
    with watch(model, what="gradients") as statistics:
        for _ in range(5):
            model(None).sum().backward()
    assert [statistics.summary(layer).samples for layer in ("0:gradient", "1:gradient")] == [10, 10]
    assert not model[0].queries._backward_hooks


def test_tensors_without_values_are_passed_over():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.ones(5, 3)
    with watch(model) as statistics:
        assert torch.equal(torch.func.vmap(model)(x), model(x))
        torch.func.jacrev(model)(x)
    assert [statistics.summary(layer).samples for layer in statistics.layers] == [5, 5]


def test_attention_weights_of_sequences_of_any_length_are_no_activations():
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    with watch(attention, what=("outputs", "gradients")) as statistics:
        for length in (5, 7):
            x = torch.ones(2, length, 4)
            attention(x, x, x)[0].sum().backward()
    assert statistics.layers == ("model[0]", "model:gradient[0]")
    assert statistics.summary("model[0]").samples == 24
