"""Which axis of a tensor is that of the units, and between which values a module's function does not saturate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketches.nn.torch.tensors import DTYPES

__all__ = ["arranged", "guides", "saturation_limits"]

Guide = tuple[int, int]  # the axis of the units that a module gives, and how many there are

LAST: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Bilinear,
    nn.LayerNorm,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
    *((nn.RMSNorm,) if hasattr(nn, "RMSNorm") else ()),  # torch >= 2.4
)
FIRST = (_BatchNorm, nn.GroupNorm)


def _places(module: nn.Module) -> int | None:
    """Give how many dimensions of places a module's tensors have, by the name of its type or a base: two for Conv2d."""
    return next((places for base in type(module).__mro__ if (places := _dimensions(base.__name__))), None)


@cache
def _dimensions(name: str) -> int | None:
    return int(name[-2]) if name[-2:].lower() in ("1d", "2d", "3d") else None


def arranged(module: nn.Module, guide: Guide | None, tensor: Tensor) -> tuple[Tensor, int]:
    """Give what `StreamingStatistics.observe` takes: a tensor of two dimensions or more, and the axis of its units.

    That is axis 1 for (batch, channels, …places), or the last. Without a batch, one of a single sample is made.

    1. Modules named …1d, …2d, …3d, or derived from such, have channels before one, two or three dimensions of places;
       batch and group normalisation have them at axis 1.
    2. Linear and embedding modules, LayerNorm, RMSNorm, recurrent modules and attention: the last axis.
    3. Others follow their guide, the last module registered before them that has one of these rules, if the tensor has
       as many units along that axis as the guide gives;
    4. else the rank: axis 1 from four dimensions on, the last of two or three, one unit of one or none.
    """
    places = None if isinstance(module, FIRST) else _places(module)
    if places is not None and tensor.ndim == places + 1:
        return tensor.unsqueeze(0), 1
    if (places is not None and tensor.ndim == places + 2) or (isinstance(module, FIRST) and tensor.ndim >= 2):
        return _channels(tensor)
    if places is None and isinstance(module, LAST) and tensor.ndim:
        return (tensor if tensor.ndim > 1 else tensor.unsqueeze(0)), -1
    if guide is not None and tensor.ndim:
        axis, units = guide
        if axis == -1 and tensor.shape[-1] == units:
            return (tensor if tensor.ndim > 1 else tensor.unsqueeze(0)), -1
        if axis == 1 and tensor.ndim > 1 and tensor.shape[1] == units:
            return _channels(tensor)
    if tensor.ndim >= 4:
        return tensor, 1
    return (tensor if tensor.ndim > 1 else tensor.reshape(-1, 1)), -1


def _channels(tensor: Tensor) -> tuple[Tensor, int]:
    return tensor, 1 if tensor.ndim > 2 else -1


def guides(model: nn.Module) -> dict[nn.Module, Guide | None]:
    """Give for each module the axis and number of the units of the last one before it that says them."""
    found: dict[nn.Module, Guide | None] = {}
    guide = None
    for module in model.modules():
        found[module] = guide
        guide = _gives(module) or guide
    return found


def _gives(module: nn.Module) -> Guide | None:
    for name in ("out_channels", "num_features", "num_channels"):
        if isinstance(getattr(module, name, None), int) and (_places(module) or isinstance(module, FIRST)):
            return 1, int(getattr(module, name))
    if isinstance(module, LAST):
        for name in ("out_features", "embedding_dim", "embed_dim", "normalized_shape"):
            size = getattr(module, name, None)
            if size is not None:
                return -1, int(size[-1] if isinstance(size, tuple) else size)
    return None


def saturation_limits(module: nn.Module) -> tuple[float, float] | None:
    """Give the outputs between which a module's function does not saturate; None for one without such.

    0.05 and 0.95 of a sigmoid, -0.95 and 0.95 of tanh, and the ends of Hardtanh, ReLU6 and Hardsigmoid. (Hardswish
    has an end on one side only, which is also its value at 0.)
    """
    if isinstance(module, nn.Sigmoid):
        return 0.05, 0.95
    if isinstance(module, nn.Tanh):
        return -0.95, 0.95
    if isinstance(module, nn.Hardsigmoid):
        return 0.0, 1.0
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return _inward(module.min_val, max), _inward(module.max_val, min)
    return None


@cache
def _inward(end: float, innermost: Callable[[Iterable[float]], float]) -> float:
    """Give an end as the dtype has it that puts it furthest inside, since modules round their ends to their dtype."""
    return innermost(float(torch.tensor(end, dtype=dtype)) for dtype in DTYPES)
