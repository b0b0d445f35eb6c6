"""Hashed layers: equal to dense ones with the twin's weights, on every path, and saved without the virtual weights."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from sketches.nn import HashedConv1d, HashedConv2d, HashedEmbedding, HashedLinear, HashedWeights, hashed_fit
from sketches.nn.torch.hashed import virtual
from sketches.nn.torch.hashed.places import Places
from sketches.plain.hashed_weights import HashedWeights as Twin

CPU = torch.device("cpu")


def twins_weight(layer):
    """Give the weights that the plain twin makes of a layer's values."""
    shape = (layer.hashes, *layer.places.shape)
    twin = Twin(shape, layer.places.entries, layer.seed)
    twin.values = layer.values.detach().tolist()
    matrix = torch.tensor(twin.matrix(), dtype=layer.values.dtype).view(shape)
    total = matrix[0]
    for part in matrix[1:]:
        total = total + part
    return total


def layers(**options):
    torch.manual_seed(0)
    return {
        "linear": (HashedLinear(12, 10, **options), torch.randn(4, 12)),
        "conv1d": (HashedConv1d(4, 6, 3, stride=2, padding=1, groups=2, **options), torch.randn(2, 4, 9)),
        "conv2d": (HashedConv2d(3, 4, (3, 2), padding_mode="circular", padding=1, **options), torch.randn(2, 3, 6, 5)),
        "same": (HashedConv2d(2, 3, 3, padding="same", dilation=2, bias=False, **options), torch.randn(1, 2, 7, 7)),
        "embedding": (HashedEmbedding(15, 6, **options), torch.tensor([[0, 14, 3], [3, 3, 7]])),
    }


def dense_twin(layer):
    """Give PyTorch's layer with a leaf of the twin's weights."""
    weight = twins_weight(layer)
    if isinstance(layer, HashedEmbedding):
        dense = nn.Embedding(*weight.shape)
    elif isinstance(layer, HashedLinear):
        dense = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
    else:
        kind = nn.Conv1d if isinstance(layer, HashedConv1d) else nn.Conv2d
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        options = {name: getattr(layer, name) for name in names}
        dense = kind(**options, bias=layer.bias is not None, padding_mode=layer.padding_mode)
    dense.weight.data = weight
    if getattr(layer, "bias", None) is not None:
        dense.bias.data = layer.bias.data
    return dense


@pytest.mark.parametrize("hashes", [1, 2])
@pytest.mark.parametrize("name", layers(entries=7))
def test_is_the_dense_layer_with_the_twins_weights(name, hashes):
    layer, x = layers(entries=7, hashes=hashes, seed=5)[name]
    dense = dense_twin(layer)
    assert torch.equal(layer.weight, dense.weight)
    found, expected = layer(x), dense(x)
    torch.testing.assert_close(found, expected)
    slope = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    found.backward(slope)
    expected.backward(slope)
    twin = Twin((hashes, *layer.places.shape), 7, 5)
    passed_on = twin.gradient(dense.weight.grad.flatten().tolist() * hashes)
    torch.testing.assert_close(layer.values.grad, torch.tensor(passed_on))
    if getattr(layer, "bias", None) is not None:
        torch.testing.assert_close(layer.bias.grad, dense.bias.grad)


def test_values_are_those_of_hashed_weights():
    layer = HashedLinear(784, 100, ratio=8, seed=2**32 - 1)
    weights = HashedWeights((100, 784), layer.places.entries, seed=2**32 - 1)
    weights.values = layer.values.detach()
    assert (weights.matrix() == layer.weight.detach().numpy()).all()
    layer(torch.ones(1, 784)).sum().backward()
    assert (weights.gradient(np.ones((100, 784))) == layer.values.grad.numpy()).all()


