"""Means and covariances of what a model's layers take in, and weights that are fitted to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sketches.nn.pruning.reconstruction import InputMoments
from sketches.nn.pruning.unit_reconstruction import fit_to_inputs
from sketches.nn.torch.tensors import numbers

__all__ = ["checked_moments", "input_moments", "refit_layer"]

Mask = npt.NDArray[np.bool_]


def input_moments(
    model: nn.Module, batches: Iterable[Any], *, layers: Collection[str] | None = None
) -> dict[str, InputMoments]:
    """Run a model on batches, and give the means and covariances of what its layers take in, which `shrink` asks for.

    For a convolution these are its patches: as many inputs as a filter has weights. The model is run as it is (call
    ``model.eval()`` first), without gradients.

    Parameters
    ----------
    model
        Any module; it does not change.
    batches
        Each a tensor or a tuple of positional inputs.
    layers
        Names of Linear layers and of Conv2d layers of one group that pad with zeros, if at all; all such by default.
        A layer of n inputs takes ``8 * n * (n + 1)`` bytes.

    Raises
    ------
    ValueError
        If a name is unknown or of another layer, or what a layer takes in is not finite.
    """
    modules = dict(model.named_modules())
    names = (
        [name for name in modules if _can_refit(modules[name])]
        if layers is None
        else [layers]
        if isinstance(layers, str)
        else list(layers)
    )
    for name in names:
        if name not in modules or not _can_refit(modules[name]):
            raise ValueError(f"layers has {name!r}, which is no Linear layer or Conv2d layer of one group of the model")
    found = {name: InputMoments(modules[name].weight[0].numel()) for name in names}

    def hook(name: str) -> Any:
        def take(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            try:
                found[name].observe(_rows(layer, arguments[0]))
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from error

        return take

    handles = [modules[name].register_forward_pre_hook(hook(name)) for name in names]
    try:
        with torch.no_grad():
            for batch in batches:
                model(*batch) if isinstance(batch, tuple) else model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return found


def checked_moments(name: str, layer: Any, moments: Mapping[str, InputMoments]) -> InputMoments | None:
    """Give a layer's moments, if there are any; ``ValueError`` if they are another layer's."""
    found = moments.get(name)
    inputs = layer.weight[0].numel()
    if found is not None and len(found.mean) != inputs:
        raise ValueError(f"moments of {name!r} have {len(found.mean)} inputs; the layer takes in {inputs}")
    return found


def refit_layer(layer: Any, kept: Mask, moments: InputMoments) -> None:
    """Fit the weights of the inputs that stay, a mask of shape (inputs,), to the outputs; those of others become 0."""
    before = numbers(layer.weight).reshape(len(layer.weight), -1)
    after = fit_to_inputs(before, moments.covariance, kept.repeat(before.shape[1] // len(kept)))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(after).reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.add_(torch.from_numpy((before - after) @ moments.mean).to(layer.bias))


def _can_refit(layer: nn.Module) -> bool:
    """Say whether a layer's outputs are linear in rows that `input_moments` knows."""
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and not isinstance(layer.padding, str) and layer.padding_mode == "zeros"
    return isinstance(layer, nn.Linear)


def _rows(layer: nn.Module, inputs: Tensor) -> npt.NDArray[np.float32]:
    inputs = inputs.detach().to("cpu", torch.float32)
    if isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str):
        whole = inputs if inputs.ndim == 4 else inputs[None]  # a single image
        inputs = functional.unfold(whole, layer.kernel_size, layer.dilation, layer.padding, layer.stride).mT
    return np.asarray(inputs.reshape(-1, inputs.shape[-1]).numpy())
