"""Scores of a model's units, from its weights and from statistics of what its layers take in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sketches.nn.pruning.reconstruction import InputMoments
from sketches.nn.pruning.unit_choice import Coupling, Place
from sketches.nn.pruning.unit_reconstruction import unit_elimination_scores
from sketches.nn.pruning.unit_scores import contribution_scores
from sketches.nn.statistics.layer import LayerSummary
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.torch.structured.input_moments import checked_moments
from sketches.nn.torch.tensors import numbers

__all__ = ["constant_units", "score_units", "summary_of_inputs"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def score_units(
    model: nn.Module,
    coupling: Coupling,
    scores: str | Mapping[str, npt.ArrayLike] | None,
    statistics: StreamingStatistics | None,
    moments: Mapping[str, InputMoments] | None,
) -> Floats:
    """Give the score of each unit, of shape (units,): the sum over its places; see `shrink` for the scores."""
    if scores is None:
        scores = "elimination" if moments is not None else "magnitude" if statistics is None else "contribution"
    total = np.zeros(len(coupling.groups))
    made = {place.layer: place for place in coupling.places if place.side == "out"}
    if isinstance(scores, Mapping):
        for name in coupling.layers.keys() - scores.keys():
            raise ValueError(f"scores lack layer {name!r}, whose units may go")
        for name, given in scores.items():
            if name not in made:
                raise ValueError(f"scores have {name!r}; layers that make units are {', '.join(map(repr, made))}")
            array = np.asarray(given, np.float64)
            if array.shape != made[name].units.shape:
                raise ValueError(f"scores of {name!r} have shape {array.shape}; ({len(made[name].units)},) is accepted")
            _add(total, made[name], array)
    elif scores == "magnitude":
        for place in made.values():
            layer: Any = model.get_submodule(place.layer)
            rows = numbers(layer.weight).T if isinstance(layer, nn.Embedding) else numbers(layer.weight)
            squares = (rows.reshape(len(rows), -1) ** 2).sum(axis=1)
            _add(total, place, squares / max(squares.sum(), np.finfo(float).tiny))
    elif scores == "contribution":
        if statistics is None:
            raise ValueError("scores are 'contribution', but statistics are None")
        for place in coupling.places:
            if place.side == "in":
                if not coupling.removable[place.units].any():
                    continue
                summary = summary_of_inputs(statistics, place)
                if summary is None:
                    raise ValueError(f"statistics lack {place.layer + ':input'!r}, which the score of a unit needs")
                _add(total, place, _contributions(model.get_submodule(place.layer), summary))
    elif scores == "elimination":
        if moments is None:
            raise ValueError("scores are 'elimination', but moments are None")
        for place in coupling.places:
            if place.side == "in" and coupling.removable[place.units].any():
                consumer = model.get_submodule(place.layer)
                known = checked_moments(place.layer, consumer, moments)
                if known is None:
                    raise ValueError(f"moments lack {place.layer!r}, which the score of a unit needs")
                _eliminate(total, consumer, coupling, place, known)
    else:
        kinds = "'contribution', 'elimination', 'magnitude' and a dict of layers"
        raise ValueError(f"scores is {scores!r}; {kinds} are accepted")
    return total


def constant_units(model: nn.Module, coupling: Coupling, statistics: StreamingStatistics | None) -> Mask:
    """Say which units can go because every layer that takes them in saw one value only, and can make up for it."""
    if statistics is None:
        raise ValueError("units are 'constant', but statistics are None")
    constant, taken = np.ones(len(coupling.groups), np.bool_), np.zeros(len(coupling.groups), np.bool_)
    for place in coupling.places:
        if place.side == "in":
            taken[place.units] = True
            summary = summary_of_inputs(statistics, place)
            if summary is None:
                constant[place.units] = False
                continue
            layer: Any = model.get_submodule(place.layer)
            same = (summary.minimum == summary.maximum) & (summary.count == summary.samples)
            padded = (
                isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
                and layer.padding not in ("valid",)
                and (isinstance(layer.padding, str) or any(layer.padding))
            )
            if layer.bias is None or (padded and layer.padding_mode == "zeros"):
                same &= summary.maximum == 0
            constant[place.units[~same]] = False
    return constant & taken


def summary_of_inputs(statistics: StreamingStatistics, place: Place) -> LayerSummary | None:
    """Give the summary of what a layer takes in, if there is one."""
    name = f"{place.layer}:input"
    if name not in statistics.layers:
        return None
    summary = statistics.summary(name)
    if len(summary.mean) != len(place.units):
        raise ValueError(
            f"statistics of {name!r} have {len(summary.mean)} units; the layer takes in {len(place.units)}"
        )
    return summary


def _contributions(layer: Any, summary: LayerSummary) -> Floats:
    weights = numbers(layer.weight)
    groups = getattr(layer, "groups", 1)
    variances = np.nan_to_num(summary.variance).reshape(groups, -1)
    parts = weights.reshape(groups, -1, *weights.shape[1:])
    return np.concatenate([contribution_scores(*part) for part in zip(parts, variances, strict=True)]) / groups


def _eliminate(total: Floats, layer: Any, coupling: Coupling, place: Place, moments: InputMoments) -> None:
    known, number = np.unique(place.units, return_inverse=True)
    number = np.where(coupling.removable[place.units], number.reshape(-1), -1)
    weights = numbers(layer.weight).reshape(len(layer.weight), -1)
    scores = unit_elimination_scores(weights, moments.covariance, number.repeat(weights.shape[1] // len(number)))
    total[known[: len(scores)]] += scores


def _add(total: Floats, place: Place, scores: Floats) -> None:
    np.add.at(total, place.units, scores)
