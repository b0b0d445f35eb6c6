"""PyTorch models are compressed, and loaded from compressed files."""

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from sketches.nn import (
    CompressedFile,
    CompressedWriter,
    Pruner,
    TensorFile,
    compress,
    expand,
    load_compressed_,
    share_,
    shared_weights,
    unshare_,
)


def network(dtype=torch.float32):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 20), nn.ReLU(), nn.Linear(20, 10)
    return nn.Sequential(*layers).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_lossless(tmp_path, dtype):
    model, other = network(dtype), network(dtype)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    compress(model, tmp_path / "m.skn", lossless=True)
    load_compressed_(other, tmp_path / "m.skn")
    for (name, ours), (_, theirs) in zip(model.state_dict().items(), other.state_dict().items(), strict=True):
        assert ours.dtype is theirs.dtype, name
        assert torch.equal(ours, theirs), name


def test_pruned_and_shared_weights_stay_as_training_made_them(tmp_path):
    model = network()
    with Pruner(model) as pruner:
        pruner.prune(0.8)
    expected = share_(model, bits=3)
    for codebook in model.parameters():
        codebook.data.add_(0.25 * (codebook.ndim == 1))
    expected = shared_weights(model)
    inputs = torch.rand(5, 1, 8, 8)
    outputs = model.eval()(inputs)
    compress(model, tmp_path / "m.skn")
    with CompressedFile(tmp_path / "m.skn") as file:
        assert set(expected) == {name for name, entry in file.entries.items() if entry.coding == "arithmetic"}
        for name, shared in expected.items():
            assert (file.weights(name).indices == shared.indices).all()
            assert (file.weights(name).codebook == shared.codebook).all()
    plain = network().eval()
    load_compressed_(plain, tmp_path / "m.skn")
    torch.testing.assert_close(plain(inputs), outputs)
    unshare_(model)
    torch.testing.assert_close(model(inputs), outputs)


def test_tied_weights(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(30, 8), nn.Linear(8, 30, bias=False)
            self.out.weight = self.embed.weight

    model, other = Tied(), Tied()
    share_(model, bits=2)
    compress(model, tmp_path / "m.skn")
    load_compressed_(other, tmp_path / "m.skn")
    assert other.out.weight is other.embed.weight
    assert len(np.unique(other.embed.weight.detach().numpy())) == 4


def test_weights_that_a_layer_keeps_elsewhere_too(tmp_path):
    """A recurrent layer has a list of its weights, which after a pass are no leaves that could be copied."""
    torch.manual_seed(1)
    model, other = nn.LSTM(3, 4), nn.LSTM(3, 4)
    share_(model, bits=2, modules=nn.LSTM)
    x = torch.rand(5, 1, 3)
    expected, _ = model(x)
    compress(model, tmp_path / "m.skn")
    load_compressed_(other, tmp_path / "m.skn")
    torch.testing.assert_close(other(x)[0], expected)


def test_shared_weights_that_are_changed_further_are_kept_in_their_parts(tmp_path):
    class Twice(nn.Module):
        def forward(self, weights):
            return 2 * weights

    models = [nn.Sequential(nn.Linear(6, 5)) for _ in range(2)]
    for model in models:
        share_(model, bits=2)
        parametrize.register_parametrization(model[0], "weight", Twice())
    assert shared_weights(models[0]) == {}
    compress(models[0], tmp_path / "m.skn", lossless=True)
    load_compressed_(models[1], tmp_path / "m.skn")
    assert torch.equal(models[0][0].weight, models[1][0].weight)


def test_a_model_of_other_names_or_shapes_stays(tmp_path):
    compress(network(), tmp_path / "m.skn")
    more, wider = nn.Sequential(*network(), nn.Linear(10, 2)), network()
    wider[5] = nn.Linear(20, 11)
    for other, message in (
        (nn.Linear(3, 3), r"3\.weight"),
        (more, r"Missing key.*6\.weight"),
        (wider, r"size mismatch for 5\.weight"),
    ):
        before = [each.clone() for each in other.state_dict().values()]
        with pytest.raises(RuntimeError, match=message):
            load_compressed_(other, tmp_path / "m.skn")
        assert all(torch.equal(*pair) for pair in zip(before, other.state_dict().values(), strict=True))
    with pytest.raises(TypeError, match="model is a NoneType"):
        load_compressed_(None, tmp_path / "m.skn")


SMALL_FLOATS = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"]


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_every_bit_of_small_floats(tmp_path, name):
    bits = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    model, other = nn.Module(), nn.Module()
    for each, values in (model, bits), (other, 0 * bits):
        each.register_buffer("table", values.view(getattr(torch, name)))
    compress(model, tmp_path / "m.skn", lossless=True)
    load_compressed_(other, tmp_path / "m.skn")
    assert torch.equal(other.table.view(torch.uint8), bits)


class Growing(nn.Module):
    """A layer that takes a table of any length, and an old name for it."""

    def __init__(self, length):
        super().__init__()
        self.register_buffer("table", torch.zeros(length))
        self.bias = nn.Parameter(torch.zeros(3))

    def _load_from_state_dict(self, state_dict, prefix, *others):
        if prefix + "list" in state_dict:
            state_dict[prefix + "table"] = state_dict.pop(prefix + "list")
        self.table = torch.zeros(len(state_dict[prefix + "table"]))
        super()._load_from_state_dict(state_dict, prefix, *others)


def test_layers_with_ways_of_their_own_to_load(tmp_path):
    expected = {
        "0.table": torch.arange(5.0),
        "0.bias": torch.ones(3),
        "1.weight": torch.ones(2, 3),
        "1.bias": torch.ones(2),
    }
    renamed = {name.replace("table", "list"): tensor for name, tensor in expected.items()}
    for state in expected, renamed:
        model = nn.Sequential(Growing(1), nn.LazyLinear(2))
        compress(state, tmp_path / "m.skn")
        load_compressed_(model, tmp_path / "m.skn")
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, expected[name])
    compress(expected | {"1.bias": torch.ones(4)}, tmp_path / "m.skn")
    model = nn.Sequential(Growing(1), nn.Linear(3, 2, bias=True))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"size mismatch for 1\.bias"):
        load_compressed_(model, tmp_path / "m.skn")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_small_floats_of_ml_dtypes(tmp_path, name):
    bits = np.arange(256, dtype=np.uint8 if "8" in name[5:] else np.uint16).reshape(16, 16)
    arrays = {"whole": bits, "turned": bits.T, "one": bits[3, 5]}
    dtype = getattr(ml_dtypes, name)
    compress({each: array.view(dtype) for each, array in arrays.items()}, tmp_path / "m.skn", lossless=True)
    with CompressedFile(tmp_path / "m.skn") as file:
        for each, array in arrays.items():
            assert file.stored(each).tolist() == array.tolist()


