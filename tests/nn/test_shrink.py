"""`shrink` against an oracle: the whole model with the removed units' values set to zero where they are taken in."""

import copy
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from nn.networks import NETWORKS, Attention, Cat, Twice, lenet_5, network  # noqa: E402
from torch import nn  # noqa: E402

from sketches.nn import StreamingStatistics, choose_units, couple, remove_units, shrink  # noqa: E402

CLOSE = {"rtol": 1e-4, "atol": 2e-5}  # float32: sums of at most 800 products in another order


def random_scores(model, inputs, seed=0):
    random = np.random.default_rng(seed)
    return {layer: random.random(len(units)) for layer, units in couple(model, inputs).layers.items()}


def zeroed(model, coupling, keep):
    """A copy of the model in which layers see zeros instead of units that are not kept."""
    model = copy.deepcopy(model)
    for place in coupling.places:
        if place.side == "in":
            layer = model.get_submodule(place.layer)
            mask = torch.from_numpy(keep[place.units]).float()
            if not isinstance(layer, nn.Linear):
                mask = mask.reshape(-1, *[1] * (layer.weight.ndim - 2))
            layer.register_forward_pre_hook(lambda _, args, mask=mask: args[0] * mask)
    return model


def keep_of(coupling, shrunk):
    keep = np.ones(len(coupling.groups), bool)
    for layer, units in coupling.layers.items():
        keep[np.delete(units, shrunk.kept[layer])] = False
    return keep


def observed(model, inputs):
    """Statistics of what the model's linear and convolutional layers take in."""
    statistics, handles = StreamingStatistics(), []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):

            def take(layer, args, name=name):
                rows = args[0].detach().movedim(1, -1) if not isinstance(layer, nn.Linear) else args[0].detach()
                statistics.observe(f"{name}:input", rows.reshape(-1, rows.shape[-1]).numpy())

            handles.append(module.register_forward_pre_hook(take))
    model(inputs)
    for handle in handles:
        handle.remove()
    return statistics


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch, of its fast path
@pytest.mark.parametrize("name", NETWORKS)
class TestOracle:
    def test_the_layers_that_can_are_shrunk(self, name):
        model, inputs = network(name)
        coupling = couple(model, inputs)
        assert set(coupling.layers) == NETWORKS[name][2]
        shrunk = shrink(model, inputs, share=0.4, scores=random_scores(model, inputs))
        for layer, kept in shrunk.kept.items():
            width = len(coupling.layers[layer])
            assert len(kept) < width
            weight = shrunk.module.get_submodule(layer).weight
            assert weight.shape[isinstance(model.get_submodule(layer), nn.Embedding)] == len(kept)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_outputs_are_those_with_zeros(self, name, seed):
        model, inputs = network(name, seed)
        shrunk = shrink(model, inputs, share=0.4, scores=random_scores(model, inputs, seed))
        coupling = couple(model, inputs)
        if name == "text":  # PyTorch's fast path calls no hooks: there, weights are zeroed
            expected = copy.deepcopy(model)
            keep = keep_of(coupling, shrunk)
            for place in coupling.places:
                if place.side == "in":
                    expected.get_submodule(place.layer).weight.data[:, ~keep[place.units]] = 0
        else:
            expected = zeroed(model, coupling, keep_of(coupling, shrunk))
        with torch.no_grad():
            assert not torch.allclose(model(inputs), expected(inputs), **CLOSE)
            torch.testing.assert_close(shrunk.module(inputs), expected(inputs), **CLOSE)

    def test_the_report_counts(self, name):
        model, inputs = network(name)
        shrunk = shrink(model, inputs, share=0.4)
        after = couple(shrunk.module, inputs)
        assert shrunk.parameters == tuple(sum(p.numel() for p in m.parameters()) for m in (model, shrunk.module))
        assert shrunk.multiply_adds[0] == sum(couple(model, inputs).multiply_adds.values())
        assert shrunk.multiply_adds[1] == sum(after.multiply_adds.values())
        assert shrunk.parameters[1] < shrunk.parameters[0]

    def test_it_trains_on(self, name):
        model, inputs = network(name)
        module = shrink(model.train(), inputs, share=0.3).module
        optimiser = torch.optim.SGD(module.parameters(), 0.01)
        assert module.training
        before = [parameter.clone() for parameter in module.parameters()]
        module(inputs).square().mean().backward()
        optimiser.step()
        assert all(parameter.grad is not None for parameter in module.parameters())
        assert any((a != b).any() for a, b in zip(before, module.parameters(), strict=True))

    def test_the_model_never_changes(self, name):
        model, inputs = network(name)
        state = copy.deepcopy(model.state_dict())
        shrink(model.train(), inputs, share=0.5)
        with pytest.raises(ValueError, match="may not go"):
            shrink(model, inputs, units={next(iter(couple(model, inputs).frozen)): [0]})
        assert all(module.training for module in model.modules())
        for key, value in model.state_dict().items():
            assert torch.equal(value, state[key])

    def test_multiply_adds_reach_the_target(self, name):
        model, inputs = network(name)
        coupling = couple(model, inputs)
        whole, least = coupling.cost(np.ones(len(coupling.groups), bool)), 0.9
        shrunk = shrink(model, inputs, multiply_adds=least)
        assert shrunk.multiply_adds[1] <= least * whole


