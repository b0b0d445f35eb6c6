"""The tensors of a model that is in memory, as `TensorFile` gives those of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.nn.compression.bloomier import BloomierWeights
from sketches.nn.compression.shared import SharedWeights
from sketches.nn.tensor_header import BITS

__all__ = ["StateTensors"]


_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "float16": "F16", "complex64": "C64",
    "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


class StateTensors:
    """Tensors in memory: arrays, PyTorch's tensors on any device, `SharedWeights` and `BloomierWeights`, by name.

    Raises
    ------
    TypeError
        If a name is no text, or a value is none of these or has a dtype that safetensors has not; the message names it.
    """

    metadata: Mapping[str, str] = {}

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.shared: dict[str, SharedWeights | BloomierWeights] = {}
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._dtypes: dict[str, str] = {}
        for name, value in state.items():
            if not isinstance(name, str):
                raise TypeError(f"{name!r} is no name of a tensor; text is accepted")
            if isinstance(value, SharedWeights | BloomierWeights):
                self.shared[name], self._dtypes[name] = value, "F32"
                continue
            dtype = getattr(value, "dtype", type(value).__name__)
            found = str(getattr(dtype, "name", dtype)).removeprefix("torch.")
            if found not in _DTYPES:
                known = ", ".join([*_DTYPES, "SharedWeights", "BloomierWeights"])
                raise TypeError(f"tensor {name!r} is of {found}; {known} are accepted")
            self._dtypes[name] = _DTYPES[found]
            self._arrays[name] = _stored(value, BITS[_DTYPES[found]])
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


def _stored(value: Any, bits: int) -> Any:
    """Give the bits of a tensor; those of bfloat16 and float8, which NumPy lacks, as integers."""
    if not hasattr(value, "detach"):
        array = np.asarray(value)
        found = array if array.dtype.kind in "?buifc" else array.view(f"u{bits // 8}")
        return found.astype(found.dtype.newbyteorder("<"), copy=False)
    import torch

    tensor = value.detach().cpu().contiguous()
    if tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        return tensor.view(torch.int16 if bits == 16 else torch.uint8).numpy().view(f"u{bits // 8}")
    return tensor.numpy()
