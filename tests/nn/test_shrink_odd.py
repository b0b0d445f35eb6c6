"""Models written in ways that are easily followed wrongly: the shrunk one must compute what the zeroed one does."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sketches.nn import couple, remove_units, shrink  # noqa: E402

ROWS = torch.linspace(-2, 2, 18).reshape(3, 6)
IMAGES = torch.linspace(-1, 1, 72).sin().reshape(2, 1, 6, 6)


class Written(nn.Module):
    """A model whose `forward` is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.written = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, inputs):
        return self.written(self, inputs)


def two(forward, hidden=8, **layers):
    torch.manual_seed(1)
    return Written(forward, a=nn.Linear(6, hidden), b=nn.Linear(hidden, 3), **layers).eval()


def without(model, inputs, **options):
    """Shrink a model; compare it with one whose layers take in zeros instead of what went, and give what was kept."""
    coupling, shrunk, zeroed = couple(model, inputs), shrink(model, inputs, **options), copy.deepcopy(model)
    keep = np.ones(len(coupling.groups), bool)
    for layer, units in coupling.layers.items():
        keep[np.delete(units, shrunk.kept[layer])] = False
    with torch.no_grad():
        for place in coupling.places:
            if place.side == "in":
                layer = zeroed.get_submodule(place.layer)
                gone = ~keep[place.units].reshape(getattr(layer, "groups", 1), -1)[0]
                layer.weight[:, torch.from_numpy(gone)] = 0
        torch.testing.assert_close(shrunk.module(inputs), zeroed(inputs), atol=1e-5, rtol=1e-5)
    return {layer: len(numbers) for layer, numbers in shrunk.kept.items()}, shrunk.frozen


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(m.a(x) / m.a(x).shape[1]),
        lambda m, x: m.b(m.a(x) * m.a(x).size(-1) ** -0.5),
        lambda m, x: m.b(m.a(x) / m.a(x).numel()),
        lambda m, x: m.b(m.a(x) / (m.a(x).shape[1:][0] + 1)),
        lambda m, x: m.b(m.a(x)) * m.a(x).size()[1],
    ],
)
def test_arithmetic_with_the_number_of_units_freezes_them(forward):
    kept, frozen = without(two(forward), ROWS, share=0.5)
    assert kept == {}
    assert "their number" in frozen["a"]


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(m.a(x).view(x.shape[0], m.a(x).shape[1])),
        lambda m, x: m.b(m.a(x).view(m.a(x).size())),
        lambda m, x: m.b(m.a(x) / m.a(x).shape[0]),
        lambda m, x: m.b(m.a(x) / len(ROWS) * m.a(x).dim()),
    ],
)
def test_other_sizes_and_reshapes_to_it_do_not(forward):
    assert without(two(forward), ROWS, share=0.5)[0] == {"a": 4}


def squeeze_and_excite(m, x):
    h = m.a(x)
    batch, channels, _, _ = h.shape
    gates = m.down(h.mean((2, 3)).view(batch, channels)).relu()
    return m.b(h * m.up(gates).view(batch, channels, 1, 1).sigmoid())


def test_a_reshape_to_the_number_of_other_units_ties_them():
    torch.manual_seed(1)
    model = Written(
        squeeze_and_excite, a=nn.Conv2d(1, 8, 3), b=nn.Conv2d(8, 2, 1), down=nn.Linear(8, 4), up=nn.Linear(4, 8)
    )
    assert without(model, IMAGES, share=0.5)[0] == {"a": 4, "down": 2, "up": 4}


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.b(m.a(x) / m.a(x).std(False)),  # not the axis 0
        lambda m, x: m.b(torch.cat(m.a(x).chunk(2, 1), 1)),
        lambda m, x: m.b(torch.clamp(m.a(x), max=m.most)),
    ],
)
def test_what_is_not_known_freezes(forward):
    assert without(two(forward, most=nn.Parameter(torch.full((8,), 0.3))), ROWS, share=0.5)[0] == {}


def moved_in_place(m, x):
    h = m.a(x)
    h.transpose_(0, 1)
    return m.across(h)


def test_an_operand_that_is_moved_in_place():
    assert without(two(moved_in_place, 4, across=nn.Linear(3, 5)), ROWS, share=0.5)[0] == {}


@pytest.mark.parametrize("affine", [False, True])
def test_instance_normalisation_of_a_single_sample_mixes_the_last_axis(affine):
    model = two(lambda m, x: m.b(m.n(m.a(x))), 3, n=nn.InstanceNorm1d(3, affine=affine))
    assert without(model, ROWS, share=0.5)[0] == {}


@pytest.mark.parametrize("options", [{"share": 0.5}, {"multiply_adds": 0.6}])
def test_every_layer_keeps_a_unit(options):
    layers = {"low": nn.Linear(6, 4), "high": nn.Linear(6, 4)}
    model = two(lambda m, x: m.b(torch.cat([m.low(x), m.high(x)], 1) + m.a(x)), **layers)
    with torch.no_grad():
        model.low.weight *= 1e-3
        model.a.weight[:4] *= 1e-3
    kept, _ = without(model, ROWS, **options)
    assert kept["low"] == 1
    assert kept["a"] == kept["low"] + kept["high"]


@pytest.mark.parametrize(("groups", "outputs"), [(2, 2), (2, 8)])
def test_one_channel_of_each_group_is_left(groups, outputs):
    torch.manual_seed(1)
    middle = nn.Conv2d(outputs // 2 if outputs > 2 else 2, outputs, 3, groups=groups)
    model = nn.Sequential(nn.Conv2d(1, middle.in_channels, 3, padding=1), middle, nn.ReLU(), nn.Conv2d(outputs, 3, 1))
    kept, _ = without(model, IMAGES, share=0.5)
    assert kept["0"] == middle.in_channels // 2


def test_a_depthwise_convolution_on_units_and_on_the_inputs():
    torch.manual_seed(1)
    layers = {"c": nn.Conv2d(4, 4, 1), "d": nn.Conv2d(4, 4, 3, groups=4), "e": nn.Conv2d(4, 2, 1)}
    model = Written(lambda m, x: m.e(m.d(m.c(x))) + m.d(x).mean(), **layers)
    assert without(model, IMAGES.expand(2, 4, 6, 6), share=0.5)[0] == {}


def test_constants_do_not_stay_on_the_model():
    model = two(lambda m, x: m.b(m.a(x) * torch.tensor(2.0)))
    before = set(vars(model))
    couple(model, ROWS)
    assert set(vars(model)) == before
    assert set(vars(shrink(model, ROWS, share=0.5).module)) == before


@pytest.mark.parametrize("ignore", ["0.linear1", "0.linear2", "0"])
def test_ignored_parts_of_a_transformer_layer(ignore):
    model = nn.Sequential(nn.TransformerEncoderLayer(6, 2, 16, batch_first=True), nn.Linear(6, 2))
    assert shrink(model, ROWS[None], share=0.5).kept == {"0.linear1": pytest.approx(np.arange(8), abs=16)}
    assert shrink(model, ROWS[None], share=0.5, ignore=ignore).kept == {}


def test_a_model_that_is_not_as_it_was_coupled_stays():
    model = two(lambda m, x: m.b(m.a(x)))
    coupling = couple(model, ROWS)
    keep = np.ones(len(coupling.groups), bool)
    keep[coupling.layers["a"][:2]] = False
    remove_units(model, coupling, keep)
    with pytest.raises(ValueError, match="layer 'a' has 6 units"):
        remove_units(model, coupling, keep)
    assert (model.a.out_features, model.b.in_features) == (6, 6)
