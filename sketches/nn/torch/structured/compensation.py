"""Layers make up for units that they will not take in any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sketches.nn.pruning.reconstruction import InputMoments
from sketches.nn.pruning.scores import compensated_bias
from sketches.nn.pruning.unit_choice import Coupling
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.torch.structured.input_moments import checked_moments, refit_layer
from sketches.nn.torch.structured.scoring import summary_of_inputs
from sketches.nn.torch.tensors import numbers

__all__ = ["compensate", "merge_duplicates"]

Mask = npt.NDArray[np.bool_]


def compensate(
    model: nn.Module,
    coupling: Coupling,
    keep: Mask,
    statistics: StreamingStatistics | None,
    moments: Mapping[str, InputMoments] | None,
) -> None:
    """Fit layers of known moments anew to what they will take in; of others, add the means of what goes to biases."""
    for place in coupling.places:
        layer: Any = model.get_submodule(place.layer)
        kept = keep[place.units]
        if place.side != "in" or kept.all():
            continue
        known = None if moments is None else checked_moments(place.layer, layer, moments)
        if known is not None:
            refit_layer(layer, kept, known)
            continue
        summary = None if statistics is None else summary_of_inputs(statistics, place)
        if summary is not None and layer.bias is not None:
            weights, groups = numbers(layer.weight), getattr(layer, "groups", 1)
            mask = kept.reshape(groups, 1, -1, *[1] * (weights.ndim - 2))
            mask = np.broadcast_to(mask, (groups, len(weights) // groups, *weights.shape[1:])).reshape(weights.shape)
            more = compensated_bias(None, weights, mask, np.nan_to_num(summary.mean), groups=groups)
            with torch.no_grad():
                layer.bias.add_(torch.from_numpy(more).to(layer.bias))


def merge_duplicates(model: nn.Module, coupling: Coupling) -> Mask:
    """Let the first of units with equal weights stand for all of them; give the mask of the units to keep."""
    weights: dict[int, list[bytes]] = {unit: [] for unit in np.flatnonzero(coupling.removable).tolist()}
    for number, place in enumerate(coupling.places):
        if place.side != "in":
            rows = _rows(model.get_submodule(place.layer))
            equal = _first_equal(rows)
            for position, unit in enumerate(place.units.tolist()):
                if unit in weights:
                    weights[unit].append(b"%d %d" % (number, equal[position]))
    stands: dict[tuple[int, bytes], int] = {}
    first = np.arange(len(coupling.groups))
    for unit, known in weights.items():
        first[unit] = stands.setdefault((int(coupling.groups[unit]), b"|".join(known)), unit)
    with torch.no_grad():
        for place in coupling.places:
            if place.side == "in":
                _add_columns(model.get_submodule(place.layer), place.units, first)
    return np.asarray(first == np.arange(len(first)))


def _rows(layer: Any) -> npt.NDArray[np.float64]:
    """Give all that a layer has of each unit."""
    weight = numbers(layer.weight).T if isinstance(layer, nn.Embedding) else None
    known = [getattr(layer, name, None) for name in ("weight", "bias", "running_mean", "running_var")]
    parts = [weight] if weight is not None else [numbers(part) for part in known if part is not None]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _first_equal(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Give, of every row, the number of the first one that equals it, bit for bit but for the sign of zero."""
    _, first, number = np.unique(rows + 0.0, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[number.reshape(-1)], np.int64)


def _add_columns(layer: Any, units: npt.NDArray[np.int64], first: npt.NDArray[np.int64]) -> None:
    """Add the columns of units to those of the units that stand for them; the k-th of one to the k-th of the other."""
    width = layer.weight.shape[1]  # of one group: in all groups there are the same units
    where = {unit: np.flatnonzero(units[:width] == unit) for unit in np.unique(units[:width]).tolist()}
    for unit, columns in where.items():
        if first[unit] != unit:
            layer.weight[:, where[int(first[unit])]] += layer.weight[:, columns]
