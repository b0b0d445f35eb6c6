"""Ranges from statistics in the tools of torch.ao.quantization."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao import quantization
from torch.ao.quantization import quantize_fx
from torch.ao.quantization.observer import FixedQParamsObserver, HistogramObserver

from sketches import Quantiles
from sketches.nn import CalibrationRange, StreamingStatistics, calibrate, calibration_range, fixed_observer
from sketches.nn.statistics.calibration import rectified

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Please use quant_min and quant_max:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*TypedStorage is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.skipif("x86" not in torch.backends.quantized.supported_engines, reason="no quantised kernels here"),
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = quantization.QuantStub()
        self.conv = nn.Conv2d(1, 4, 3)
        self.act = nn.ReLU()
        self.fc1 = nn.Linear(144, 32)
        self.act1 = nn.ReLU()
        self.fc2 = nn.Linear(32, 5)
        self.dequant = quantization.DeQuantStub()

    def forward(self, x):
        x = self.act(self.conv(self.quant(x))).flatten(1)
        return self.dequant(self.fc2(self.act1(self.fc1(x))))


def made():
    torch.manual_seed(1)
    torch.backends.quantized.engine = "x86"
    return Net().eval(), torch.randn(400, 1, 8, 8), torch.randn(200, 1, 8, 8)


def watched(model, data):
    """Statistics of what every module without children gives, and the first convolution takes."""
    statistics, hooks = StreamingStatistics(), []

    def units_last(x):
        return x.detach().movedim(1, -1).reshape(-1, x.shape[1])

    for name, module in model.named_modules():
        if not list(module.children()):
            hooks.append(
                module.register_forward_hook(
                    lambda module, inputs, output, name=name: statistics.observe(name, units_last(output))
                )
            )
    hooks.append(
        model.conv.register_forward_pre_hook(
            lambda module, inputs: statistics.observe("conv:input", units_last(inputs[0]))
        )
    )
    with torch.no_grad():
        for batch in data.split(100):
            model(batch)
    for hook in hooks:
        hook.remove()
    return statistics


def observers(model):
    return [module for module in model.modules() if isinstance(module, HistogramObserver) and module.quant_min == 0]


def close(model, quantised, data):
    """The outputs differ by less than 5 % of their own standard deviation, in root mean square.

    Four layers are rounded to 7 or 8 bits, each step about 1 / 128 of a range of some 8 standard deviations: rounding
    errors of 8 / 128 / √12 = 1.8 % of one, added four times in squares.
    """
    with torch.no_grad():
        expected, found = model(data), quantised(data)
    return bool((found - expected).square().mean().sqrt() < 0.05 * expected.std())


def test_eager_mode():
    model, data, test = made()
    fused = quantization.fuse_modules(model, [["conv", "act"], ["fc1", "act1"]])
    statistics = watched_fused(fused, data)
    fused.qconfig = quantization.get_default_qconfig("x86")
    prepared = quantization.prepare(fused)
    assert len(observers(prepared)) == 4
    calibrate(prepared, statistics)
    assert not observers(prepared)
    quantised = quantization.convert(prepared)
    assert isinstance(quantised.fc1, torch.ao.nn.intrinsic.quantized.LinearReLU)
    assert close(model, quantised, test)


def watched_fused(model, data):
    statistics = StreamingStatistics()
    layers = {"quant": model.quant, "conv.1": model.conv, "fc1.1": model.fc1, "fc2": model.fc2}
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: statistics.observe(
                name, output.detach().movedim(1, -1).reshape(-1, output.shape[1])
            )
        )
        for name, module in layers.items()
    ]
    with torch.no_grad():
        for batch in data.split(100):
            model(batch)
    for hook in hooks:
        hook.remove()
    return statistics


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_graph_mode(method):
    model, data, test = made()
    statistics = watched(model, data)
    mapping = quantization.get_default_qconfig_mapping("x86")
    prepared = quantize_fx.prepare_fx(model, mapping, (data[:2],))
    assert observers(prepared)
    calibrate(prepared, statistics, method, share=0.9999)
    assert not observers(prepared)
    converted = quantize_fx.convert_fx(prepared)
    assert close(model, converted, test)
    # The range of a fused ReLU is that of the rectified values.
    expected = calibration_range(statistics.summary("act1").values, method, bits=7, share=0.9999)
    assert converted.fc1.scale == pytest.approx(expected.scale, rel=1e-6)
    assert converted.fc1.zero_point == 0


def test_the_check_can_fail():
    model, data, test = made()
    statistics = watched(model, data * 0.1)  # other data: ranges are far too narrow
    prepared = quantize_fx.prepare_fx(model, quantization.get_default_qconfig_mapping("x86"), (data[:2],))
    calibrate(prepared, statistics)
    assert not close(model, quantize_fx.convert_fx(prepared), test)


def test_a_layer_that_is_missing_is_named():
    model, data, _ = made()
    statistics = watched(model, data)
    known = StreamingStatistics()
    known.observe("conv", np.ones((3, 4)))
    known.observe("empty", np.full((3, 4), np.nan))
    prepared = quantize_fx.prepare_fx(model, quantization.get_default_qconfig_mapping("x86"), (data[:2],))
    before = len(observers(prepared))
    with pytest.raises(ValueError, match="statistics have no layer for 'fc1', 'fc2', 'x'; known are 'conv', 'empty'"):
        calibrate(prepared, known)
    with pytest.raises(ValueError, match="layer of 'fc2': the sketch holds no finite numbers"):
        calibrate(prepared, known, layers={"fc1": "conv", "fc2": "empty", "x": "conv"})
    assert len(observers(prepared)) == before
    calibrate(prepared, statistics, layers={"x": "quant"})
    assert not observers(prepared)


@pytest.mark.parametrize("dtype", [torch.quint8, torch.qint8])
@pytest.mark.parametrize("symmetric", [False, True])
def test_fixed_observers_round_as_their_range(dtype, symmetric):
    found = CalibrationRange.between(-1.5, 4.0, symmetric=symmetric)
    observer = fixed_observer(found, dtype=dtype)()
    assert isinstance(observer, FixedQParamsObserver)
    scale, zero_point = observer.calculate_qparams()
    x = torch.linspace(-1.49, 3.99, 1001)
    rounded = torch.fake_quantize_per_tensor_affine(
        x, float(scale), int(zero_point), observer.quant_min, observer.quant_max
    )
    # The scale is a float32 there; a number between two levels may go to the other one.
    apart = np.abs(rounded.numpy() - found.fake_quantize(x.numpy()))
    assert (apart < 1e-5).mean() > 0.99
    assert apart.max() <= found.scale * 1.001
    with pytest.raises(ValueError, match=r"dtype is torch.float32 and bits is 8"):
        fixed_observer(found, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"bits is 9"):
        fixed_observer(CalibrationRange.between(0, 1, bits=9))


@pytest.mark.parametrize("name", ["normal", "heavy", "heavier", "rectified"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_squared_error_beside_the_histogram_observer(name, symmetric):
    """Ours is at most 2 % worse; its integers are -128 … 127, ours -127 … 127, which costs up to 1 / 127 of a step."""
    random = np.random.default_rng(5)
    numbers = {
        "normal": random.normal(size=100_000),
        "heavy": random.standard_t(3, size=100_000),
        "heavier": random.standard_t(2, size=100_000),
        "rectified": np.maximum(random.normal(-0.5, 1, 100_000), 0),
    }[name].astype(np.float32)
    values = Quantiles()
    values.update(numbers)
    kind = (torch.qint8, torch.per_tensor_symmetric) if symmetric else (torch.quint8, torch.per_tensor_affine)
    observer = HistogramObserver(dtype=kind[0], qscheme=kind[1])
    for batch in np.array_split(numbers, 10):
        observer(torch.from_numpy(batch))
    scale, zero_point = (float(part) for part in observer.calculate_qparams())
    steps = np.clip(np.round(numbers / scale) + zero_point, observer.quant_min, observer.quant_max)
    theirs = np.mean((scale * (steps - zero_point) - numbers) ** 2)
    ours = np.mean((calibration_range(values, symmetric=symmetric).fake_quantize(numbers) - numbers) ** 2)
    assert ours <= 1.02 * theirs


def test_rectified():
    random = np.random.default_rng(6)
    for numbers in (random.normal(size=500), [-1.0, -2.0], [3.0, 4.0], [0.0], [], [-np.inf, np.inf, np.nan]):
        values, expected = Quantiles(), Quantiles()
        values.update(np.array(numbers))
        expected.update(np.maximum(np.array(numbers), 0))
        assert rectified(values) == expected
