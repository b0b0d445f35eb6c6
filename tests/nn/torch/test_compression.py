"""PyTorch models are compressed, and loaded from compressed files."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from sketches.nn import CompressedFile, Pruner, compress, load_compressed_, share_, shared_weights, unshare_


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


def test_a_model_of_another_shape_stays(tmp_path):
    compress(network(), tmp_path / "m.skn")
    other = nn.Linear(3, 3)
    before = other.weight.clone()
    with pytest.raises(RuntimeError, match=r"3\.weight"):
        load_compressed_(other, tmp_path / "m.skn")
    assert torch.equal(other.weight, before)
