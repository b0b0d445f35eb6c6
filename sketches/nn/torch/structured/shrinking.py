"""A model without some of its units: its layers are smaller, and it is run, trained and exported as before."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sketches.nn.pruning.reconstruction import InputMoments
from sketches.nn.pruning.unit_choice import Coupling, choose_units
from sketches.nn.statistics.streaming import StreamingStatistics
from sketches.nn.torch.structured.compensation import compensate, merge_duplicates
from sketches.nn.torch.structured.coupling import couple, depthwise, follow
from sketches.nn.torch.structured.removal import remove_units
from sketches.nn.torch.structured.scoring import constant_units, score_units

__all__ = ["Shrunk", "shrink"]

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shrunk:
    """A smaller model, and what became of it.

    Attributes
    ----------
    module
        The smaller model, of the same class.
    kept
        Of each layer that makes units, the numbers of the outputs that were kept, ascending.
    frozen
        Of each layer that keeps outputs because they may not go, the reason.
    parameters
        How many parameters there were, and are.
    multiply_adds
        How many multiply-adds of linear and convolutional layers a pass of the example inputs took, and takes.
    """

    module: nn.Module
    kept: dict[str, Integers]
    frozen: dict[str, str]
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]

    def __str__(self) -> str:
        lines = [
            f"{name}: {before:,} → {after:,} ({after / max(before, 1):.1%})"
            for name, (before, after) in (("parameters", self.parameters), ("multiply-adds", self.multiply_adds))
        ]
        lines += [f"{layer}: {len(numbers)} outputs are kept" for layer, numbers in self.kept.items()]
        lines += [f"{layer}: not touched, {reason}" for layer, reason in self.frozen.items()]
        return "\n".join(lines)


def shrink(
    model: nn.Module,
    example_inputs: Any,
    *,
    share: float | Mapping[str, float] | None = None,
    multiply_adds: float | None = None,
    units: str | Mapping[str, npt.ArrayLike] | None = None,
    scores: str | Mapping[str, npt.ArrayLike] | None = None,
    statistics: StreamingStatistics | None = None,
    moments: Mapping[str, InputMoments] | None = None,
    ignore: Collection[str] = (),
) -> Shrunk:
    """Remove units of a model for good: a copy with smaller layers is returned, the model itself never changes.

    Say what should go by one of `share`, `multiply_adds` and `units`. The copy computes what the model would if the
    removed units gave zeros (or, with statistics, their means; or, with moments, what the units that stay tell of them)
    to the layers that take them in. Both are in memory for a while: twice the parameters.

    Parameters
    ----------
    model
        See `couple` for what is supported, and what keeps units from being removed.
    example_inputs
        A tensor, a tuple of positional inputs or a dict of inputs by name, with which the model is run.
    share
        The share of units that each layer loses, in [0, 1), or of some layers by name; layers that a sum ties lose the
        same units.
    multiply_adds
        The share of multiply-adds of linear and convolutional layers that may be left, in (0, 1]; see `choose_units`.
    units
        For some layers the numbers of the outputs to keep; or "constant": those go that the statistics saw with one
        value only (dead ones among them), which changes no output on what the statistics saw; or "duplicate": those go
        whose weights equal another's, which changes no output at all. Both but for rounding. Of the constant units,
        only those that are 0 go where a convolution pads with zeros or a layer has no bias.
    scores
        What is lost with each unit: "elimination" (see `unit_elimination_scores`; needs moments, and is the default
        with them), "contribution" (see `contribution_scores`; needs statistics, and is the default with them alone),
        "magnitude" (squared weights that make it as a share of their layer's, the default without), or for each layer
        an array of its outputs' scores, of 0 and more. A unit's scores in all its places are added up.
    statistics
        Of what layers take in: for a layer "fc1" that of name "fc1:input", with as many units as it has inputs. The
        means of units that go are added to the biases of layers that have them; see `compensated_bias`.
    moments
        Of what layers take in, by their names, as `input_moments` gives them: the weights of those layers are fitted
        anew, so that their outputs change least in the mean square; see `refit_weights`. Takes the place of statistics
        there.
    ignore
        Names of modules to leave as they are.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range or unknown, if units are to go that may not, if a module cannot be traced or is
        not followed rightly. The model is as before in all these cases.

    Examples
    --------
    >>> import torch
    >>> from sketches.nn import shrink
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 100), torch.nn.ReLU(), torch.nn.Linear(100, 2))
    >>> print(shrink(model, torch.zeros(1, 8), share=0.75))  # 25 of 100 stay; 25 * (8 + 1) + 2 * (25 + 1) parameters
    parameters: 1,102 → 277 (25.1%)
    multiply-adds: 1,000 → 250 (25.0%)
    0: 25 outputs are kept
    2: not touched, the model's output has them
    """
    if sum(given is not None for given in (share, multiply_adds, units)) != 1:
        raise ValueError(
            f"share is {share}, multiply_adds is {multiply_adds}, units is {units!r}; one of them is accepted"
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; a torch.nn.Module is accepted")
    smaller = copy.deepcopy(model)
    coupling = couple(smaller, example_inputs, ignore=ignore)
    keep = np.ones(len(coupling.groups), np.bool_)
    if units is None:
        keep = choose_units(
            coupling,
            score_units(smaller, coupling, scores, statistics, moments),
            share=share,
            multiply_adds=multiply_adds,
        )
    elif isinstance(units, Mapping):
        keep = _named(coupling, units)
    elif units == "constant":
        keep = _without(coupling, constant_units(smaller, coupling, statistics))
    elif units == "duplicate":
        keep = merge_duplicates(smaller, coupling)
    else:
        raise ValueError(f"units is {units!r}; 'constant', 'duplicate' and a dict of layers are accepted")
    if units != "duplicate":
        compensate(smaller, coupling, keep, statistics, moments)
    remove_units(smaller, coupling, keep)
    _check(coupling, keep, smaller, example_inputs, ignore, depthwise(model))
    return Shrunk(
        smaller,
        coupling.kept(keep),
        coupling.frozen,
        (_parameters(model), _parameters(smaller)),
        (round(coupling.cost(np.ones_like(keep))), round(coupling.cost(keep))),
    )


def _named(coupling: Coupling, units: Mapping[str, npt.ArrayLike]) -> Mask:
    """Keep the outputs named, of other layers all."""
    gone = np.zeros(len(coupling.groups), np.bool_)
    made = {place.layer: place.units for place in coupling.places if place.side == "out"}
    kept = []
    for layer, numbers in units.items():
        if layer not in made:
            raise ValueError(f"units has {layer!r}; layers that make units are {', '.join(map(repr, made)) or 'none'}")
        chosen = np.asarray(numbers)
        width = len(made[layer])
        whole = chosen.ndim == 1 and (chosen.dtype.kind in "iu" or not chosen.size)
        if not whole or not chosen.size or chosen.min() < 0 or chosen.max() >= width:
            raise ValueError(
                f"units of layer {layer!r} are {numbers!r}; one number or more in [0, {width}) is accepted"
            )
        kept.append((layer, np.unique(chosen.astype(np.int64))))
        gone[np.delete(made[layer], kept[-1][1])] = True
    for layer, chosen in kept:
        if gone[made[layer][chosen]].any():
            raise ValueError(
                f"units of layer {layer!r} to keep are tied to units of another layer, or its own, that go"
            )
        if not coupling.removable[made[layer][gone[made[layer]]]].all():
            raise ValueError(f"units of layer {layer!r} may not go: {coupling.frozen[layer]}")
    return ~gone


def _without(coupling: Coupling, gone: Mask) -> Mask:
    """Keep what is not gone or may not go, and in each place one unit at least."""
    keep = ~(gone & coupling.removable)
    for place in coupling.places:
        if not keep[place.units].any():
            keep[place.units.min()] = True
    return keep


def _check(
    coupling: Coupling,
    keep: Mask,
    smaller: nn.Module,
    example_inputs: Any,
    ignore: Collection[str],
    depthwise: Collection[str],
) -> None:
    """Follow the units of the smaller model: each must be where it was."""
    try:
        after = follow(smaller, example_inputs, ignore, depthwise)
    except ValueError as error:
        raise ValueError(f"the model cannot be shrunk, since afterwards {error}") from error
    renamed: dict[int, int] = {}
    for old, new in zip(coupling.places, after.places, strict=True):
        left = old.units[keep[old.units]].tolist()
        if len(left) != len(new.units) or any(
            renamed.setdefault(*pair) != pair[1] for pair in zip(left, new.units.tolist(), strict=True)
        ):
            raise ValueError(
                f"the units that layer {old.layer!r} would take in are others than before; put it in ignore"
            )


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
