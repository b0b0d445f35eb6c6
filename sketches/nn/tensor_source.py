"""What functions that go through a model's tensors one by one ask of a file, or of a model in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy.typing as npt

__all__ = ["TensorSource"]


class TensorSource(Protocol):
    """Tensors by name; `TensorFile` is one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors' names, in order."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Free texts by name."""

    def dtype(self, name: str) -> str:
        """Give a tensor's dtype as safetensors calls it."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape."""

    def blocks(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """Give a tensor as safetensors stores it, in blocks of whole rows."""