class TestExact:
    def test_dead_units_change_nothing(self):
        model, inputs = network("LeNet-5")
        with torch.no_grad():
            model[5].bias[::3] = -1e3  # dead after ReLU: 167 of 500
            expected = model(inputs)
        shrunk = shrink(model, inputs, units="constant", statistics=observed(model, inputs))
        assert set(np.arange(0, 500, 3)) <= set(np.delete(np.arange(500), shrunk.kept["5"]))
        with torch.no_grad():
            torch.testing.assert_close(shrunk.module(inputs), expected, **CLOSE)

    def test_constant_units_become_a_bias(self):
        model, inputs = network("LeNet-5")
        with torch.no_grad():
            model[0].weight[3] = 0
            model[2].weight[[4, 7]] = 0
            expected = model(inputs)
        statistics = observed(model, inputs)
        shrunk = shrink(model, inputs, units="constant", statistics=statistics)
        assert 3 not in shrunk.kept["0"]
        assert not {4, 7} & set(shrunk.kept["2"])
        assert len(shrunk.kept["0"]) == 19
        with torch.no_grad():
            torch.testing.assert_close(shrunk.module(inputs), expected, **CLOSE)
            plain = shrink(model, inputs, units=dict(shrunk.kept)).module(
                inputs
            )  # without means it is another function
            assert not torch.allclose(plain, expected, **CLOSE)

    def test_constants_before_zero_padding_stay_unless_zero(self):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1)).eval()
        with torch.no_grad():
            model[0].weight[:2] = 0
            model[0].bias[:2] = torch.tensor([1.0, -1])  # constant 1, constant 0
        inputs = torch.randn(1, 1, 9, 9)
        shrunk = shrink(model, inputs, units="constant", statistics=observed(model, inputs))
        assert 0 in shrunk.kept["0"]
        assert 1 not in shrunk.kept["0"]
        torch.testing.assert_close(shrunk.module(inputs), model(inputs), **CLOSE)

    @pytest.mark.parametrize("name", ["LeNet-5", "ResNet", "separable", "grouped"])
    def test_duplicates_merge(self, name):
        model, inputs = network(name)
        coupling = couple(model, inputs)
        layer, units = max(coupling.layers.items(), key=lambda item: len(item[1]))
        first, *others = np.unique(units)[:3]
        with torch.no_grad():
            for place in coupling.places:
                module = model.get_submodule(place.layer)
                for tensor in [*module.parameters(), *(b for b in module.buffers() if b.ndim)]:
                    for unit in others if place.side != "in" else ():
                        tensor[place.units == unit] = tensor[place.units == first]
            expected = model(inputs)
        shrunk = shrink(model, inputs, units="duplicate")
        assert set(units[shrunk.kept[layer]]) == set(units) - set(others)
        with torch.no_grad():
            torch.testing.assert_close(shrunk.module(inputs), expected, **CLOSE)

    def test_means_are_folded(self):
        model, inputs = network("LeNet-5")
        statistics = observed(model, inputs)
        shrunk = shrink(model, inputs, units={"5": range(400)}, statistics=statistics)
        gone = model[7].weight[:, 400:].double() @ torch.from_numpy(statistics.summary("7:input").mean[400:])
        torch.testing.assert_close(shrunk.module[7].bias.double(), model[7].bias + gone, rtol=1e-6, atol=1e-6)


