"""The Pruner beside torch.nn.utils.prune, under optimizers, with bad input, saved and copied."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune as reference

from sketches.nn import Pruner, StreamingStatistics, compute_pattern_mask, cubic_schedule


def network(seed=0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))


def train(model, optimizer, steps, pruner=None, seed=1):
    random = torch.Generator().manual_seed(seed)
    for step in range(steps):
        inputs = torch.randn(16, 12, generator=random)
        optimizer.zero_grad()
        loss = (model(inputs) - inputs[:, :3].sin()).square().mean()
        loss.backward()
        optimizer.step()
        if pruner is not None:
            yield step, loss.item()


OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.001, momentum=0.9),
}


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9, 0.99])
def test_global_magnitudes_are_those_of_torch(sparsity):
    ours, theirs = network(), network()
    layers = [(module, "weight") for module in theirs if isinstance(module, nn.Linear)]
    reference.global_unstructured(layers, reference.L1Unstructured, amount=round(sparsity * 944))
    pruner = Pruner(ours)
    assert pruner.prune(sparsity) == pytest.approx(round(sparsity * 944) / 944)
    assert list(pruner.masks) == ["0.weight", "2.weight", "4.weight"]
    for index in (0, 2, 4):
        assert torch.equal(ours[index].weight, theirs[index].weight)
        assert torch.equal(ours[index].bias, theirs[index].bias)
        if sparsity:
            assert torch.equal(pruner.masks[f"{index}.weight"], theirs[index].weight_mask.bool())


@pytest.mark.parametrize("sparsity", [0.3, 0.9])
def test_magnitudes_of_a_layer_are_those_of_torch(sparsity):
    ours, theirs = network(), network()
    Pruner(ours, scope="layer").prune(sparsity)
    for index in (0, 2, 4):
        reference.l1_unstructured(theirs[index], "weight", round(sparsity * theirs[index].weight.numel()))
        assert torch.equal(ours[index].weight, theirs[index].weight)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("hooks", [True, False])
def test_pruned_weights_stay_zero(optimizer, hooks):
    model = network()
    made = OPTIMIZERS[optimizer](model.parameters())
    list(train(model, made, 5, True))  # momentum gathers
    pruner = Pruner(model)
    pruner.prune(0.8)
    dense = [parameter.clone() for parameter in model.parameters()]
    if hooks:
        pruner.attach(made)
    for _ in train(model, made, 20, pruner):
        if not hooks:
            pruner.apply()
        for name, mask in pruner.masks.items():
            weight = model.get_parameter(name)
            assert not weight[~mask].any()
            assert (weight.grad[~mask] == 0).all()
            assert (weight[mask] != 0).all()
    assert all(not torch.equal(before, after) for before, after in zip(dense, model.parameters(), strict=True))
    pruner.remove()
    list(train(model, made, 1, True))
    assert any(model.get_parameter(name)[~mask].any() for name, mask in pruner.masks.items())


def test_a_gradual_schedule_never_gives_back():
    model = network()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    with Pruner(model) as pruner:
        pruner.attach(optimizer)
        before = pruner.masks
        for step, _ in train(model, optimizer, 30, pruner):
            assert pruner.prune(cubic_schedule(step, 29, 0.95)) == round(cubic_schedule(step, 29, 0.95) * 944) / 944
            assert all(not (mask & ~before[name]).any() for name, mask in pruner.masks.items())
            before = pruner.masks
        for less in (0.5, 0.1):
            assert pruner.prune(less) == pruner.sparsity == 897 / 944
        assert sum(kept for kept, _ in pruner.kept.values()) == 47
    assert repr(pruner) == "<Pruner: 47 of 944 weights kept in 3 parameters>"
    assert not model[0].weight._backward_hooks


def test_regrown_weights_learn_as_dense_ones():
    """A twin computes with masked weights, and gives the gradient there to dense ones: SGD without decay is exact."""
    model, dense = network(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruner = Pruner(model, regrow=True, hysteresis=0)
    pruner.attach(optimizer)
    masks = {name: torch.ones_like(parameter) for name, parameter in dense.named_parameters()}
    random = torch.Generator().manual_seed(4)
    back = 0
    for step in range(40):
        inputs = torch.randn(16, 12, generator=random)
        optimizer.zero_grad()
        (model(inputs) - inputs[:, :3].sin()).square().mean().backward()
        masked = {name: (parameter * masks[name]).detach() for name, parameter in dense.named_parameters()}
        for values in masked.values():
            values.requires_grad_()
        loss = (torch.func.functional_call(dense, masked, inputs) - inputs[:, :3].sin()).square().mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for name, parameter in dense.named_parameters():
                parameter -= 0.1 * masked[name].grad
        if step % 4 == 3:
            pruner.prune(0.8)
            scores = torch.cat([dense.get_parameter(name).abs().flatten() for name in pruner.masks])
            least = scores.kthvalue(round(0.8 * 944)).values
            for name, mask in pruner.masks.items():
                expected = dense.get_parameter(name).abs() > least
                assert torch.equal(mask, expected)
                back += int((mask & (masks[name] == 0)).sum())
                masks[name] = mask.float()
        for name, parameter in model.named_parameters():
            assert torch.allclose(parameter, dense.get_parameter(name) * masks[name], atol=1e-6)
            assert not parameter[masks[name] == 0].any()
    assert back > 10


def test_hysteresis_is_the_advantage_of_what_is_there():
    model = nn.Linear(4, 1, bias=False)
    model.weight.data = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    pruner = Pruner(model, regrow=True, hysteresis=0.5)
    pruner.prune(0.5)
    model.weight.data += torch.tensor([[0, -0.5, 1.5, 0]])  # 2.5 here, 3.5 outside: less than half as much again
    pruner.prune(0.5)
    assert model.weight.tolist() == [[4, 2.5, 0, 0]]
    model.weight.data += torch.tensor([[0, 0, 0.5, 0]])  # 4.0: more
    pruner.prune(0.5)
    assert model.weight.tolist() == [[4, 0, 4, 0]]


def test_scores_by_activation_and_row():
    model = network()
    statistics = StreamingStatistics()
    inputs = torch.randn(200, 12) * torch.arange(1.0, 13)
    statistics.observe("0:input", inputs)
    pruner = Pruner(model, modules="0", scores="activation", statistics=statistics, scope="row")
    scores = model[0].weight.detach().abs() * inputs.norm(dim=0)
    expected = scores.argsort(dim=1).argsort(dim=1) >= 6
    assert pruner.prune(0.5) == 0.5
    assert torch.equal(pruner.masks["0.weight"], expected)
    missing = Pruner(network(), scores="activation", statistics=statistics)
    with pytest.raises(ValueError, match=r"2\.weight: the statistics have no layer '2:input'"):
        missing.prune(0.5)
    assert missing.sparsity == 0


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_have_outputs_first(transposed):
    torch.manual_seed(3)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    model = kind(8, 12, 3, groups=2, bias=False)
    norms = torch.arange(1.0, 9)
    statistics = StreamingStatistics()
    statistics.observe("model:input", torch.diag(norms))
    pruner = Pruner(model, scores="activation", statistics=statistics, scope="row")
    pruner.prune(0.5)
    mask = pruner.masks["weight"]
    assert mask.shape == model.weight.shape
    # An output of 12 reads 4 inputs at 9 places: 18 of 36 weights stay.
    per_output = mask.reshape(2, 4, 6, 9).sum(dim=(1, 3)) if transposed else mask.reshape(2, 6, 36).sum(dim=2)
    assert (per_output == 18).all()
    # Inputs of a large norm keep more of their weights.
    per_input = mask.reshape(8, -1).sum(dim=1) if transposed else mask.reshape(2, 6, 4, 9).sum(dim=(1, 3)).flatten()
    assert per_input[0] < per_input[3]
    assert per_input[4] < per_input[7]


def test_patterns():
    model = network()
    expected = compute_pattern_mask(model[2].weight.detach().abs().numpy(), 2, 4)
    pruner = Pruner(model, pattern=(2, 4))
    assert pruner.prune() == 0.5
    assert (pruner.masks["2.weight"].numpy() == expected).all()
    assert (model[0].weight.reshape(-1, 4) != 0).sum(dim=1).tolist() == [2] * 96


@pytest.mark.parametrize("options", [{"scope": "row"}, {"scope": "layer"}, {"scope": "global"}, {"pattern": (2, 4)}])
def test_pruned_weights_take_no_place_of_a_kept_zero(options):
    """Scores of 0, as of weights whose inputs are dead, are not those of pruned weights, which come first here."""
    model = nn.Linear(8, 2, bias=False)
    model.weight.data = torch.arange(1.0, 17).reshape(2, 8)
    pruner = Pruner(model, **options)
    sparsity = None if "pattern" in options else 0.5
    assert pruner.prune(sparsity) == 0.5
    before = pruner.masks["weight"]
    model.weight.data[:, :7] = 0
    assert pruner.prune(sparsity) == 0.5
    assert torch.equal(pruner.masks["weight"], before)


def test_scores_by_gradient_are_averaged():
    model = network()
    pruner = Pruner(model, scores="taylor")
    with pytest.raises(ValueError, match=r"0\.weight: no gradients since the last prune"):
        pruner.prune(0.5)
    with pytest.raises(ValueError, match=r"0\.weight has no gradient"):
        pruner.observe()
    expected = {name: torch.zeros_like(model.get_parameter(name)) for name in pruner.masks}
    for seed in range(3):
        model.zero_grad()
        model(torch.randn(8, 12, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        pruner.observe()
        for name, total in expected.items():
            total += (model.get_parameter(name) * model.get_parameter(name).grad).abs().detach()
    least = torch.cat([total.flatten() for total in expected.values()]).kthvalue(472).values
    assert pruner.prune(0.5) == 0.5
    assert all(torch.equal(mask, expected[name] > least) for name, mask in pruner.masks.items())
    with pytest.raises(ValueError, match="no gradients since"):
        pruner.prune(0.6)


def test_scores_by_a_function():
    model = network()
    Pruner(model, scores=lambda name, weight: torch.full_like(weight, float(name[0])) + weight.abs().tanh()).prune(0.4)
    assert (model[0].weight != 0).sum() == 384 - 378  # all that go are of the layer with the least number
    with pytest.raises(ValueError, match=r"0\.weight: scores have shape \(3,\), the weight has \(32, 12\)"):
        Pruner(model, scores=lambda name, weight: np.ones(3)).prune(0.5)
    with pytest.raises(ValueError, match=r"layer '0\.weight' hold -1"):
        Pruner(model, scores=lambda name, weight: -torch.ones_like(weight)).prune(0.5)


@pytest.mark.parametrize("regrow", [False, True])
@pytest.mark.parametrize(
    ("break_", "sparsity", "message"),
    [
        (lambda model: model[2].weight.data[3].fill_(float("nan")), 0.5, r"2\.weight: weights hold NaN"),
        (lambda model: model[4].weight.data[0].fill_(float("inf")), 0.5, r"4\.weight: weights hold NaN"),
        (lambda model: None, 1.0, r"sparsity is 1\.0; a number in \[0, 1\)"),
        (lambda model: None, -0.1, r"sparsity is -0\.1"),
        (lambda model: None, float("nan"), "sparsity is nan"),
        (lambda model: None, None, "sparsity is None, and pattern is None"),
    ],
)
def test_a_failed_prune_leaves_the_model_as_it_was(regrow, break_, sparsity, message):
    model = network()
    pruner = Pruner(model, regrow=regrow)
    pruner.prune(0.3)
    break_(model)
    before, masks = copy.deepcopy(model.state_dict()), pruner.masks
    with pytest.raises(ValueError, match=message):
        pruner.prune(sparsity)
    assert all(value.numpy().tobytes() == before[name].numpy().tobytes() for name, value in model.state_dict().items())
    assert all(torch.equal(mask, masks[name]) for name, mask in pruner.masks.items())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.head = nn.Linear(8, 20, bias=False)
        self.again = self.head
        self.head.weight = self.embedding.weight


def test_tied_weights_are_pruned_once():
    torch.manual_seed(5)
    model = Tied()
    pruner = Pruner(model, modules=[nn.Linear, nn.Embedding])
    assert list(pruner.kept.values()) == [(160, 160)]
    pruner.prune(0.5)
    assert (model.head.weight == 0).sum() == 80
    assert model.head.weight is model.embedding.weight


@pytest.mark.parametrize("regrow", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(dtype, regrow):
    model = network().to(dtype)
    pruner = Pruner(model, regrow=regrow)
    # Of 944 values, bfloat16 has ties: at most 8 bits of mantissa, so within some per mille of the wanted share.
    assert pruner.prune(0.5) == pytest.approx(0.5, abs=0.02)
    assert all(parameter.dtype == dtype for parameter in model.parameters())
    assert all((model.get_parameter(name)[mask] != 0).all() for name, mask in pruner.masks.items())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    pruner.attach(optimizer)
    for _ in range(3):
        model(torch.ones(4, 12, dtype=dtype)).sum().backward()
        optimizer.step()
    assert all(not model.get_parameter(name)[~mask].any() for name, mask in pruner.masks.items())
    pruner.prune(0.6)


@pytest.mark.parametrize("regrow", [False, True])
def test_training_resumes(regrow):
    def start():
        model = network()
        optimizer = OPTIMIZERS["adamw"](model.parameters())
        pruner = Pruner(model, regrow=regrow)
        pruner.attach(optimizer)
        return model, optimizer, pruner

    def go_on(model, optimizer, pruner, seed):
        for step, _ in train(model, optimizer, 10, pruner, seed):
            if step % 3 == 0:
                pruner.prune(0.5 + 0.02 * step)

    first = start()
    go_on(*first, 1)
    file = io.BytesIO()
    torch.save([part.state_dict() for part in first], file)
    go_on(*first, 2)
    file.seek(0)
    second = start()
    for part, state in zip(second, torch.load(file), strict=True):
        part.load_state_dict(state)
    go_on(*second, 2)
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters(), strict=True))


def test_states_that_do_not_fit():
    model = network()
    pruner = Pruner(model)
    pruner.prune(0.5)
    before = {name: mask.clone() for name, mask in pruner.masks.items()}
    state = Pruner(network()).state_dict()
    for masks, shadows, message in (
        ({}, {}, r"0\.weight has no mask in the state"),
        ({**state["masks"], "x": torch.ones(1)}, {}, "x has no mask here"),
        (
            {**state["masks"], "2.weight": torch.ones(3)},
            {},
            r"2\.weight: the mask has shape \(3,\) in the state, \(16, 3",
        ),
        (state["masks"], state["masks"], r"0\.weight has no shadow here"),
    ):
        with pytest.raises(ValueError, match=message):
            pruner.load_state_dict({**state, "masks": masks, "shadows": shadows})
        assert all(torch.equal(mask, before[name]) for name, mask in pruner.masks.items())


@pytest.mark.parametrize("regrow", [False, True])
def test_copies_and_pickles(regrow):
    model = network()
    pruner = Pruner(model, regrow=regrow)
    pruner.prune(0.7)
    plain = copy.deepcopy(model)
    assert not plain[0].weight._backward_hooks
    file = io.BytesIO()
    torch.save((model, pruner), file)
    file.seek(0)
    for other, its in (copy.deepcopy((model, pruner)), torch.load(file, weights_only=False)):
        assert torch.equal(other[0].weight, model[0].weight)
        optimizer = torch.optim.SGD(other.parameters(), lr=0.5)
        its.attach(optimizer)
        list(train(other, optimizer, 2, its))
        assert not other[0].weight[~its.masks["0.weight"]].any()
        assert not torch.equal(other[0].weight, model[0].weight)
        assert its.prune(0.8) == pytest.approx(0.8, abs=0.001)
        assert pruner.sparsity == pytest.approx(0.7, abs=0.001)


def test_which_modules():
    model = nn.ModuleDict({
        "conv": nn.Conv1d(2, 3, 3),
        "norm": nn.BatchNorm1d(3),
        "attention": nn.MultiheadAttention(4, 2),
        "rnn": nn.LSTM(4, 5),
        "words": nn.Embedding(7, 4),
    })  # fmt: skip
    names = ["conv.weight", "attention.in_proj_weight", "attention.out_proj.weight"]
    assert list(Pruner(model).kept) == names
    assert list(Pruner(model, modules=nn.LSTM).kept) == ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    assert list(Pruner(model, modules=["word*", nn.Conv1d]).kept) == ["conv.weight", "words.weight"]
    assert list(Pruner(nn.Linear(2, 3)).kept) == ["weight"]
    frozen = network().requires_grad_(False)
    assert Pruner(frozen).prune(0.5) == 0.5


def test_bad_arguments():
    model = network()
    for options, error, message in (
        ({"scores": "size"}, ValueError, "scores is 'size'; 'magnitude', 'activation', 'taylor' or a function"),
        ({"scope": "all"}, ValueError, "scope is 'all'"),
        ({"scores": "activation"}, ValueError, "statistics is None, but scores is 'activation'"),
        ({"statistics": StreamingStatistics()}, ValueError, "but scores is 'magnitude'"),
        ({"pattern": (5, 4)}, ValueError, r"pattern\[0\] is 5"),
        ({"hysteresis": -1, "regrow": True}, ValueError, "hysteresis is -1"),
        ({"modules": "fc1"}, ValueError, "'fc1' matches no module"),
        ({"modules": nn.ReLU}, ValueError, "no module among .*ReLU.* has a weight of two or more axes"),
        ({"modules": 3}, TypeError, "3 is neither"),
    ):
        with pytest.raises(error, match=message):
            Pruner(model, **options)
    with pytest.raises(ValueError, match="no linear layer, convolution or attention of ReLU"):
        Pruner(nn.ReLU())
    with pytest.raises(TypeError, match="model is 'x'"):
        Pruner("x")
    with pytest.raises(ValueError, match=r"weight has no shape yet"):
        Pruner(nn.LazyLinear(3))
    with pytest.raises(ValueError, match=r"sparsity is 0\.5, and pattern is \(2, 4\)"):
        Pruner(model, pattern=(2, 4)).prune(0.5)
    with pytest.raises(TypeError, match="sparsity is 'half'"):
        Pruner(model).prune("half")
