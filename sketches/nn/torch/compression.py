"""PyTorch models to and from compressed files."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from sketches.nn.compression.compressed_file import CompressedFile
from sketches.nn.torch.sharing import shared_places

__all__ = ["load_compressed_", "state"]

_TORCH = {"BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


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


def load_compressed_(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Set a model's tensors to those of a compressed file, in place; as ``model.load_state_dict`` would, strictly.

    Raises
    ------
    OSError, FormatError
        If the file cannot be read.
    RuntimeError
        If the file has other tensors than the model, or of other shapes; the message names them. The model stays as it
        was where names differ.

    Notes
    -----
    Shared weights come back as ordinary ones: call ``unshare_(model)`` before, where the model has such.
    """
    with CompressedFile(path) as file:
        found = {name: _tensor(file, name) for name in file.entries}
    model.load_state_dict(found)


def _tensor(file: CompressedFile, name: str) -> Tensor:
    stored = file.stored(name)
    dtype = _TORCH.get(file.entries[name].dtype)
    if dtype is None:
        return torch.from_numpy(stored.copy())
    return torch.from_numpy(stored.copy().view("i2" if stored.itemsize == 2 else "u1")).view(dtype)