@pytest.mark.parametrize("entries", [1, 3, 1000, 2**31 - 5, 2**31])
@pytest.mark.parametrize("seed", [0, 77])
def test_the_hash_of_tensors_is_the_kernels(entries, seed):
    """Values so many as to fill the product of 32 bits, at positions that fill 64 bits."""
    places = Places((2**20, 2**30), entries, 2, seed)
    positions = torch.tensor([0, 1, 2**31, 2**50 - 1, 2**50 - 2])
    twin = Twin((1,), 1, seed)
    for j, found in enumerate(places.locate(positions)):
        for position, place in zip(positions.tolist(), found.tolist(), strict=True):
            h = twin.hash(position + j * places.total)
            assert place == (h * entries >> 64) + (entries if h & 1 else 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("hashes", [1, 3])
def test_both_ways_give_the_same(dtype, hashes, monkeypatch):
    """Weights to the last bit, by kernel and by index; gradients, sums of about 70 in another order, nearly."""
    places, generator = Places((40, 50), 90, hashes, 3), torch.Generator().manual_seed(2)
    values = torch.randn(90, generator=generator).to(dtype)
    slope = torch.randn(40, 50, generator=generator).to(dtype)
    gradients = []
    made = []
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr(virtual, "compiled", lambda tensor: False)
        leaf = values.clone().requires_grad_()
        found = virtual.weights(leaf, places)
        found.backward(slope)
        made.append(found)
        gradients.append(leaf.grad)
    assert torch.equal(*made)
    assert made[0].dtype == dtype
    torch.testing.assert_close(*gradients)
    ids = torch.tensor([3, 39, 3])
    assert torch.equal(virtual.rows(values, places, ids), made[0][ids])
    monkeypatch.undo()
    assert torch.equal(virtual.rows(values, places, ids), made[0][ids])
    assert torch.equal(places.locate(torch.arange(2000)), places.index(CPU).long())


SCRIPT = "ignore:`torch.jit.script:DeprecationWarning"  # PyTorch's own use of it, in forward derivatives


def test_training_follows_inference_by_the_same_index(monkeypatch):
    monkeypatch.setattr(virtual, "compiled", lambda tensor: False)
    layer, x = HashedLinear(12, 10, entries=7), torch.randn(4, 12)
    with torch.inference_mode():
        layer(x)
    layer(x).sum().backward()
    assert layer.values.grad.any()


@pytest.mark.filterwarnings(SCRIPT)
@pytest.mark.parametrize("hashes", [1, 2])
@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_gradients_by_finite_differences(block, hashes, monkeypatch):
    monkeypatch.setattr(hashed_fit, "BLOCK", block)
    monkeypatch.setattr(virtual, "WHOLE", block)
    places, generator = Places((9, 14), 20, hashes, 1), torch.Generator().manual_seed(3)
    values, x, bias = (
        torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((20,), (2, 3, 14), (9,))
    )
    ids = torch.tensor([[8, 0], [8, 5]])
    for call, leaves in (
        (lambda v, x, b: virtual.linear(x, v, b, places), (values, x, bias)),
        (lambda v: virtual.weights(v, places), (values,)),
        (lambda v: virtual.rows(v, places, ids), (values,)),
    ):
        assert torch.autograd.gradcheck(call, leaves, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(call, leaves, check_batched_grad=True)


@pytest.mark.filterwarnings(SCRIPT)
def test_the_forward_derivative_is_the_hash_of_the_tangent():
    places, values, tangent = Places((9, 14), 20, 2, 1), torch.rand(20), torch.rand(20)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(values, tangent)
        found = torch.autograd.forward_ad.unpack_dual(virtual.weights(dual, places)).tangent
    assert torch.equal(found, virtual.weights(tangent, places))


@pytest.mark.filterwarnings(SCRIPT)
@pytest.mark.parametrize("whole", [0, 2**23])
def test_transformations_of_the_input_alone(whole, monkeypatch):
    monkeypatch.setattr(virtual, "WHOLE", whole)
    layer, x = HashedLinear(12, 10, entries=7, hashes=2), torch.randn(4, 12)
    torch.testing.assert_close(torch.func.vmap(layer)(x), layer(x))
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(jacobian(layer)(x[0]), layer.weight)
    for name, (other, inputs) in layers(entries=7, hashes=2).items():
        torch.testing.assert_close(torch.func.vmap(other)(inputs[None]), other(inputs)[None], msg=name)


def test_numbers_of_rows_that_change_before_the_backward_pass_are_an_error():
    table, ids = HashedEmbedding(20, 5, entries=11), torch.tensor([4, 2])
    rows = table(ids)
    ids[0] = 7
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        rows.sum().backward()


def test_a_large_linear_layer_never_makes_its_weights(monkeypatch):
    monkeypatch.setattr(virtual, "WHOLE", 300 * 1000 - 1)
    monkeypatch.setattr(hashed_fit, "BLOCK", 2**15)
    layer, x = HashedLinear(300, 1000, entries=500), torch.randn(2, 5, 300)
    asked = []
    fill = Places.fill
    monkeypatch.setattr(Places, "fill", lambda self, v, rows: asked.append(rows) or fill(self, v, rows))
    x.requires_grad_()
    y = layer(x)
    y.sum().backward()
    assert len(asked) > 2
    assert max(stop - start for start, stop in asked) * 300 <= hashed_fit.BLOCK
    gradients = x.grad.clone(), layer.values.grad.clone()
    x.grad = layer.values.grad = None
    expected = functional.linear(x, layer.weight, layer.bias)
    expected.sum().backward()
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(gradients, (x.grad, layer.values.grad), rtol=1e-4, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


def test_compiled_exported_vectorised_and_on_meta():
    for layer, x in layers(entries=9, hashes=2).values():
        expected = layer(x)
        torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x), expected)
        torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), expected)
        assert copy.deepcopy(layer).to("meta")(x.to("meta")).shape == expected.shape
        found = torch.func.vmap(lambda v, layer=layer, x=x: torch.func.functional_call(layer, {"values": v}, x))(
            torch.stack([layer.values.detach(), 2 * layer.values.detach()])
        )
        torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize("name", layers(entries=7))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_in_other_precision(name, dtype):
    layer, x = layers(entries=7, hashes=2)[name]
    x = x.to(dtype) if x.is_floating_point() else x
    layer = layer.to(dtype)
    dense = dense_twin(layer.float()).to(dtype)
    layer.to(dtype)
    y = layer(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y, dense(x), rtol=0.02, atol=0.02)
    y.sum().backward()
    assert layer.values.grad.dtype == dtype


