"""Which rows and columns of a model's weights belong to one unit? Found by following units through its graph."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from sketches.nn.pruning.unit_choice import Coupling
from sketches.nn.torch.structured.coupling_rules import CONVOLUTIONS
from sketches.nn.torch.structured.tracing import trace
from sketches.nn.torch.structured.walk import Walk

__all__ = ["couple", "depthwise", "follow"]


def couple(model: nn.Module, example_inputs: Any, *, ignore: Collection[str] = ()) -> Coupling:
    """Find the units of a model, and all places of each.

    Supported are Linear, Conv1d to Conv3d (grouped and depthwise, too), Embedding; batch and instance normalisation,
    PReLU; elementwise functions, pooling, padding; sums and products of two tensors; cat, flatten, reshape, permute,
    means and other reductions; the two linear layers within a TransformerEncoderLayer or TransformerDecoderLayer.
    Whatever else touches the axis of units freezes them: normalisation across units (LayerNorm, GroupNorm), attention,
    softmax, slices, a reshape with the number of units as a literal, arithmetic with that number (``x.shape[1]``). So
    do the model's inputs and outputs, parameters used outside of their layer or by two layers, and layers whose weight
    is computed (parametrisations). What `forward` does in training mode alone is not seen, nor are numbers that it
    reads from a layer (``self.fc.out_features``) but computes with.

    Parameters
    ----------
    model
        A module that `torch.fx` can trace, apart from those in `ignore`. It is run once, and stays as it is.
    example_inputs
        A tensor, a tuple of positional inputs or a dict of inputs by name.
    ignore
        Names of modules that are left as they are and not looked into; they freeze the width of what they take in.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, if the inputs do not fit, or if a module cannot be traced.
    """
    return follow(model, example_inputs, ignore, depthwise(model))


def depthwise(model: nn.Module) -> frozenset[str]:
    """Name the depthwise convolutions of a model: once one channel is left, nothing in the layer says so."""
    layers = [(name, module) for name, module in model.named_modules() if type(module) in CONVOLUTIONS]
    return frozenset(name for name, layer in layers if 1 < layer.groups == layer.in_channels)


def follow(model: nn.Module, example_inputs: Any, ignore: Collection[str], depthwise: Collection[str]) -> Coupling:
    """Do what `couple` does, where depthwise convolutions are known."""
    modules = dict(model.named_modules())
    names = frozenset((ignore,) if isinstance(ignore, str) else ignore)
    for name in names - modules.keys():
        raise ValueError(f"ignore has {name!r}, which is no module of the model")
    walk = Walk(modules, names, depthwise)
    for node in trace(model, example_inputs, names).nodes:
        walk.step(node)
    walk.freeze_opaque()
    return walk.ties.coupling(walk.multiply_adds)
