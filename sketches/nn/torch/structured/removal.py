"""Units are removed from a model's layers: rows and columns of weights go, and the numbers of features follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sketches.nn.pruning.unit_choice import Coupling
from sketches.nn.torch.structured.coupling_rules import CHANNELWISE_MODULES

__all__ = ["remove_units"]

Mask = npt.NDArray[np.bool_]


def remove_units(model: nn.Module, coupling: Coupling, keep: npt.ArrayLike) -> None:
    """Remove units from a model, in place; optimisers made before do not know the new, smaller parameters.

    Parameters
    ----------
    model
        The model that was coupled.
    coupling
        What `couple` said of it.
    keep
        The units to keep, a mask of shape (units,); `choose_units` makes one.

    Raises
    ------
    ValueError
        If the mask has another shape, removes what may not go, or all units of a layer, or if the model is not as it
        was coupled. The model is as before then.
    """
    mask = np.asarray(keep)
    if mask.shape != coupling.groups.shape or mask.dtype != np.bool_:
        raise ValueError(
            f"keep has shape {mask.shape} and dtype {mask.dtype}; {len(coupling.groups)} bools are accepted"
        )
    for place in coupling.places:
        kept = mask[place.units]
        width = _width(model.get_submodule(place.layer), place.side)
        if width != len(kept):
            raise ValueError(f"layer {place.layer!r} has {width} units ({place.side}), not {len(kept)} as was coupled")
        if not kept.any():
            raise ValueError(f"keep removes all units of layer {place.layer!r}; one at least has to stay")
        if not coupling.removable[place.units[~kept]].all():
            reason = coupling.frozen.get(place.layer, "another layer needs them")
            raise ValueError(f"units of layer {place.layer!r} may not go: {reason}")
    for place in coupling.places:
        if not mask[place.units].all():
            _narrow(model.get_submodule(place.layer), place.side, mask[place.units])


def _width(layer: Any, side: str) -> int:
    """Say how many positions there are along one axis of a layer's weights."""
    if isinstance(layer, nn.Linear | nn.Embedding):
        columns = side == "in" or isinstance(layer, nn.Embedding)
        return int(layer.weight.shape[columns])
    if type(layer) in CHANNELWISE_MODULES:
        return int(getattr(layer, CHANNELWISE_MODULES[type(layer)]))
    return int(layer.in_channels if side == "in" else layer.out_channels)


def _narrow(layer: Any, side: str, kept: Mask) -> None:
    """Keep some of the positions along one axis of a layer's weights."""
    count = int(kept.sum())
    if isinstance(layer, nn.Embedding):
        _select(layer, ("weight",), 1, kept)
        layer.embedding_dim = count
    elif isinstance(layer, nn.Linear) and side == "in":
        _select(layer, ("weight",), 1, kept)
        layer.in_features = count
    elif isinstance(layer, nn.Linear):
        _select(layer, ("weight", "bias"), 0, kept)
        layer.out_features = count
    elif type(layer) in CHANNELWISE_MODULES:
        _select(layer, ("weight", "bias", "running_mean", "running_var"), 0, kept)
        setattr(layer, CHANNELWISE_MODULES[type(layer)], count)
    elif side == "in":
        _select(layer, ("weight",), 1, kept.reshape(layer.groups, -1)[0])
        layer.in_channels = count
    else:
        _select(layer, ("weight", "bias"), 0, kept)
        if side == "along":  # depthwise: as many groups as inputs
            layer.in_channels = layer.groups = count * layer.in_channels // layer.out_channels
        layer.out_channels = count


def _select(layer: nn.Module, names: tuple[str, ...], axis: int, kept: Mask) -> None:
    for name in names:
        old: Tensor | None = getattr(layer, name, None)
        if old is None:
            continue
        numbers = torch.from_numpy(np.flatnonzero(kept)).to(old.device)
        new = old.detach().index_select(axis, numbers)
        setattr(layer, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
