"""PyTorch models to and from compressed files."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from torch import Tensor, nn

from sketches.nn.compression.compressed_file import CompressedFile
from sketches.nn.torch.sharing import shared_weights, unshare_

__all__ = ["load_compressed_", "state"]

_TORCH = {"BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


def state(model: nn.Module) -> dict[str, Any]:
    """Give a model's tensors by name, as `state_dict` has them, but shared weights as `SharedWeights`."""
    shared = shared_weights(model)
    if not shared:
        return dict(model.state_dict())
    plain = copy.deepcopy(model)
    unshare_(plain)
    found: dict[str, Any] = dict(plain.state_dict())
    same = {found[name].data_ptr(): weights for name, weights in shared.items()}
    return {
        name: same.get(tensor.data_ptr(), tensor) if isinstance(tensor, Tensor) and tensor.ndim > 1 else tensor
        for name, tensor in found.items()
    }


def load_compressed_(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Set a model's tensors to those of a compressed file, in place; as ``model.load_state_dict`` would, strictly.

    Raises
    ------
    OSError, FormatError
        If the file cannot be read.
    RuntimeError
        If the file has other tensors than the model, or of other shapes; the message names them. The model stays as it
        was where names differ.
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