@pytest.mark.parametrize("name", layers(entries=7))
def test_saved_copied_and_loaded(name, tmp_path):
    layer, x = layers(entries=7, seed=3)[name]
    expected = layer(x)
    state = layer.state_dict()
    assert sum(tensor.numel() for key, tensor in state.items() if not key.endswith("_extra_state")) == sum(
        parameter.numel() for parameter in layer.parameters()
    )
    assert state["_extra_state"].tolist() == [1, 3, 1, *layer.places.shape]
    assert not list(layer.buffers())
    layer.places.index(CPU)
    assert len(pickle.dumps(layer)) < len(pickle.dumps(layers(entries=7, seed=3)[name][0])) + 100  # without the index
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x), expected)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    save_file(state, tmp_path / "layer.safetensors")
    for saved in (torch.load(buffer, weights_only=True), load_file(tmp_path / "layer.safetensors")):
        fresh = layers(entries=7, seed=3)[name][0]
        nn.init.zeros_(fresh.values)
        fresh.load_state_dict(saved)
        assert torch.equal(fresh(x), expected)


def test_a_state_of_another_hash_is_refused():
    state = nn.Sequential(HashedLinear(6, 4, entries=8, seed=1)).state_dict()
    for options, message in (
        ({"seed": 2}, r"0.values: saved under another hash: .* \[1, 1, 1, 4, 6\], this layer's are \[1, 2, 1, 4, 6\]"),
        ({"seed": 1, "hashes": 2}, "another hash"),
        ({"seed": 1, "entries": 9}, "size mismatch for 0.values"),
    ):
        layer = HashedLinear(6, 4, **{"entries": 8, **options})
        before = layer.values.clone(), layer.bias.clone()
        with pytest.raises(RuntimeError, match=message):
            nn.Sequential(layer).load_state_dict(state)
        assert torch.equal(layer.values, before[0])
        if "entries" not in options:
            assert torch.equal(layer.bias, before[1])
    with pytest.raises(RuntimeError, match=r"\[1, 1, 1, 6, 4\]"):
        nn.Sequential(HashedLinear(4, 6, False, entries=8, seed=1)).load_state_dict(state, strict=False)
    with pytest.raises(RuntimeError, match=r"Missing key.*_extra_state"):
        nn.Sequential(HashedLinear(6, 4, entries=8)).load_state_dict(
            {key: each for key, each in state.items() if "extra" not in key}
        )


