"""hash_: trained layers get the best values, ties stay ties, and a failed call changes nothing."""

import copy
import math
import pickle
import statistics

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from sketches.nn import (
    HashedConv1d,
    HashedConv2d,
    HashedEmbedding,
    HashedLinear,
    HashedWeights,
    QuotientRemainderEmbedding,
    hash_,
    share_,
)


class Network(nn.Module):
    """Every kind of layer, one module in two places, and a head whose weight is the embedding's."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8, padding_idx=0)
        self.conv1 = nn.Conv1d(8, 8, 3, padding="same", padding_mode="reflect")
        self.conv2 = nn.Conv2d(1, 4, (1, 3), padding=(0, 1), bias=False)
        self.fc = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.again = self.fc[0]
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 20)

    def forward(self, ids):
        x = self.conv1(self.embedding(ids).transpose(1, 2))
        x = self.conv2(x[:, None]).mean(1).transpose(1, 2)
        x = self.again(self.fc(x))
        return self.head(self.attention(x, x, x, need_weights=False)[0])


IDS = torch.tensor([[3, 0, 7, 19, 2]])


def network():
    torch.manual_seed(4)
    model = Network()
    model.head.weight = model.embedding.weight
    return model.eval()


def snapshot(model):
    kinds = {name: type(module) for name, module in model.named_modules()}
    return kinds, {
        key: (each.data_ptr(), each.clone()) for key, each in model.state_dict().items() if "extra" not in key
    }


def same(before, after):
    kinds, state = before
    return kinds == after[0] and all(
        after[1][key][0] == place and torch.equal(after[1][key][1], each) for key, (place, each) in state.items()
    )


def test_replaces_all_with_the_best_values():
    model, dense = network(), network()
    biases = model.again.bias, model.head.bias
    rng = torch.random.get_rng_state()
    assert hash_(model, 2.5, seed=2**32 - 1) is model
    assert torch.equal(torch.random.get_rng_state(), rng)
    kinds = {name: type(module) for name, module in model.named_modules() if "Hashed" in type(module).__name__}
    assert kinds == {
        "embedding": HashedEmbedding,
        "conv1": HashedConv1d,
        "conv2": HashedConv2d,
        "fc.0": HashedLinear,
        "head": HashedLinear,
    }
    assert model.again is model.fc[0]
    assert (model.again.bias, model.head.bias) == biases
    assert model.head.values is model.embedding.values
    assert model.head.seed == model.embedding.seed == 2**32 - 1
    assert [model.conv1.seed, model.conv2.seed, model.again.seed] == [0, 1, 2]  # the next ones, modulo 2**32
    assert not model.conv1.training
    for name in kinds:
        hashed, weight = model.get_submodule(name), dense.get_submodule(name).weight.detach()
        best = HashedWeights.from_matrix(weight, -(-weight.numel() * 2 // 5), seed=hashed.seed)
        assert hashed.values.detach().tolist() == best.values.tolist()
    loss = model(IDS).square().mean()
    loss.backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if not name.startswith("attention"))
    again = pickle.loads(pickle.dumps(model))
    assert again.head.values is again.embedding.values
    torch.testing.assert_close(again(IDS), model(IDS))
    fresh = hash_(network(), 2.5, seed=2**32 - 1)
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh(IDS), model(IDS))


def test_no_other_values_are_closer():
    """The residual is orthogonal to every value's weights: the gradient of the squared error vanishes."""
    for hashes in (1, 2):
        model, dense = network(), network()
        hash_(model, 4, hashes=hashes)
        for name in ("embedding", "conv1", "conv2", "fc.0"):
            hashed, weight = model.get_submodule(name), dense.get_submodule(name).weight.detach()
            made = hashed.weight if name != "embedding" else model.head.weight  # without the row of padding
            (made - weight).square().sum().backward()
            slope, hashed.values.grad = hashed.values.grad, None
            assert float(slope.abs().max()) < 1e-4