class TestKept:
    def test_of_parameters_and_modules(self):
        model = lenet_5().to(torch.float64)
        model[2].weight.requires_grad_(False)
        model[0].eval()
        calls = []
        model[5].register_forward_hook(lambda *_: calls.append(1))
        module = shrink(model, torch.zeros(1, 1, 28, 28, dtype=torch.float64), share=0.5).module
        assert not calls  # tracing calls no hooks
        module(torch.zeros(1, 1, 28, 28, dtype=torch.float64))
        assert calls == [1]
        assert all(parameter.dtype == torch.float64 for parameter in module.parameters())
        assert [p.requires_grad for p in module.parameters()] == [p.requires_grad for p in model.parameters()]
        assert not module[0].training
        assert module[2].training
        assert (module[2].in_channels, module[2].out_channels, module[5].in_features) == (10, 25, 400)
        assert type(module) is type(model)

    def test_bfloat16(self):
        model = lenet_5().bfloat16()
        module = shrink(model, torch.zeros(1, 1, 28, 28, dtype=torch.bfloat16), share=0.5).module
        assert module[5].weight.dtype == torch.bfloat16

    def test_one_unit_stays(self):
        model = lenet_5()
        shrunk = shrink(model, torch.zeros(1, 1, 28, 28), share=0.999)
        assert [len(kept) for kept in shrunk.kept.values()] == [1, 1, 1]

    def test_inputs_by_name_and_ignored_modules(self):
        model, inputs = network("attention")
        outer = nn.Sequential(nn.Linear(16, 16), model)
        shrunk = shrink(outer, inputs, share=0.5, ignore=["1"])
        assert shrunk.kept == {}
        assert "'1'" in shrunk.frozen["0"]
        assert len(shrink(model, {"x": inputs}, share=0.5).kept["fc1"]) == 32

    def test_in_parts(self):
        """What `shrink` does, by hand: couple, choose, remove."""
        model, inputs = network("ResNet")
        coupling = couple(model, inputs)
        keep = choose_units(coupling, np.arange(len(coupling.groups)), multiply_adds=0.5)
        expected = zeroed(model, coupling, keep)
        remove_units(model, coupling, keep)
        with torch.no_grad():
            torch.testing.assert_close(model(inputs), expected(inputs), **CLOSE)


class Literal(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(16, 2)

    def forward(self, x):
        return self.head(self.conv(x).view(-1, 16))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) if x.sum() > 0 else x


class TestFrozen:
    """What may not go is said, and stays."""

    def reason(self, model, *inputs):
        coupling = couple(model, inputs)
        assert not coupling.layers
        return next(iter(coupling.frozen.values()))

    def test_a_literal_in_a_view(self):
        assert "16 as a literal" in self.reason(Literal(), torch.zeros(1, 1, 4, 4))

    def test_tied_weights(self):
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
        model[2].weight = model[0].weight
        assert "shared" in self.reason(model, torch.zeros(1, 4))

    def test_normalisation_across_units(self):
        assert "'1' (LayerNorm)" in self.reason(
            nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2)), torch.zeros(1, 4)
        )

    def test_computed_weights(self):
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 8))
        assert not couple(nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 2)), torch.zeros(1, 4)).layers

    def test_a_layer_called_on_an_input_as_well(self):
        class Both(nn.Module):
            def __init__(self):
                super().__init__()
                self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

            def forward(self, x):
                return self.three(self.two(self.one(x)) + self.two(x))

        assert set(couple(Both(), torch.zeros(1, 4)).layers) == {"two"}

    def test_sums_with_an_input(self):
        class Skip(Literal):
            def forward(self, x):
                return self.head((self.conv(x) + x[:, :, :2, :2].expand(-1, 4, -1, -1)).flatten(1))

        assert "without" in self.reason(Skip(), torch.zeros(1, 1, 4, 4)) or "no units" in self.reason(
            Skip(), torch.zeros(1, 1, 4, 4)
        )