def test_layers_begin_as_pytorchs():
    """Means and variances of 90,000 uniform or normal values, within 5 standard errors of those of PyTorch's weights.

    The variance of a sample variance is (kurtosis - 1) / n of its square: 0.8 / n for uniform, 2 / n for normal.
    """
    torch.manual_seed(1)
    for hashes in (1, 4):
        values = HashedLinear(300, 300, entries=90_000, hashes=hashes).values.detach() * hashes**0.5 * 300**0.5
        assert abs(float(values.mean())) < 5 * (1 / 3 / 90_000) ** 0.5
        assert abs(float(values.var()) * 3 - 1) < 5 * (0.8 / 90_000) ** 0.5
        values = HashedEmbedding(300, 300, entries=90_000, hashes=hashes).values.detach() * hashes**0.5
        assert abs(float(values.mean())) < 5 * (1 / 90_000) ** 0.5
        assert abs(float(values.var()) - 1) < 5 * (2 / 90_000) ** 0.5
    torch.manual_seed(1)
    first = HashedLinear(5, 5, ratio=2).values
    torch.manual_seed(1)
    assert torch.equal(HashedLinear(5, 5, ratio=2).values, first)


def test_buckets_and_signs_are_uniform_and_seeds_independent():
    """Chi-squared of n weights in cells: mean cells - 1, variance 2 (cells - 1), limits 5 standard errors of it."""
    n, entries = 200_000, 50
    first, second = (Places((n,), entries, 2, seed).index(CPU).long() for seed in (0, 1))
    for cells, pairs in (
        (100, first[0]),  # bucket and sign
        (10_000, first[0] * 100 + second[0]),  # of two seeds next to each other, such as hash_ gives to layers
        (10_000, first[0] * 100 + first[1]),  # of two hashes
        (10_000, first[0, :-1] * 100 + first[0, 1:]),  # of neighbours
    ):
        counts = torch.bincount(pairs, minlength=cells).double()
        expected = len(pairs) / cells
        chi = float(((counts - expected) ** 2 / expected).sum())
        assert abs(chi - (cells - 1)) < 5 * (2 * (cells - 1)) ** 0.5
    same = Places((n,), entries, 1, 0).index(CPU).long()
    assert torch.equal(same[0], first[0])  # the same seed, shape and entries: the same hash


def test_embedding_rows_padding_and_wrong_numbers():
    table = HashedEmbedding(20, 5, -3, entries=11)
    assert table.padding_idx == 17
    assert not table.weight[17].any()
    ids = torch.tensor([[17, 4]], dtype=torch.int32)
    rows = table(ids)
    assert torch.equal(rows, table.weight[ids.long()])
    rows[0, 0].sum().backward()
    assert not table.values.grad.any()
    assert table(torch.zeros(0, 3, dtype=torch.long)).shape == (0, 3, 5)
    for wrong, error, message in (
        (torch.tensor([20]), IndexError, r"input holds 20; \[0, 20\)"),
        (torch.tensor([4, -1]), IndexError, "input holds -1"),
        (torch.tensor([1.0]), TypeError, "input has dtype torch.float32"),
    ):
        with pytest.raises(error, match=message):
            table(wrong)