def test_the_error_that_is_left():
    """The mean share of 20 layers is the documented one, within 5 standard errors, which are deviation / sqrt(20)."""
    torch.manual_seed(6)
    for ratio in (1, 2, 8):
        shares = []
        for seed in range(20):
            model = nn.Sequential(nn.Linear(80, 50, bias=False))
            weight = model[0].weight.detach()
            hash_(model, ratio, seed=seed)
            shares.append(float((model[0].weight.detach() - weight).square().sum() / weight.square().sum()))
        mean, deviation = statistics.mean(shares), statistics.stdev(shares)
        assert abs(mean - (1 - (1 - math.exp(-ratio)) / ratio)) < 5 * deviation / math.sqrt(20)


def test_what_is_already_hashed_is_found_again():
    model = hash_(network(), 3, seed=9)
    dense = network()
    with torch.no_grad():
        dense.conv1.weight.copy_(model.conv1.weight)
    hash_(dense, 3, modules="conv1", seed=10)  # the seed that the first call gave this layer
    torch.testing.assert_close(dense.conv1.values, model.conv1.values)
    assert type(dense.head) is nn.Linear


def test_a_trained_layer_can_be_fine_tuned():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 3))
    x = torch.randn(200, 10)
    target = copy.deepcopy(model)(x).detach()
    hash_(model, 4)
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.01), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_keeps_precision_and_what_is_frozen(dtype):
    model = nn.Sequential(nn.Linear(30, 20, dtype=dtype)).requires_grad_(False)
    exact = model[0].weight.double()
    hash_(model, 5)
    assert model[0].values.dtype == dtype
    assert not model[0].values.requires_grad
    best = HashedWeights.from_matrix(exact.numpy(), 120).values
    torch.testing.assert_close(model[0].values.double(), torch.from_numpy(best).double(), rtol=4e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (None, {"ratio": 0.5}, ValueError, r"ratio is 0\.5; weights for each value"),
        (None, {"ratio": None}, TypeError, "ratio is None"),
        (None, {"seed": -1}, ValueError, "seed is -1"),
        (None, {"hashes": 0}, ValueError, "hashes is 0"),
        (None, {"hashes": 2.5}, TypeError, r"hashes is 2\.5"),
        (None, {"modules": "nothing*"}, ValueError, "'nothing\\*' matches no module"),
        (None, {"modules": nn.ReLU}, ValueError, "has no Linear, Conv1d, Conv2d or Embedding of Network"),
        (None, {"modules": "head"}, ValueError, "head.weight is shared with embedding, which is not replaced"),
        (lambda m: m.head.weight.data[3, 1].fill_(torch.nan), {}, ValueError, "embedding.weight holds NaN or infinity"),
        (lambda m: m.conv1.to(torch.float8_e5m2), {}, ValueError, "conv1.weight has dtype torch.float8_e5m2"),
        (lambda m: m.conv2.to("meta"), {}, ValueError, "conv2.weight has no values"),
        (lambda m: m.again.register_forward_hook(print), {}, ValueError, "fc.0 has hooks"),
        (
            lambda m: prune.l1_unstructured(m.conv2, "weight", 2),
            {},
            ValueError,
            "conv2.weight is no parameter",
        ),
        (lambda m: m.conv2.register_buffer("scale", torch.ones(1)), {}, ValueError, "conv2 has scale beside weight"),
        (lambda m: weight_norm(m.conv2), {}, ValueError, "conv2 has parametrizations, which would be lost"),
        (lambda m: share_(m, 2, modules="fc.0"), {}, ValueError, "fc.0 has parametrizations, which would be lost"),
        (lambda m: setattr(m.embedding, "max_norm", 1.0), {}, ValueError, r"embedding: max_norm is 1\.0"),
        (lambda m: m.head.weight.data[0].fill_(1), {}, ValueError, "embedding: row 0 of padding is not zero"),
    ],
)
def test_a_failed_call_changes_nothing(change, options, error, message):
    model = network()
    if change:
        change(model)
    before = snapshot(model) if "meta" not in message and "no values" not in message else None
    with pytest.raises(error, match=message):
        hash_(model, **{"ratio": 2, **options})
    assert not any("Hashed" in type(module).__name__ for module in model.modules())
    if before and "NaN" not in message:
        assert same(before, snapshot(model))


