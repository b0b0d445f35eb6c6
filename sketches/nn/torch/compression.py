"""PyTorch models to and from compressed files."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sketches.nn.compression.compressed_file import CompressedFile
from sketches.nn.compression.tensors import DTYPES, dtype_name
from sketches.nn.tensor_file import STORED
from sketches.nn.torch.sharing import shared_places

__all__ = ["load_compressed_", "shared_dtypes", "state"]

_TORCH = {stored: name for name, stored in DTYPES.items()}


def state(model: nn.Module) -> dict[str, Any]:
    """Give a model's tensors by name, as `state_dict` has them, but shared weights as `SharedWeights`."""
    places, found = shared_places(model), dict[str, Any]()
    for key, tensor in model.state_dict().items():
        layer, inside, part = key.rpartition("parametrizations.")
        name = layer + part.partition(".")[0]
        if not inside or name not in places:
            found[key] = tensor
        elif name not in found:
            found[name] = places[name].weights()
    return found


def shared_dtypes(model: nn.Module) -> dict[str, str]:
    """Give the dtypes of the weights that `state` gives as `SharedWeights`."""
    return {name: dtype_name(place.parameter.dtype) for name, place in shared_places(model).items()}


def load_compressed_(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Set a model's tensors to those of a compressed file, in place; as ``model.load_state_dict`` would, strictly.

    Raises
    ------
    OSError, FormatError
        If the file cannot be read.
    TypeError
        If `model` is no PyTorch model, or PyTorch has no numbers of a tensor's dtype.
    RuntimeError
        If the model does not take the tensors, as it has others, or of other shapes. The message names them; the model
        stays as it was.

    Notes
    -----
    Shared weights come back as ordinary ones: call ``unshare_(model)`` before, where the model has such.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; a torch.nn.Module is accepted")
    with CompressedFile(path) as file:
        found = {name: _tensor(file, name) for name in file.entries}
    before = None if _shapes(model.state_dict()) == _shapes(found) else copy.deepcopy(model.state_dict())
    try:
        model.load_state_dict(found)  # where names or shapes differ, layers may have ways to take them
    except RuntimeError:
        if before is not None:  # what fits has been set
            model.load_state_dict(before)
        raise


def _shapes(state: Mapping[str, Any]) -> dict[str, torch.Size | None]:
    return {
        name: value.shape if isinstance(value, Tensor) and not is_lazy(value) else None for name, value in state.items()
    }


def _tensor(file: CompressedFile, name: str) -> Tensor:
    dtype = file.entries[name].dtype
    if dtype in STORED:
        return torch.from_numpy(file.stored(name))
    known = getattr(torch, _TORCH.get(dtype, ""), None)
    if known is None:
        raise TypeError(f"tensor {name!r} is of {dtype}, of which this PyTorch has no tensors")
    stored = file.stored(name)
    return torch.from_numpy(stored.view(f"i{stored.itemsize}")).view(known)
