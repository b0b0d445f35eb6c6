"""PyTorch models to and from compressed files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sketches.nn.compression.compressed_file import CompressedFile
from sketches.nn.compression.directory import TensorEntry
from sketches.nn.compression.tensors import dtype_name
from sketches.nn.tensor_file import STORED
from sketches.nn.torch.sharing import shared_places

__all__ = ["load_compressed_", "shared_dtypes", "state"]

_TORCH = {  # what NumPy lacks; PyTorch may lack some, too
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}


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
        If the file has other tensors than the model, or of other shapes. The message names them; the model stays as it
        was.

    Notes
    -----
    Shared weights come back as ordinary ones: call ``unshare_(model)`` before, where the model has such.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; a torch.nn.Module is accepted")
    with CompressedFile(path) as file:
        _check_same(model.state_dict(), file.entries)
        found = {name: _tensor(file, name) for name in file.entries}
    model.load_state_dict(found)


def _check_same(own: Mapping[str, Any], entries: Mapping[str, TensorEntry]) -> None:
    """Raise where `load_state_dict` would, which has then set some tensors already."""
    missing, unknown = [name for name in own if name not in entries], [name for name in entries if name not in own]
    if missing or unknown:
        raise RuntimeError(f"the file lacks {missing or 'nothing'}, and has {unknown or 'nothing'} beyond the model")
    for name, entry in entries.items():
        if isinstance(own[name], Tensor) and tuple(own[name].shape) != entry.shape:
            raise RuntimeError(f"tensor {name!r} has shape {entry.shape}, that of the model {tuple(own[name].shape)}")


def _tensor(file: CompressedFile, name: str) -> Tensor:
    dtype = file.entries[name].dtype
    if dtype in STORED:
        return torch.from_numpy(file.stored(name))
    known = getattr(torch, _TORCH.get(dtype, ""), None)
    if known is None:
        raise TypeError(f"tensor {name!r} is of {dtype}, of which this PyTorch has no tensors")
    stored = file.stored(name)
    return torch.from_numpy(stored.view(f"i{stored.itemsize}")).view(known)