def test_a_model_that_is_a_layer_or_no_model():
    with pytest.raises(ValueError, match="model is a Linear itself"):
        hash_(nn.Linear(3, 3), 2)
    with pytest.raises(TypeError, match="model is 5"):
        hash_(5, 2)
    with pytest.raises(ValueError, match="Sequential has no Linear"):
        hash_(nn.Sequential(nn.ReLU()), 2)


def test_the_product_of_two_tables():
    torch.manual_seed(2)
    table = QuotientRemainderEmbedding(23, 4, buckets=5)
    assert (table.quotient.shape, table.remainder.shape) == ((5, 4), (5, 4))
    ids = torch.arange(23).view(1, 23)
    rows = table(ids)
    for i in range(23):
        assert torch.equal(rows[0, i], table.quotient[i // 5] * table.remainder[i % 5])
    assert torch.equal(table.weight, rows[0])
    assert len({tuple(row) for row in rows[0].tolist()}) == 23
    rows.sum().backward()
    torch.testing.assert_close(table.quotient.grad[4], table.remainder[:3].detach().sum(0))  # 20, 21, 22 only
    for n in (1, 2, 9, 10, 100, 101):
        tables = QuotientRemainderEmbedding(n, 1)
        least = min(b + -(-n // b) for b in range(1, n + 1))
        assert len(tables.quotient) + len(tables.remainder) == least
    assert repr(table) == "QuotientRemainderEmbedding(23, 4, buckets=5)"


def test_a_product_is_found_again_and_anything_else_approximated():
    torch.manual_seed(3)
    truth = QuotientRemainderEmbedding(23, 6, buckets=4)
    dense = nn.Embedding.from_pretrained(truth.weight.detach())
    found = QuotientRemainderEmbedding.from_embedding(dense, buckets=4)
    torch.testing.assert_close(found.weight, dense.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.quotient.square().mean(0), found.remainder.square().mean(0))
    dense = nn.Embedding(24, 6)
    found = QuotientRemainderEmbedding.from_embedding(dense, buckets=4)
    matrix = dense.weight.detach().view(6, 4, 6).permute(2, 0, 1)
    best = (torch.linalg.svdvals(matrix)[:, 1:] ** 2).sum()  # Eckart and Young: what no rank-one matrix has
    assert (found.weight - dense.weight).square().sum().item() == pytest.approx(best.item(), rel=1e-3)
    zero = QuotientRemainderEmbedding.from_embedding(nn.Embedding.from_pretrained(torch.zeros(9, 2)))
    assert not zero.weight.any()


def test_wrong_tables():
    endless, nowhere = nn.Embedding.from_pretrained(torch.full((2, 2), torch.inf)), nn.Embedding(2, 2, device="meta")
    for call, error, message in (
        (lambda: QuotientRemainderEmbedding(0, 4), ValueError, "num_embeddings is 0"),
        (lambda: QuotientRemainderEmbedding(4, 0), ValueError, "embedding_dim is 0"),
        (lambda: QuotientRemainderEmbedding(4, 4, buckets=5), ValueError, "buckets is 5"),
        (lambda: QuotientRemainderEmbedding(23, 4)(torch.tensor(23)), IndexError, r"input holds 23; \[0, 23\)"),
        (lambda: QuotientRemainderEmbedding.from_embedding(nn.Linear(2, 2)), TypeError, "is of type Linear"),
        (lambda: QuotientRemainderEmbedding.from_embedding(endless), ValueError, "NaN or infinity"),
        (lambda: QuotientRemainderEmbedding.from_embedding(nowhere), ValueError, "on the device meta"),
    ):
        with pytest.raises(error, match=message):
            call()