def test_a_layer_of_torch_on_the_inputs():
    """Its hidden units may go though its own inputs are no units."""
    model = nn.Sequential(nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)).eval()
    shrunk = shrink(model, torch.zeros(1, 3, 16), share=0.5)
    assert len(shrunk.kept["0.linear1"]) == 12
    assert shrunk.multiply_adds == (2 * 3 * 16 * 24, 2 * 3 * 16 * 12)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "one of them is accepted"),
            ({"share": 0.5, "multiply_adds": 0.5}, "one of them is accepted"),
            ({"share": 1.0}, "share is 1.0"),
            ({"share": -0.1}, "share is -0.1"),
            ({"share": float("nan")}, "share is nan"),
            ({"multiply_adds": 0}, "multiply_adds is 0"),
            ({"multiply_adds": 1e-9}, "are left when all that may go has gone"),
            ({"units": "dead"}, "units is 'dead'"),
            ({"units": {"9": [0]}}, "units has '9'"),
            ({"units": {"0": []}}, "units of layer '0'"),
            ({"units": {"0": [20]}}, "units of layer '0'"),
            ({"units": {"7": [1]}}, "the model's output has them"),
            ({"units": "constant"}, "statistics are None"),
            ({"share": 0.5, "scores": "contribution"}, "statistics are None"),
            ({"share": 0.5, "scores": "best"}, "scores is 'best'"),
            ({"share": 0.5, "scores": {"0": np.ones(20)}}, "scores lack layer"),
            ({"share": 0.5, "scores": {"0": np.ones(20), "2": np.ones(49), "5": np.ones(500)}}, "scores of '2'"),
            ({"share": 0.5, "scores": {"0": -np.ones(20), "2": np.ones(50), "5": np.ones(500)}}, "0 and more"),
            ({"share": 0.5, "statistics": StreamingStatistics(), "scores": "contribution"}, "statistics lack"),
            ({"share": 0.5, "ignore": ["conv"]}, "ignore has 'conv'"),
        ],
    )
    def test_one_clear_error(self, options, message):
        model = lenet_5()
        state = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match=message):
            shrink(model, torch.zeros(1, 1, 28, 28), **options)
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())

    def test_what_cannot_be_traced(self):
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4), Branching())
        with pytest.raises(ValueError, match=r"module '3' \(Branching\) cannot be traced"):
            shrink(model, torch.zeros(1, 4), share=0.5)
        assert len(shrink(model, torch.zeros(1, 4), share=0.5, ignore=["3"]).kept["0"]) == 4

    def test_wrong_inputs(self):
        with pytest.raises(ValueError, match="fails on example_inputs at call_module '0'"):
            shrink(lenet_5(), torch.zeros(1, 2, 28, 28), share=0.5)
        with pytest.raises(TypeError):
            shrink(lenet_5(), (torch.zeros(1, 1, 28, 28), 3, 4), share=0.5)

    def test_units_of_tied_layers_must_agree(self):
        model, inputs = network("ResNet")
        with pytest.raises(ValueError, match="are tied to units"):
            shrink(model, inputs, units={"stem.0": [0, 1], "layers.0.second.0": [1, 2]})

    def test_remove_units_checks_its_mask(self):
        model = lenet_5()
        coupling = couple(model, torch.zeros(1, 1, 28, 28))
        for keep, message in (
            (np.ones(3, bool), "keep has shape"),
            (np.zeros(len(coupling.groups), bool), "removes all units of layer '0'"),
            (np.arange(len(coupling.groups)) < 575, "units of layer '7' may not go"),
        ):
            with pytest.raises(ValueError, match=message):
                remove_units(model, coupling, keep)
        assert model[0].weight.shape[0] == 20


def test_costs_are_exact():
    """By hand, for LeNet-5 with 10, 20 and 100 units."""
    shrunk = shrink(lenet_5(), torch.zeros(1, 1, 28, 28), units={"0": range(10), "2": range(20), "5": range(100)})
    assert shrunk.multiply_adds[1] == 10 * 25 * 576 + 20 * 10 * 25 * 64 + 320 * 100 + 100 * 10
    assert shrunk.parameters[1] == 10 * 26 + 20 * 251 + 100 * 321 + 10 * 101
    assert Fraction(shrunk.parameters[0]) == 430_500 + 580


def test_the_classes_stay():
    for make, inputs in (
        (Cat, torch.zeros(1, 3, 10, 10)),
        (Twice, torch.zeros(2, 6)),
        (Attention, torch.zeros(1, 3, 16)),
    ):
        assert type(shrink(make(), inputs, share=0.2).module) is make