def test_dtypes_that_no_tensor_has(tmp_path):
    with CompressedWriter(tmp_path / "m.skn") as writer:
        writer.write("table", "F6_E2M3", np.zeros(3, np.uint8), shape=(4,))
    model = nn.Module()
    model.register_buffer("table", torch.zeros(4))
    with pytest.raises(TypeError, match="tensor 'table' is of F6_E2M3, of which this PyTorch has no tensors"):
        load_compressed_(model, tmp_path / "m.skn")


@pytest.mark.parametrize(
    ("dtype", "called"), [(torch.float16, "F16"), (torch.bfloat16, "BF16"), (torch.float64, "F64")]
)
def test_shared_weights_keep_their_dtype(tmp_path, dtype, called):
    model, plain = network(dtype), network(dtype)
    share_(model, bits=3)
    compress(model, tmp_path / "m.skn")
    expand(tmp_path / "m.skn", tmp_path / "m.safetensors")
    load_compressed_(plain, tmp_path / "m.skn")
    with TensorFile(tmp_path / "m.safetensors") as file:
        assert {name: file.dtype(name) for name in file.names if "weight" in name} == {
            name: called for name in plain.state_dict() if "weight" in name
        }
    unshare_(model)
    for name, tensor in plain.state_dict().items():
        tolerance = 2**-23 if dtype is torch.float64 else 0
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=tolerance, atol=0)


def test_codebooks_of_float64_are_not_lossless(tmp_path):
    model = nn.Sequential(nn.Linear(5, 4)).double()
    share_(model, bits=2)
    with pytest.raises(
        ValueError, match=r"tensor '0\.weight': lossless, but its codebook is kept as float32; unshare_ it"
    ):
        compress(model, tmp_path / "m.skn", lossless=True)
    unshare_(model)
    compress(model, tmp_path / "m.skn", lossless=True)


def test_tensors_that_are_views_or_have_no_values(tmp_path):
    conjugate, negative = torch.tensor([1 + 2j, 3 - 4j]).conj(), torch._neg_view(torch.tensor([1.0, 2.0]))
    compress({"conj": conjugate, "neg": negative}, tmp_path / "m.skn")
    with CompressedFile(tmp_path / "m.skn") as file:
        assert file["conj"].tolist() == [1 - 2j, 3 + 4j]
        assert file["neg"].tolist() == [-1, -2]
    for tensor, message in (
        (torch.eye(3).to_sparse(), r"tensor 'x' cannot be read: its layout is torch\.sparse_coo"),
        (torch.empty(3, device="meta"), "tensor 'x' cannot be read: it has no values, on the device meta"),
        (nn.LazyLinear(3).weight, "tensor 'x' cannot be read: .*uninitialized"),
    ):
        with pytest.raises(ValueError, match=message):
            compress({"x": tensor}, tmp_path / "n.skn")
    assert not (tmp_path / "n.skn").exists()
