"""Layers of shared weights beside plain gradients, under optimizers, tied, copied, other precisions, bad input."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sketches.nn import (
    BloomierWeights,
    Pruner,
    SharedWeights,
    centroid_gradients,
    load_shared_,
    share_,
    share_weights,
    shared_weights,
    unshare_,
)


def network(seed=0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))


def pruned(sparsity=0.7) -> nn.Module:
    model = network()
    with Pruner(model) as pruner:
        pruner.prune(sparsity)
    return model


def batch(seed=1):
    x = torch.randn(64, 12, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :3].sin()


def step(model, optimizer):
    x, y = batch()
    optimizer.zero_grad()
    loss = (model(x) - y).square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.001, momentum=0.9),
}


def test_weights_and_gradients_are_those_of_arrays():
    model, dense = pruned(), pruned()
    before = {name: weight.detach().numpy().copy() for name, weight in model.named_parameters() if weight.ndim > 1}
    found = share_(model, 3)
    assert list(found) == list(before) == ["0.weight", "2.weight", "4.weight"]
    for index in (0, 2, 4):
        shared, expected = found[f"{index}.weight"], share_weights(before[f"{index}.weight"], 3)
        assert (shared.indices == expected.indices).all()
        assert (shared.codebook == expected.codebook).all()
        assert shared.sparse
        assert (model[index].weight.detach().numpy() == expected.dense()).all()
        dense[index].weight.data.copy_(torch.from_numpy(expected.dense()))
    x, y = batch()
    for net in (model, dense):
        (net(x) - y).square().mean().backward()
    for index in (0, 2, 4):
        shared = found[f"{index}.weight"]
        sums = centroid_gradients(dense[index].weight.grad, shared.indices, len(shared.codebook))
        codebook = model[index].parametrizations.weight.original
        assert codebook.shape == (len(shared.codebook) - 1,)  # the zero is none of them
        np.testing.assert_allclose(codebook.grad.numpy(), sums[1:], rtol=1e-4, atol=1e-6)
        assert torch.equal(model[index].bias.grad, dense[index].bias.grad)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_changes_codebooks_only_and_pruned_weights_stay_zero(optimizer):
    model = pruned()
    zeros = {index: model[index].weight == 0 for index in (0, 2, 4)}
    before = share_(model, 3)
    made = OPTIMIZERS[optimizer](model.parameters())
    losses = [step(model, made) for _ in range(60)]
    assert losses[-1] < losses[0]
    after = shared_weights(model)
    for index in (0, 2, 4):
        name = f"{index}.weight"
        assert (after[name].indices == before[name].indices).all()
        assert (after[name].codebook[1:] != before[name].codebook[1:]).any()
        assert torch.equal(model[index].weight == 0, zeros[index])
        assert (model[index].weight.detach().numpy() == after[name].dense()).all()


def test_unshare_leaves_the_values_as_ordinary_parameters():
    model = pruned()
    classes = [type(module) for module in model]
    share_(model, 2, modules="2")
    share_(model, 3, modules=["0", "4"])
    values = [model[index].weight.detach().clone() for index in (0, 2, 4)]
    names = [name for name, _ in network().named_parameters()]
    with pytest.raises(ValueError, match=r"'1\.weight' is no shared weight; 0\.weight, 2\.weight, 4\.weight"):
        unshare_(model, ["0.weight", "1.weight"])
    unshare_(model, "2.weight")
    assert list(shared_weights(model)) == ["0.weight", "4.weight"]
    unshare_(model)
    assert shared_weights(model) == {}
    assert sorted(name for name, _ in model.named_parameters()) == sorted(names)
    assert [type(module) for module in model] == classes
    for index, value in zip((0, 2, 4), values, strict=True):
        assert isinstance(model[index].weight, nn.Parameter)
        assert torch.equal(model[index].weight, value)
    step(model, torch.optim.Adam(model.parameters()))


def test_a_copy_is_independent_and_state_is_loaded():
    model = pruned()
    share_(model, 3)
    twin = copy.deepcopy(model)
    unshare_(twin, ["0.weight"])
    assert torch.equal(model[0].weight, twin[0].weight)  # the original still has its own
    step(twin, torch.optim.SGD(twin.parameters(), lr=0.1))
    assert not torch.equal(model[2].weight, twin[2].weight)
    other = pruned(0.5)
    share_(other, 3)
    other.load_state_dict(model.state_dict())
    x, _ = batch()
    assert torch.equal(other(x), model(x))
    sizes = {name: tensor.nbytes for name, tensor in model.state_dict().items() if "weight" in name}
    weights = 12 * 32 + 32 * 16 + 16 * 3
    assert sum(sizes.values()) == weights + 3 * (8 * 4 + 1)  # a byte a weight, three codebooks of 8, and what 0 means


@pytest.mark.parametrize("entries", [4, 256])  # with the zero 257, which take indices of 2 bytes
def test_a_state_of_pruned_weights_is_loaded_into_a_model_that_was_not_and_back(entries):
    models = pruned(0.2), network()
    for model in models:
        share_(model, entries=entries, modules="2")
    weights = [model[2].weight.detach().clone() for model in models]
    states = [copy.deepcopy(model.state_dict()) for model in models]
    for model, state, expected in zip(models, reversed(states), reversed(weights), strict=True):
        model.load_state_dict(state)
        assert torch.equal(model[2].weight, expected)
        shared = shared_weights(model)["2.weight"]
        assert (shared.dense() == expected.numpy()).all()
        assert len(shared.codebook) == entries + shared.sparse
        model[2].weight = expected  # the nearest codebook is this one
        torch.testing.assert_close(model[2].weight, expected)
    assert [bool(model[2].weight.all()) for model in models] == [True, False]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(20, 6), nn.Linear(6, 20, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


def test_tied_weights_share_one_codebook():
    torch.manual_seed(3)
    model, tokens = Tied(), torch.arange(20)
    assert list(share_(model, 3)) == ["embedding.weight"]
    assert sum(parameter.numel() for parameter in model.parameters()) == 8
    assert torch.equal(model.head.weight, model.embedding.weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(tokens), tokens).backward()
        optimizer.step()
    assert torch.equal(model.head.weight, model.embedding.weight)
    twin = copy.deepcopy(model)
    assert twin.head.parametrizations.weight.original is twin.embedding.parametrizations.weight.original
    unshare_(model)
    assert model.head.weight is model.embedding.weight
    assert model.head.weight.shape == (20, 6)
    assert torch.equal(model.head.weight, twin.head.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precisions_and_their_sums(dtype):
    layer = nn.Linear(300, 400, bias=False).to(dtype)
    share_(layer, entries=1)
    assert layer.weight.dtype == layer.parametrizations.weight.original.dtype == dtype
    layer.weight.sum().backward()
    # 120,000 ones: above float16's largest number; bfloat16 would stop at 256 if it added them up one by one
    gradient = layer.parametrizations.weight.original.grad
    expected = torch.tensor([120_000.0]).to(dtype)
    assert torch.equal(gradient, expected)


def test_convolutions_attention_and_embeddings():
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "conv": nn.Conv2d(4, 6, 3, groups=2),
            "attention": nn.MultiheadAttention(8, 2, batch_first=True),
            "embedding": nn.Embedding(10, 8, padding_idx=0),
            "norm": nn.LayerNorm((3, 3)),
        }
    )
    found = share_(model, 2)
    assert list(found) == ["conv.weight", "attention.in_proj_weight", "attention.out_proj.weight", "embedding.weight"]
    assert found["embedding.weight"].sparse  # the row of padding is zero, and stays so
    x = model["embedding"](torch.tensor([[0, 1, 2]]))
    for training in (True, False):
        model.train(training)
        out, _ = model["attention"](x, x, x)
    (out.sum() + model["conv"](torch.ones(1, 4, 5, 5)).sum()).backward()
    assert not model["embedding"].weight[0].any()
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if "norm" not in name)


def test_assigning_weights_gives_the_nearest_codebook():
    layer = nn.Linear(3, 1, bias=False)
    load_shared_(layer, {"weight": SharedWeights(np.uint8([[1, 2, 1]]), np.float32([0, 1, 2]), True)})
    layer.weight = torch.tensor([[1.0, 5.0, 2.0]])
    assert layer.weight.tolist() == [[1.5, 5, 1.5]]


def test_loading_keeps_codebooks_exactly_and_may_fix_them():
    model = pruned()
    share_(model, 3)
    random = np.random.default_rng(4)
    wide = SharedWeights(
        random.integers(0, 300, (32, 12)).astype(np.uint16), np.append(0, random.normal(size=299)).astype("f4"), True
    )
    plain = SharedWeights(random.integers(0, 5, (16, 32)).astype(np.uint8), np.arange(5, dtype=np.float32), False)
    load_shared_(model, {"0.weight": wide, "2.weight": plain}, trained=False)
    for name, weights in (("0.weight", wide), ("2.weight", plain)):
        found = shared_weights(model)[name]
        assert (found.indices == weights.indices).all()
        assert found.indices.dtype == weights.indices.dtype
        assert (found.codebook == weights.codebook).all()
        assert found.sparse == weights.sparse
    step(model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1))
    assert (shared_weights(model)["0.weight"].codebook == wide.codebook).all()
    load_shared_(model, {"0.weight": wide})
    step(model, torch.optim.Adam(model.parameters(), lr=0.1))
    assert (shared_weights(model)["0.weight"].codebook != wide.codebook).any()
    assert (shared_weights(model)["2.weight"].codebook == plain.codebook).all()


def test_later_layers_learn_to_make_up_for_false_positives():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        step(model, optimizer)
    with Pruner(model) as pruner:
        pruner.attach(optimizer)
        pruner.prune(0.5)
        for _ in range(200):
            step(model, optimizer)
    share_(model, 4)
    x, y = batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    before = [step(model, optimizer) for _ in range(200)][-1]
    for name in ("0.weight", "2.weight"):  # a layer after the other: its code is final, the later ones learn
        stored = BloomierWeights.from_weights(shared_weights(model)[name], false_positive_rate=0.25)
        load_shared_(model, {name: stored.shared()}, trained=False)
        damaged = (model(x) - y).square().mean().item()
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.003)
        after = [step(model, optimizer) for _ in range(300)][-1]
        assert damaged > 2 * before  # a quarter of the pruned weights is wrong
        assert after < (before + damaged) / 2  # less than half of the harm is left
        before = after
        assert (shared_weights(model)[name].indices == stored.shared().indices).all()
        assert (shared_weights(model)[name].codebook == stored.shared().codebook).all()


def snapshot(model):
    return [(name, id(p), p.detach().clone()) for name, p in model.named_parameters()], [
        type(m) for m in model.modules()
    ]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: share_(m), ValueError, "bits is None"),
        (lambda m: share_(m, 0), ValueError, "bits is 0"),
        (lambda m: share_(m, 2, start="x"), ValueError, "start is 'x'"),
        (lambda m: share_(m, 2, modules="nowhere"), ValueError, "'nowhere' matches no module"),
        (lambda m: share_(m, 2, modules=nn.ReLU), ValueError, "no module among"),
        (lambda m: share_(m.broken(), 2), ValueError, r"4\.weight: weights hold nan at \[1, 2\]"),
        (lambda m: share_(3, 2), TypeError, "model is 3"),
        (lambda m: load_shared_(3, {}), TypeError, "model is 3"),
        (lambda m: unshare_(3), TypeError, "model is 3"),
        (lambda m: load_shared_(m, {"0.bias": share_weights([1.0], 1)}), ValueError, "'0.bias' is no weight"),
        (
            lambda m: load_shared_(m, {"0.weight": share_weights([[1.0]], 1)}),
            ValueError,
            r"0\.weight: indices have shape",
        ),
        (
            lambda m: load_shared_(
                m, {"0.weight": SharedWeights(np.full((32, 12), 2, np.uint8), np.zeros(2, np.float32), True)}
            ),
            ValueError,
            "0.weight: index 2 is beyond the codebook's 2 entries",
        ),
        (
            lambda m: load_shared_(
                m, {"0.weight": SharedWeights(np.full((32, 12), -1, np.int8), np.zeros(2, np.float32), True)}
            ),
            TypeError,
            "0.weight: indices are int8",
        ),
        (
            lambda m: load_shared_(
                m, {"0.weight": SharedWeights(np.zeros((32, 12), np.uint8), np.array([5, 1], np.float32), True)}
            ),
            ValueError,
            r"0.weight: entry 0 is \[5.\]",
        ),
        (lambda m: unshare_(m, ["0.weight"]), ValueError, "'0.weight' is no shared weight; there are none"),
    ],
)
def test_bad_arguments_leave_the_model_as_it_was(call, error, message):
    class Net(nn.Sequential):
        def broken(self):
            return self

    model = Net(*network())
    if "nan" in message:
        model[4].weight.data[1, 2] = torch.nan
    before, classes = snapshot(model)
    with pytest.raises(error, match=message):
        call(model)
    after, kinds = snapshot(model)
    assert kinds == classes
    for (name, identity, value), (name2, identity2, value2) in zip(before, after, strict=True):
        assert (name, identity) == (name2, identity2)
        assert torch.equal(value.nan_to_num(7), value2.nan_to_num(7))


def test_what_cannot_be_loaded_leaves_weights_shared():
    model = nn.Sequential(nn.Linear(4, 3))
    before = share_(model, 2)["0.weight"]
    with pytest.raises(TypeError, match=r"0\.weight: indices are int8"):
        load_shared_(model, {"0.weight": SharedWeights(np.full((3, 4), -1, np.int8), before.codebook, False)})
    assert (shared_weights(model)["0.weight"].dense() == before.dense()).all()


def test_loading_looks_at_the_chosen_weights_only():
    def made():
        return nn.ModuleDict(
            {"table": nn.Embedding(5, 2, sparse=True), "lazy": nn.LazyLinear(3), "fc": nn.Linear(4, 3)}
        )

    model, other = made(), made()
    shared = share_(model, 2, modules="fc")
    for each in (model, other):
        load_shared_(each, shared)
        assert torch.equal(each["fc"].weight, model["fc"].weight)
    with pytest.raises(ValueError, match=r"'lazy\.weight' is no weight"):
        load_shared_(model, shared | {"lazy.weight": shared["fc.weight"]})
    with pytest.raises(TypeError, match=r"fc\.weight: it is of type ndarray"):
        load_shared_(model, {"fc.weight": shared["fc.weight"].dense()})
    assert list(shared_weights(model)) == ["fc.weight"]


def test_weights_without_values_are_refused():
    with pytest.raises(ValueError, match=r"weight has no values: it is on the device meta"):
        share_(nn.Linear(3, 3, device="meta"), 2)


def test_sparse_embeddings_are_refused():
    with pytest.raises(ValueError, match=r"weight: an embedding with sparse gradients"):
        share_(nn.Sequential(nn.Embedding(5, 2, sparse=True)), 2)
