"""`hash_`: trained layers become hashed ones, with the values that are closest to their weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sketches.core import bounds
from sketches.nn.hashed_fit import fit_values, row_blocks
from sketches.nn.torch.hashed.embedding import HashedEmbedding
from sketches.nn.torch.hashed.layers import HashedConv1d, HashedConv2d, HashedLinear
from sketches.nn.torch.hashed.module import HashedModule, count_entries
from sketches.nn.torch.hashed.places import MOST_HASHES
from sketches.nn.torch.modules import choose_modules
from sketches.nn.torch.tensors import DTYPES, readable_array

__all__ = ["hash_"]

HASHED: dict[type[nn.Module], Any] = {  # exactly these types: a subclass may do anything with its weight
    nn.Linear: HashedLinear,
    nn.Conv1d: HashedConv1d,
    nn.Conv2d: HashedConv2d,
    nn.Embedding: HashedEmbedding,
}
LINEAR = ("in_features", "out_features")
CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
EMBEDDING = ("num_embeddings", "embedding_dim", "padding_idx")


def hash_(model: nn.Module, ratio: float, *, modules: Any = None, hashes: int = 1, seed: int = 0) -> nn.Module:
    """Replace trained layers of a model by hashed ones that have a `ratio`-th of their weights, and give the model.

    The values are those of the least squared error, from one pass over the weights, a block of rows at a time. With one
    hash, each value is the mean of its weights, signs undone; of the sum of the squared weights, that leaves an error
    of about the share ``1 - (1 - exp(-ratio)) / ratio``: 0.37 for a ratio of 1, 0.57 for 2, 0.875 for 8 (see
    `sketches.nn.HashedWeights`), so that fine-tuning must follow: make the optimizer after this call, since the
    parameters are new, and call ``Pruner.remove()`` before. Biases stay the same parameters.

    All layers are fitted before the first is replaced: a call that fails leaves the model as it was.

    Parameters
    ----------
    model
        The model, changed in place.
    ratio
        Weights for each value, at least 1, the same for every layer; a layer has its number of weights divided by it,
        rounded up.
    modules
        Which modules: a type, a name, a pattern of names (``"encoder.*"``), or an iterable of these; None: all. Of
        them, those that are exactly `torch.nn.Linear`, `Conv1d`, `Conv2d` or `Embedding` are replaced. Layers that
        share a weight share their values afterwards.
    hashes
        How many values are added up for each weight.
    seed
        Of the first layer; each further weight, in the order of the modules, has the seed of the one before plus 1,
        modulo 2**32, and so a hash of its own.

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted; there is no such layer among the modules; a layer's weight is not finite, not of
        float16 to float64, shared with a module that is not replaced, or computed; the layer is the model itself or has
        hooks, parametrizations (those of `share_`, too) or buffers, which would be lost; an embedding has max_norm,
        sparse, scale_grad_by_freq, or a row of padding that is not zero.

    Examples
    --------
    >>> import torch
    >>> from sketches.nn import hash_
    >>> model = torch.nn.Sequential(torch.nn.Linear(784, 1000), torch.nn.ReLU(), torch.nn.Linear(1000, 10))
    >>> _ = hash_(model, 8, modules="0")
    >>> model[0]
    HashedLinear(in_features=784, out_features=1000, bias=True, entries=98000, seed=0)
    """
    count_entries(1, ratio, None)  # checks it
    bounds.check_integer("hashes", hashes, 1, MOST_HASHES)
    seed = bounds.check_integer("seed", seed, 0, 2**32 - 1)
    found = {
        name: module
        for name, module in choose_modules(model, nn.Module if modules is None else modules).items()
        if parametrize.type_before_parametrizations(module) in HASHED
    }
    if not found:
        raise ValueError(
            f"modules: {modules!r} has no Linear, Conv1d, Conv2d or Embedding of {type(model).__name__}"
            if modules is not None
            else f"model: {type(model).__name__} has no Linear, Conv1d, Conv2d or Embedding"
        )
    users = _users(model)
    groups: dict[int, list[str]] = {}
    for name, module in found.items():
        _check(name, module, module is model, users, set(found.values()))
        groups.setdefault(id(module.weight), []).append(name)
    made: dict[nn.Module, HashedModule] = {}
    for number, names in enumerate(groups.values()):
        layers = [found[name] for name in names]
        values = _fit(names[0], layers[0].get_parameter("weight"), ratio, hashes, (seed + number) % 2**32)
        made |= {layer: _hashed(layer, values, hashes, (seed + number) % 2**32) for layer in layers}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child in made:
                parent._modules[name] = made[child]
    return model


def _users(model: nn.Module) -> dict[int, list[tuple[str, nn.Module]]]:
    """Give, for each parameter, the modules that have it."""
    users: dict[int, list[tuple[str, nn.Module]]] = {}
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                users.setdefault(id(parameter), []).append((name, module))
    return users


def _check(
    name: str, layer: Any, is_model: bool, users: dict[int, list[tuple[str, nn.Module]]], replaced: set[nn.Module]
) -> None:
    weight = layer._parameters.get("weight")
    if is_model:
        raise ValueError(
            f"model is a {type(layer).__name__} itself, which cannot be replaced in place; put it in a Sequential"
        )
    if parametrize.is_parametrized(layer):
        raise ValueError(f"{name} has parametrizations, which would be lost; remove them first")
    if weight is None:
        raise ValueError(f"{name}.weight is no parameter but computed; make it one first")
    if weight.dtype not in DTYPES:
        raise ValueError(f"{name}.weight has dtype {weight.dtype}; float16, bfloat16, float32, float64 are accepted")
    if weight.device.type == "meta" or not weight.numel():
        raise ValueError(f"{name}.weight has no values: shape {tuple(weight.shape)} on {weight.device}")
    for other, module in users[id(weight)]:
        if module not in replaced:
            raise ValueError(f"{name}.weight is shared with {other or 'model'}, which is not replaced; choose both")
    if any(getattr(layer, hooks, None) for hooks in HOOKS):
        raise ValueError(f"{name} has hooks, which would be lost; remove them first")
    others = [*(layer._parameters.keys() - {"weight", "bias"}), *layer._buffers, *layer._modules]
    if others:
        raise ValueError(f"{name} has {', '.join(others)} beside weight and bias, which would be lost")
    if isinstance(layer, nn.Embedding):
        for option in ("max_norm", "sparse", "scale_grad_by_freq"):
            if getattr(layer, option):
                raise ValueError(f"{name}: {option} is {getattr(layer, option)}; a hashed embedding has no such option")
        if layer.padding_idx is not None and weight[layer.padding_idx].any():
            raise ValueError(f"{name}: row {layer.padding_idx} of padding is not zero, as a hashed embedding has it")


HOOKS = (
    *("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks"),
    *("_state_dict_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
)


def _fit(name: str, weight: Tensor, ratio: float, hashes: int, seed: int) -> nn.Parameter:
    """Fit values, on the CPU."""
    blocks: Iterator[Any] = (_array(weight[start:stop]) for start, stop in row_blocks(weight.shape))
    size = count_entries(weight.numel(), ratio, None)
    try:
        fitted = fit_values(tuple(weight.shape), blocks, size, seed=seed, hashes=hashes)
    except ValueError as error:
        raise ValueError(f"{name}.{str(error).replace('weights hold', 'weight holds')}") from error
    values = torch.from_numpy(fitted).to(weight.device, weight.dtype)
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name}.weight holds numbers whose fit is beyond the range of {weight.dtype}")
    return nn.Parameter(values, requires_grad=weight.requires_grad)


def _array(block: Tensor) -> Any:
    return np.asarray(readable_array(block.detach().cpu()))


def _hashed(layer: Any, values: nn.Parameter, hashes: int, seed: int) -> HashedModule:
    """Give the layer's twin; on the device "meta" first, so that no random numbers are drawn."""
    hashed = HASHED[type(layer)]
    options: dict[str, Any] = {"entries": len(values), "hashes": hashes, "seed": seed, "device": "meta"}
    if isinstance(layer, nn.Embedding):
        twin = hashed(*(getattr(layer, name) for name in EMBEDDING), **options)
    else:
        names = LINEAR if isinstance(layer, nn.Linear) else CONV
        twin = hashed(**{name: getattr(layer, name) for name in names}, bias=False, **options)
        twin.bias = layer.bias
    twin.values = values
    twin.train(layer.training)
    return twin  # type: ignore[no-any-return]
