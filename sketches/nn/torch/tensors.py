"""The tensors in what modules take and return, and which of them are activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["DTYPES", "is_activation", "named_tensors", "numbers", "readable_array"]

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def named_tensors(structure: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Give all tensors in tuples, lists, mappings and dataclasses, with their indices and keys joined by dots."""
    if isinstance(structure, Tensor):
        yield path, structure
        return
    parts: Any = ()
    if isinstance(structure, Mapping):
        parts = structure.items()
    elif isinstance(structure, (tuple, list)):
        parts = zip(getattr(structure, "_fields", range(len(structure))), structure, strict=True)
    elif is_dataclass(structure) and not isinstance(structure, type):
        parts = [(field.name, getattr(structure, field.name)) for field in fields(structure)]
    for key, part in parts:
        yield from named_tensors(part, f"{path}.{key}" if path else str(key))


def is_activation(tensor: Tensor) -> bool:
    """Tell whether a tensor has dense numbers of 16 to 64 bits floating point.

    Integers and bools (token ids, masks), complex and quantised numbers, sparse and nested tensors, and those of the
    device "meta" or inside `torch.func` transforms and `torch.export`, which have no values, are no activations.
    """
    return (
        tensor.dtype in DTYPES
        and tensor.layout is torch.strided
        and not tensor.is_nested
        and tensor.device.type != "meta"
        and _has_storage(tensor)
    )


def _has_storage(tensor: Tensor) -> bool:
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def numbers(tensor: Tensor) -> npt.NDArray[np.float64]:
    """Give a tensor's values as float64."""
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy())


def readable_array(tensor: Tensor) -> npt.NDArray[Any]:
    """Give a tensor on the CPU as an array, in place where that can be: if it is contiguous, and not bfloat16.

    By DLPack, since `Tensor.numpy` would forbid the tensor's storage to be resized ever after.
    """
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()  # exact; NumPy has no bfloat16
    return np.from_dlpack(tensor.resolve_neg().contiguous())
