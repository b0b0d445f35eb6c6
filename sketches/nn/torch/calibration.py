"""Quantisation parameters for ``torch.ao.quantization`` from statistics, without a pass of its observers.

PyTorch's tools let an observer at each activation see data between `prepare` and `convert`. Statistics that were taken
anyway (`sketches.nn.watch`) know more: `calibrate` puts the ranges that follow from them into the prepared model, which
is then converted at once; another method or number of bits needs no other pass over the data.

PyTorch calls ``torch.ao.quantization`` deprecated in favour of torchao since 2.8; up to 2.13 it is there, and works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.ao.quantization.observer import FixedQParamsObserver, ObserverBase

from sketches.nn.statistics.calibration import CalibrationRange, calibration_range, rectified
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.quantiles import Quantiles

__all__ = ["calibrate", "fixed_observer"]

SYMMETRIC = (torch.per_tensor_symmetric, torch.per_channel_symmetric)
PICKING = frozenset(
    {
        *(
            "flatten",
            "reshape",
            "view",
            "permute",
            "transpose",
            "squeeze",
            "unsqueeze",
            "contiguous",
            "clone",
            "detach",
        ),
        *("max_pool1d", "max_pool2d", "max_pool3d"),
    }
)
INTEGERS = (torch.quint8, torch.qint8, torch.uint8, torch.int8)


def fixed_observer(found: CalibrationRange, *, dtype: torch.dtype = torch.quint8) -> Any:
    """Give what a ``QConfig`` takes as `activation`: a constructor of observers that answer a range chosen before.

    Parameters
    ----------
    found
        From `calibration_range`, of 8 bits or fewer.
    dtype
        ``torch.quint8`` (integers from 0) or ``torch.qint8`` (around 0).

    Raises
    ------
    ValueError
        For more bits or another dtype.
    """
    if dtype not in INTEGERS or found.bits > 8:
        accepted = ", ".join(map(str, INTEGERS))
        raise ValueError(f"dtype is {dtype} and bits is {found.bits}; {accepted} and at most 8 are accepted")
    signed = dtype in (torch.qint8, torch.int8)
    first = -(2 ** (found.bits - 1)) if signed else 0
    return FixedQParamsObserver.with_args(**_arguments(found, first, first + 2**found.bits - 1, dtype))


def calibrate(
    prepared: nn.Module,
    statistics: StreamingStatistics,
    method: str = "mse",
    *,
    share: float = 0.999,
    layers: Mapping[str, str] | None = None,
) -> None:
    """Give the activations of a prepared model the ranges that follow from statistics; ``convert`` may follow at once.

    Each observer of an integer activation is replaced by one that answers its range, for the integers it had. Weights
    keep their observers, which need no data, and so do activations whose range is fixed already (as a sigmoid's).

    An observer behind a module `fc1` takes the layer ``"fc1"``; one behind a fused module what its last part gave
    (``"fc1.1"``) or, if only ``"fc1"`` is known, that, rectified where the last part is a ReLU; one behind a flattening
    or a largest value of some what went in. An observer at an input of a graph takes ``"fc1:input"``, where fc1 uses
    it, or ``"model:input"``. Statistics of a convolution before its batch norm was folded into it are not those of the
    fused module: fuse, then watch, or name the right layer in `layers`.

    Parameters
    ----------
    prepared
        From ``torch.ao.quantization.prepare`` (its stubs are layers, too) or ``quantize_fx.prepare_fx``; changed in
        place.
    statistics
        Of the model's outputs, and of its first layer's inputs.
    method, share
        See `calibration_range`.
    layers
        Which layer an observer takes, by the name of the module or node before it, where the rules above do not fit.

    Raises
    ------
    ValueError
        If an observer has no layer in the statistics, or other than 2**bits integers; the model is unchanged then.
    """
    known, wanted = set(statistics.layers), dict(layers or {})
    found: dict[int, Any] = {}
    missing: dict[int, str] = {}
    places = list(_places(prepared))
    for observer, name, candidates, fused_relu in places:
        if id(observer) in found:  # of a tensor that was only reshaped
            continue
        names = [wanted[name]] if name in wanted else candidates
        layer = next((layer for layer in names if layer in known), None)
        if layer is None:
            missing[id(observer)] = name
            continue
        missing.pop(id(observer), None)
        values = statistics.summary(layer).values
        found[id(observer)] = _observer(observer, rectified(values) if fused_relu else values, name, method, share)
    if missing:
        raise ValueError(
            f"statistics have no layer for {', '.join(map(repr, sorted(missing.values())))}; known are "
            f"{', '.join(map(repr, statistics.layers)) or 'none yet'}; layers= may name one for each"
        )
    for module in prepared.modules():
        for attribute, child in module.named_children():
            if id(child) in found:
                setattr(module, attribute, found[id(child)])


def _places(prepared: nn.Module) -> Iterator[tuple[Any, str, list[str], bool]]:
    """Give each observer, the module or node before it, the layers it may take, and whether a ReLU was fused there."""
    modules = dict(prepared.named_modules())
    if isinstance(prepared, fx.GraphModule):
        for node in prepared.graph.nodes:
            observer = modules.get(str(node.target)) if node.op == "call_module" else None
            if not _replaceable(observer):
                continue
            before = _source(node.args[0], modules)
            if before.op == "placeholder":
                users = [str(user.target) for user in node.users if user.op == "call_module"]
                yield observer, before.name, [*(f"{user}:input" for user in users), "model:input"], False
            elif before.op == "call_module":
                yield observer, str(before.target), *_outputs(str(before.target), modules)
            else:
                yield observer, before.name, [], False
        return
    for name, module in modules.items():
        observer = getattr(module, "activation_post_process", None)
        if _replaceable(observer):
            yield observer, name, *_outputs(name, modules)


def _source(node: fx.Node, modules: Mapping[str, nn.Module]) -> fx.Node:
    """Give the node whose values a node only picks or puts into another shape."""
    while True:
        if node.op in ("call_method", "call_function"):
            passes = getattr(node.target, "__name__", node.target) in PICKING
        else:
            passes = node.op == "call_module" and isinstance(modules.get(str(node.target)), ObserverBase)
        if not passes or not isinstance(node.args[0], fx.Node):
            return node
        node = node.args[0]


def _replaceable(observer: Any) -> bool:
    return (
        isinstance(observer, ObserverBase)
        and not isinstance(observer, FixedQParamsObserver)
        and getattr(observer, "dtype", None) in INTEGERS
        and getattr(observer, "quant_max", None) is not None
    )


def _outputs(name: str, modules: Mapping[str, nn.Module]) -> tuple[list[str], bool]:
    """Give the layers that may hold a module's outputs, and whether its last part is a ReLU."""
    module = modules[name]
    if isinstance(module, nn.Sequential) and type(module) is not nn.Sequential:  # fused; an observer may be in it, too
        last, part = max((int(key), part) for key, part in module.named_children() if key.isdigit())
        return [f"{name}.{last}", name], isinstance(part, nn.ReLU)
    return [name], False


def _observer(observer: Any, values: Quantiles, name: str, method: str, share: float) -> ObserverBase:
    first, last = int(observer.quant_min), int(observer.quant_max)
    symmetric = observer.qscheme in SYMMETRIC
    bits = (last - first).bit_length()
    if last - first + 1 != 2**bits and not (symmetric and last - first + 2 == 2**bits):
        raise ValueError(f"the observer of {name!r} has the integers {first} to {last}; 2**bits of them are accepted")
    try:
        found = calibration_range(values, method, bits=bits, symmetric=symmetric, share=share)
    except ValueError as error:
        raise ValueError(f"layer of {name!r}: {error}") from error
    made: Any = FixedQParamsObserver
    replacement: ObserverBase = made(**_arguments(found, first, last, observer.dtype))
    return replacement


def _arguments(found: CalibrationRange, first: int, last: int, dtype: torch.dtype) -> dict[str, Any]:
    """Give an observer's arguments for the integers `first` to `last`."""
    zero_point = (first + last + 1) // 2 if found.symmetric else found.zero_point + first
    return {
        "scale": found.scale,
        "zero_point": zero_point,
        "dtype": dtype,
        "qscheme": torch.per_tensor_symmetric if found.symmetric else torch.per_tensor_affine,
        "quant_min": first,
        "quant_max": last,
    }
