"""Layers that are fitted anew to the units that stay: against least squares on all rows, and the whole model."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from nn.networks import network  # noqa: E402
from torch import nn  # noqa: E402

from sketches.nn import input_moments, shrink  # noqa: E402


def padded():
    """A convolution with padding, stride and dilation: rows are not where one would think."""
    return nn.Sequential(
        *(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3, padding=(2, 1), stride=2, dilation=(2, 1)), nn.Flatten()),
        nn.Linear(4 * 16, 3),
    ).eval()


def images(count=40, size=10, seed=1, channels=2):
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


class TestInputMoments:
    def test_of_a_convolution_they_are_those_of_its_patches(self):
        """The outputs' means and variances follow from them and the weights alone."""
        model, inputs = padded(), images()
        found = input_moments(model, inputs.split(7))
        assert set(found) == {"0", "2", "4"}
        for name in found:
            layer = model.get_submodule(name)
            outputs = []
            handle = layer.register_forward_hook(lambda *args, outputs=outputs: outputs.append(args[2]))
            with torch.no_grad():
                model(inputs)
            handle.remove()
            rows = outputs[0].movedim(1, -1).flatten(0, -2).double().numpy()
            weights = layer.weight.detach().flatten(1).double().numpy()
            assert found[name].samples == len(rows)
            np.testing.assert_allclose(
                weights @ found[name].mean + layer.bias.detach().numpy(), rows.mean(0), rtol=1e-4, atol=1e-5
            )
            np.testing.assert_allclose(
                weights @ found[name].covariance @ weights.T, np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-5
            )

    def test_the_model_stays_and_hooks_go(self):
        model = padded()
        state = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match="layer '0': inputs hold NaN"):
            input_moments(model, [(images() * torch.nan,)])
        assert list(input_moments(model, [(images(),)], layers=["4"])) == ["4"]
        assert not any(module._forward_pre_hooks for module in model.modules())
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())

    @pytest.mark.parametrize("name", ["9", "1", "3"])
    def test_layers_must_be_linear_or_convolutions(self, name):
        with pytest.raises(ValueError, match=f"layers has '{name}', which is no Linear layer or Conv2d"):
            input_moments(padded(), [], layers=[name])

    def test_of_groups_there_are_none(self):
        assert list(input_moments(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 2, 1)), [])) == ["1"]


class TestShrink:
    def test_what_stays_is_fitted_by_least_squares(self):
        """Of the convolution, in place: of all patches, those of kept channels tell what the layer gave."""
        model, inputs = padded(), images(400)
        moments = input_moments(model, [inputs], layers=["2"])
        kept = [0, 2, 3]
        shrunk = shrink(model, inputs[:1], units={"0": kept}, moments=moments)
        with torch.no_grad():
            before = model[:2](inputs)
            layer = model[2]
            options = layer.kernel_size, layer.dilation, layer.padding, layer.stride
            rows = nn.functional.unfold(before[:, kept], *options).mT.flatten(0, 1).double().numpy()
            wanted = layer(before).movedim(1, -1).flatten(0, -2).double().numpy()
            found = shrunk.module[2](shrunk.module[:2](inputs)).movedim(1, -1).flatten(0, -2).double().numpy()
            plain = shrink(model, inputs[:1], units={"0": kept}).module[:3](inputs)
        rows = np.column_stack([rows, np.ones(len(rows))])
        best = rows @ np.linalg.lstsq(rows, wanted, rcond=None)[0]
        least, with_ridge = ((wanted - best) ** 2).mean(), ((wanted - found) ** 2).mean()
        assert least <= with_ridge + 1e-9 <= 1.02 * least + 1e-9  # the ridge is 1 % of the variance
        assert ((wanted - plain.movedim(1, -1).flatten(0, -2).numpy()) ** 2).mean() > 1.2 * with_ridge

    def test_copies_go_first_and_nothing_is_lost(self):
        torch.manual_seed(2)
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
        with torch.no_grad():
            model[0].weight[:4], model[0].bias[:4] = model[0].weight[4:], model[0].bias[4:]
        inputs = torch.randn(500, 6)
        shrunk = shrink(model, inputs[:1], share=0.5, moments=input_moments(model, inputs.split(100)))
        assert sorted(unit % 4 for unit in shrunk.kept["0"].tolist()) == [0, 1, 2, 3]
        with torch.no_grad():
            expected, found = model(inputs), shrunk.module(inputs)
        assert (found - expected).norm() < 0.02 * (expected - expected.mean(0)).norm()  # the ridge's 1 %, about halved

    def test_outputs_are_closer_than_with_other_scores(self):
        model, inputs = network("LeNet-5")
        inputs = images(200, 28, channels=1)
        moments = input_moments(model, [inputs])
        fitted = shrink(model, inputs[:1], multiply_adds=0.5, moments=moments)
        assert fitted.multiply_adds[1] <= 0.5 * fitted.multiply_adds[0]
        plain = shrink(model, inputs[:1], multiply_adds=0.5)
        with torch.no_grad():
            wanted = model(inputs)
            near, far = ((each.module(inputs) - wanted).norm() for each in (fitted, plain))
        assert near < 0.5 * far

    def test_layers_without_moments_are_folded_or_left(self):
        model, inputs = network("grouped")
        moments = input_moments(model, [inputs], layers=["7"])
        shrunk = shrink(model, inputs, share=0.5, scores="magnitude", moments=moments)
        plain = shrink(model, inputs, share=0.5, scores="magnitude")
        assert torch.equal(shrunk.module[2].weight, plain.module[2].weight)
        assert not torch.allclose(shrunk.module[7].weight, plain.module[7].weight, rtol=1e-3)
        with pytest.raises(ValueError, match="moments lack '2'"):
            shrink(model, inputs, share=0.5, moments=moments)
        with pytest.raises(ValueError, match="scores are 'elimination', but moments are None"):
            shrink(model, inputs, share=0.5, scores="elimination")

    def test_another_models_moments_are_refused(self):
        other = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        moments = input_moments(other, [torch.randn(9, 4)])
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        with pytest.raises(ValueError, match=r"moments of '2' have 6 inputs; the layer takes in 8"):
            shrink(model, torch.zeros(1, 4), share=0.5, moments=moments)
