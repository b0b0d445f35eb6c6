"""The tensors of a model that is in memory, as `TensorFile` gives those of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.nn.compression.bloomier import BloomierWeights
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.tensor_file import STORED, stored_dtype

__all__ = ["DTYPES", "StateTensors", "dtype_name"]

DTYPES = {  # as safetensors calls those of NumPy, ml_dtypes and PyTorch
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "float16": "F16", "complex64": "C64",
    "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip


class StateTensors:
    """Tensors in memory: arrays, PyTorch's tensors on any device, `SharedWeights` and `BloomierWeights`, by name.

    Parameters
    ----------
    state
        The tensors.
    dtypes
        What `SharedWeights` are read as, by name, as NumPy and PyTorch call it; those that are not named as float32.

    Raises
    ------
    TypeError, ValueError
        If a name is no text, or a value is none of these, has a dtype that safetensors has not, or cannot be read; the
        message names it.
    """

    metadata: Mapping[str, str] = {}

    def __init__(self, state: Mapping[str, Any], dtypes: Mapping[str, str] | None = None) -> None:
        self.shared: dict[str, SharedWeights | BloomierWeights] = {}
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._dtypes: dict[str, str] = {}
        for name, value in state.items():
            if not isinstance(name, str):
                raise TypeError(f"{name!r} is no name of a tensor; text is accepted")
            if isinstance(value, SharedWeights | BloomierWeights):
                self.shared[name], self._dtypes[name] = value, DTYPES[(dtypes or {}).get(name, "float32")]
                continue
            found = dtype_name(getattr(value, "dtype", type(value).__name__))
            if found not in DTYPES:
                known = ", ".join([*DTYPES, "SharedWeights", "BloomierWeights"])
                raise TypeError(f"tensor {name!r} is of {found}; {known} are accepted")
            self._dtypes[name] = DTYPES[found]
            try:
                self._arrays[name] = _stored(value, self._dtypes[name])
            except (RuntimeError, TypeError, ValueError) as error:  # PyTorch's, of tensors that have no values
                raise ValueError(f"tensor {name!r} cannot be read: {error}") from error
        self.names = tuple(self._dtypes)

    def dtype(self, name: str) -> str:
        """Give a tensor's dtype as safetensors calls it."""
        return self._dtypes[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape."""
        if name not in self.shared:
            return self._arrays[name].shape
        weights = self.shared[name]
        return weights.indices.shape if isinstance(weights, SharedWeights) else weights.shape

    def blocks(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """Give a tensor, as it is stored, in one block."""
        yield self._arrays[name]


def dtype_name(dtype: Any) -> str:
    """Give the name that a dtype of NumPy or PyTorch has there."""
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def _stored(value: Any, dtype: str) -> Any:
    """Give the bits of a tensor; those of bfloat16 and float8, which NumPy lacks, as integers."""
    stored = stored_dtype(dtype)
    if not hasattr(value, "detach"):
        array = np.asarray(value)
        numbers = array if dtype in STORED else array.view(f"u{stored.itemsize}")
        return numbers.astype(stored, copy=False)
    import torch

    if value.is_meta:
        raise ValueError("it has no values, on the device meta")
    if value.layout != torch.strided:
        raise ValueError(f"its layout is {value.layout}; torch.strided is accepted")
    tensor = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    if dtype not in STORED:
        tensor = tensor.view(torch.int16 if stored.itemsize == 2 else torch.uint8)
    return tensor.numpy().astype(stored, copy=False)
