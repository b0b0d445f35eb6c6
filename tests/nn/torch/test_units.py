"""Each module's tensors have their units along the right axis, and saturate at the right values."""

import numpy as np
import pytest
import torch
from torch import nn

from sketches.nn.torch.units import arranged, guides, saturation_limits

CONV = (1, 8)  # guides: 8 channels, or 8 at the last axis
LINEAR = (-1, 8)


class LayerNorm2d(nn.LayerNorm):
    """As some libraries have it: of channels first."""


@pytest.mark.parametrize(
    ("module", "guide", "shape", "expected", "axis"),
    [
        (nn.Conv1d(3, 8, 1), None, (2, 8, 5), (2, 8, 5), 1),
        (nn.Conv2d(3, 8, 1), None, (2, 8, 5, 4), (2, 8, 5, 4), 1),
        (nn.ConvTranspose3d(3, 8, 1), None, (2, 8, 5, 4, 3), (2, 8, 5, 4, 3), 1),
        (nn.Conv2d(3, 8, 1), None, (8, 5, 4), (1, 8, 5, 4), 1),  # without a batch
        (nn.AdaptiveAvgPool1d(2), None, (2, 8, 2), (2, 8, 2), 1),
        (nn.BatchNorm1d(8), None, (2, 8), (2, 8), -1),
        (nn.BatchNorm1d(8), None, (2, 8, 5), (2, 8, 5), 1),
        (nn.GroupNorm(2, 8), None, (2, 8, 5), (2, 8, 5), 1),
        (LayerNorm2d(8), None, (2, 8, 5, 4), (2, 8, 5, 4), 1),
        (nn.Linear(3, 8), None, (2, 5, 4, 8), (2, 5, 4, 8), -1),
        (nn.Linear(3, 8), None, (8,), (1, 8), -1),
        (nn.LayerNorm(8), None, (2, 5, 8), (2, 5, 8), -1),
        (nn.Embedding(3, 8), None, (2, 5, 8), (2, 5, 8), -1),
        (nn.LSTM(3, 8), None, (5, 2, 8), (5, 2, 8), -1),
        (nn.ReLU(), CONV, (2, 8, 5), (2, 8, 5), 1),
        (nn.ReLU(), CONV, (2, 8), (2, 8), -1),
        (nn.GELU(), LINEAR, (2, 5, 4, 8), (2, 5, 4, 8), -1),
        (nn.GELU(), LINEAR, (8,), (1, 8), -1),
        (nn.Dropout(), LINEAR, (2, 3, 5, 5), (2, 3, 5, 5), 1),  # attention: units are heads
        (nn.ReLU(), CONV, (2, 7, 5), (2, 7, 5), -1),
        (nn.ReLU(), None, (2, 8, 5, 4), (2, 8, 5, 4), 1),
        (nn.CosineSimilarity(), None, (6,), (6, 1), -1),
        (nn.MSELoss(), None, (), (1, 1), -1),
    ],
)
def test_units_are_where_the_module_has_them(module, guide, shape, expected, axis):
    tensor, found = arranged(module, guide, torch.zeros(shape))
    assert (tuple(tensor.shape), found) == (expected, axis)


def test_guides_are_the_last_modules_before_that_say_their_units():
    parts = nn.Sequential(
        nn.ReLU(), nn.Conv2d(3, 8, 1), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(9, 5), nn.Tanh()
    )
    found = guides(parts)
    assert [found[part] for part in parts] == [None, None, (1, 8), (1, 8), (1, 8), (1, 8), (-1, 5)]
    others = nn.ModuleList([nn.LayerNorm((4, 6)), nn.BatchNorm1d(3), nn.Embedding(9, 7), nn.GroupNorm(2, 4), nn.ReLU()])
    found = guides(others)
    assert [found[part] for part in others] == [None, (-1, 6), (1, 3), (-1, 7), (1, 4)]


@pytest.mark.parametrize(
    ("module", "limits"),
    [
        (nn.Sigmoid(), (0.05, 0.95)),
        (nn.Tanh(), (-0.95, 0.95)),
        (nn.Hardsigmoid(), (0, 1)),
        (nn.ReLU6(), (0, 6)),
        (nn.Hardtanh(), (-1, 1)),
        (nn.Hardswish(), None),
        (nn.ReLU(), None),
        (nn.Linear(1, 1), None),
    ],
)
def test_limits_follow_the_function(module, limits):
    assert saturation_limits(module) == limits


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ends", [(-0.3, 0.7), (-0.7, 0.3), (-6e4, 6e4)])
def test_rounded_ends_are_saturated(dtype, ends):
    module = nn.Hardtanh(*ends)
    low, high = saturation_limits(module)
    extremes = module(torch.tensor([-torch.inf, torch.inf], dtype=dtype)).double().numpy()
    assert extremes[0] <= low
    assert extremes[1] >= high
    assert np.allclose([low, high], ends, rtol=2**-8, atol=0)  # bfloat16 rounds by 2^-9, and float16 by less
