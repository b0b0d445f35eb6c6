"""`watch` observes what modules give, take and get back, under their names."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from nn.torch.models import convolutional, images, observed
from torch import nn

from sketches.nn import StreamingStatistics, watch


def outputs_of(model, given):
    """What each module gives, copied before the next one can overwrite it."""
    kept = []
    for module in model:
        given = module(given)
        kept.append(given.clone())
    return kept


def test_outputs_are_seen_before_they_are_overwritten():
    model = convolutional()
    outputs = outputs_of(model.eval(), images())
    assert (outputs[1] < 0).any()  # what the in-place module after it overwrites
    with watch(model) as statistics:
        model(images())
    limits = {6: (0.0, 6.0)}
    layers = [(str(i), outputs[i], 1 if i < 4 else -1, limits.get(i)) for i in range(8)]
    assert statistics == observed(*layers)


def test_inputs_are_seen_before_they_are_overwritten():
    model = convolutional().eval()
    outputs = [images(), *outputs_of(model, images())]
    with watch(model, what="inputs") as statistics:
        model(images())
    axes = [1] * 5 + [-1] * 3
    assert statistics == observed(*((f"{i}:input", outputs[i], axes[i]) for i in range(8)))


def test_gradients_are_those_of_the_outputs():
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    given = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    kept = [given]
    for module in model:
        kept.append(module(kept[-1]))
        kept[-1].retain_grad()
    kept[-1].square().sum().backward()
    with watch(model, what="gradients") as statistics:
        model(given).square().sum().backward()
    assert statistics == observed(*((f"{i}:gradient", kept[i + 1].grad) for i in (2, 1, 0)))


def test_gradients_of_what_is_overwritten_are_those_of_the_values_before():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(inplace=True))
    model[0].weight.data.copy_(torch.diag(torch.tensor([1.0, 1.0, -1.0])))
    with watch(model, what="gradients") as statistics:
        model(torch.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    assert statistics.summary("1:gradient").mean.tolist() == [1, 1, 1]
    assert statistics.summary("0:gradient").mean.tolist() == [1, 1, 0]  # the third is cut off


def test_several_kinds_together():
    model = nn.Sequential(nn.Linear(2, 2))
    with watch(model, what=["outputs", "inputs", "gradients"]) as statistics:
        model(torch.ones(1, 2)).sum().backward()
    assert statistics.layers == ("0:input", "0", "0:gradient")


@dataclass
class Result:
    logits: torch.Tensor
    hidden: tuple
    loss: object = None


Pair = namedtuple("Pair", ["left", "right"])


class Returns(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, *positional, **named):
        return self.result


ONE, TWO = torch.ones(3, 2), torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("result", "layers"),
    [
        (ONE, ["model"]),
        ((ONE, None), ["model[0]"]),
        ([ONE, (TWO, ONE)], ["model[0]", "model[1.0]", "model[1.1]"]),
        ({"a": ONE, "b": {"c": TWO}}, ["model[a]", "model[b.c]"]),
        (OrderedDict(last=ONE), ["model[last]"]),
        (Result(ONE, (TWO, ONE)), ["model[logits]", "model[hidden.0]", "model[hidden.1]"]),
        (Pair(ONE, TWO), ["model[left]", "model[right]"]),
        (Result, []),
        (None, []),
        (3.5, []),
        ("text", []),
    ],
)
def test_structures_are_taken_apart(result, layers):
    model = Returns(result)
    with watch(model) as statistics:
        assert model() is result
    assert list(statistics.layers) == layers


def test_inputs_are_named_by_place_or_keyword():
    model = Returns(None)
    with watch(model, what="inputs") as statistics:
        model(ONE, 3, (ONE, TWO), mask=TWO)
        model((ONE,))
    layers = ("model:input", "model:input[2.0]", "model:input[2.1]", "model:input[mask]", "model:input[0.0]")
    assert statistics.layers == layers


def test_recurrent_modules_give_structures():
    with watch(nn.LSTM(3, 4)) as unused, watch(model := nn.LSTM(3, 4)) as statistics:
        output, (hidden, cell) = model(torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1)))
    assert unused.layers == ()  # a module that is never called has no layer
    assert statistics == observed(("model[0]", output), ("model[1.0]", hidden), ("model[1.1]", cell))


def test_calls_of_one_module_are_one_layer():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(2, 2)
            self.second = self.first
            self.never = nn.Linear(2, 2)

        def forward(self, given):
            return self.second(self.first(given))

    model = Network()
    with watch(model) as statistics:
        model(torch.ones(3, 2))
        model(torch.ones(4, 2))
    assert statistics.layers == ("first",)
    assert statistics.summary("first").samples == 14


def test_tied_weights_are_layers_of_their_own():
    model = nn.ModuleDict({"embedding": nn.Embedding(9, 4), "head": nn.Linear(4, 9, bias=False)})
    model["head"].weight = model["embedding"].weight
    with watch(model) as statistics:
        model["head"](model["embedding"](torch.arange(5)))
    assert [statistics.summary(layer).mean.shape for layer in statistics.layers] == [(4,), (9,)]


def test_statistics_go_on():
    model, begun = nn.Linear(2, 3), StreamingStatistics(seed=3)
    for _ in range(2):
        with watch(model, statistics=begun) as statistics:
            assert statistics is begun
            model(torch.ones(5, 2))
    assert begun.summary("model").samples == 10


def test_the_saturated_are_counted():
    model = nn.Hardtanh()
    with watch(model) as statistics:
        model(torch.tensor([[-3.0, 0.5], [1.0, 0.5]]))
    assert statistics.summary("model").beyond.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"what": "weights"}, ValueError, "what is 'weights'; 'outputs', 'inputs', 'gradients' or several"),
        ({"what": ()}, ValueError, r"what is \(\); "),
        ({"every": 0}, ValueError, "every"),
        ({"every": 1.5}, TypeError, "every"),
        ({"share": 0}, ValueError, r"share is 0; a number in \(0, 1\] is accepted"),
        ({"share": 1.1}, ValueError, r"share is 1.1; a number in \(0, 1\]"),
        ({"share": float("nan")}, ValueError, "share is nan"),
        ({"share": "half"}, TypeError, "share is 'half'"),
        ({"seed": -1}, ValueError, "seed"),
        ({"statistics": {}}, TypeError, r"statistics is \{\}; StreamingStatistics or None is accepted"),
        ({"modules": "fc"}, ValueError, "'fc' matches no module"),
    ],
)
def test_bad_arguments_are_refused_at_once(options, error, words):
    with pytest.raises(error, match=words):
        watch(nn.Linear(1, 1), **options)


def test_each_width_of_a_shared_module_has_a_layer():
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 16))
    model.append(model[1])  # as blocks that share one ReLU
    with watch(model, what=["inputs", "outputs"]) as statistics:
        for _ in range(2):
            model(torch.ones(3, 8))
    found = {layer: (statistics.units(layer), statistics.summary(layer).samples) for layer in statistics.layers}
    assert found["1"] == found["1:input"] == (4, 6)
    assert found["1 (16 units)"] == found["1:input (16 units)"] == (16, 6)
    assert len(found) == 8
    assert statistics.units("5") is None