def with_values(layer, n):
    layer.values = nn.Parameter(torch.ones(n))
    return layer


def test_wrong_arguments():
    for call, error, message in (
        (lambda: HashedLinear(4, 4), TypeError, "ratio is None and entries is None; give one"),
        (lambda: HashedLinear(4, 4, ratio=2, entries=3), TypeError, "ratio is 2 and entries is 3"),
        (lambda: HashedLinear(4, 4, ratio=0.125), ValueError, r"ratio is 0\.125; weights for each value"),
        (lambda: HashedLinear(4, 4, ratio=float("nan")), ValueError, "ratio is nan"),
        (lambda: HashedLinear(4, 4, ratio="8"), TypeError, "ratio is '8'"),
        (lambda: HashedLinear(4, 4, entries=0), ValueError, "entries is 0"),
        (lambda: HashedLinear(4, 4, entries=2.5), TypeError, r"entries is 2\.5"),
        (lambda: HashedLinear(0, 4, entries=2), ValueError, "in_features is 0"),
        (lambda: HashedLinear(4, 2.5, ratio=2), TypeError, r"out_features is 2\.5"),
        (lambda: HashedEmbedding("4", 2, ratio=2), TypeError, "num_embeddings is '4'"),
        (lambda: HashedEmbedding(4, 0, ratio=2), ValueError, "embedding_dim is 0"),
        (lambda: HashedLinear(4, 4, ratio=2, hashes=0), ValueError, "hashes is 0"),
        (lambda: HashedLinear(4, 4, ratio=2, seed=2**32), ValueError, "seed is 4294967296"),
        (lambda: HashedLinear(4, 4, ratio=2, dtype=torch.complex64), TypeError, "dtype is torch.complex64"),
        (lambda: HashedLinear(4, 4, ratio=2, dtype=torch.int32), TypeError, "dtype is torch.int32"),
        (lambda: HashedConv2d(3, 4, 3, groups=2, ratio=2), ValueError, "divisible by groups"),
        (lambda: HashedConv1d(2, 4, 3, padding_mode="none", ratio=2), ValueError, "padding_mode"),
        (lambda: HashedEmbedding(4, 4, 4, ratio=2), ValueError, "padding_idx is 4"),
        (lambda: HashedLinear(4, 4, ratio=2)(torch.ones(1, 5)), RuntimeError, "shapes"),
        (lambda: with_values(HashedLinear(4, 4, ratio=2), 9)(torch.ones(4)), ValueError, r"shape \(9,\); \(8,\) is"),
        (lambda: with_values(HashedEmbedding(4, 4, ratio=2), 7)(torch.tensor(1)), ValueError, r"\(7,\); \(8,\) is"),
        (lambda: HashedLinear(400, 400, ratio=2)(torch.ones(1, 5)), RuntimeError, "shape"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_reprs():
    found = {name: repr(layer) for name, (layer, _) in layers(ratio=9, hashes=2, seed=1).items()}
    assert found == {
        "linear": "HashedLinear(in_features=12, out_features=10, bias=True, entries=14, hashes=2, seed=1)",
        "conv1d": "HashedConv1d(4, 6, kernel_size=(3,), stride=(2,), padding=(1,), groups=2, entries=4, "
        "hashes=2, seed=1)",
        "conv2d": (
            "HashedConv2d(3, 4, kernel_size=(3, 2), stride=(1, 1), padding=(1, 1), padding_mode=circular, entries=8, "
            "hashes=2, seed=1)"
        ),
        "same": (
            "HashedConv2d(2, 3, kernel_size=(3, 3), stride=(1, 1), padding=same, dilation=(2, 2), bias=False, "
            "entries=6, hashes=2, seed=1)"
        ),
        "embedding": "HashedEmbedding(15, 6, entries=10, hashes=2, seed=1)",
    }
