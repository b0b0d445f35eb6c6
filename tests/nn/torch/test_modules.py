"""Modules are chosen by type, name and pattern."""

import pytest
import torch
from torch import nn

from sketches.nn.torch.modules import choose_modules


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        self.attention = nn.MultiheadAttention(4, 2)
        self.decoder = self.encoder[0]  # tied
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))


def names(modules):
    return list(choose_modules(Network(), modules))


def test_by_default_all_that_compute():
    assert names(None) == ["encoder.0", "encoder.1", "encoder.2", "attention", "head"]
    assert choose_modules(nn.Linear(1, 1)).keys() == {"model"}


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (nn.ReLU, ["encoder.1"]),
        ("encoder", ["encoder"]),
        ("encoder.?", ["encoder.0", "encoder.1", "encoder.2"]),
        ("decoder", ["encoder.0"]),  # its first name
        ("model", ["model"]),
        (["head", nn.ReLU, "enc*2"], ["encoder.1", "encoder.2", "head"]),
        (("attention", "attention"), ["attention"]),
        ((name for name in ("head", "encoder.1")), ["encoder.1", "head"]),  # in the order of registration
    ],
)
def test_by_type_name_and_pattern(modules, expected):
    assert names(modules) == expected


def test_patterns_do_not_mean_the_model_itself():
    assert "model" not in names("*")
    assert "model" in names(nn.Module)


def test_a_submodule_may_be_called_model():
    root = nn.Module()
    root.model = nn.Linear(1, 1)
    assert choose_modules(root, "model") == {"model": root.model}


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ("fc1", "name or pattern 'fc1' matches no module of Network"),
        (["head", "*.fc?"], r"name or pattern '\*\.fc\?' matches no"),
        (nn.Conv2d, "type <class 'torch.nn.modules.conv.Conv2d'> matches no module"),
    ],
)
def test_what_matches_nothing_is_named(modules, words):
    with pytest.raises(ValueError, match=words):
        names(modules)


@pytest.mark.parametrize("modules", [3, [3], int, [], nn.ReLU(), nn.Sequential(nn.ReLU())])
def test_other_choices_are_refused(modules):
    with pytest.raises(TypeError, match=r"modules: .* is neither a type of module nor a name or pattern"):
        names(modules)


def test_the_model_is_a_module():
    with pytest.raises(TypeError, match=r"model is tensor\(1\); a torch.nn.Module is accepted"):
        choose_modules(torch.tensor(1))
