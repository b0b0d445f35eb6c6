"""What `HashedWeights` and `StreamingStatistics` share: bytes, files, pickling, copies and comparison."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from sketches.core import wire
from sketches.core.contract import write_atomically

__all__ = ["Stored"]


class Stored(ABC):
    """A state that can be written; unlike a `Sketch` it holds no items, and takes no key."""

    _class: ClassVar[str]  # the name in `layouts.NEWEST`

    @abstractmethod
    def _envelope(self) -> wire.Envelope:
        """Give the seed and the counts; the hash is number 1."""
        raise NotImplementedError

    @abstractmethod
    def _fields(self) -> dict[str, Any]:
        """Give the state, under the names of the class's layout in `wire`."""
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope) -> Self:
        """Build an object from a state, or raise ``FormatError`` where the class's invariants do not hold."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Write the state in the format of docs/format.md, the same on every platform."""
        return wire.encode(self._class, self._envelope(), self._fields())

    @classmethod
    def from_bytes(cls, data: Any) -> Self:
        """Read what `to_bytes` wrote; ``FormatError`` if the bytes are anything else. Nothing in them is trusted."""
        name, envelope, fields = wire.decode(data)
        wire.require(name == cls._class, f"the bytes hold a {name}, not {cls._class}")
        wire.require(envelope.hash == 1, f"hash number {envelope.hash} does not go with {cls._class}")
        return cls._from_fields(fields, envelope)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file; an interrupted write leaves the file as it was."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file that `save` wrote; see `from_bytes`."""
        return cls.from_bytes(Path(path).read_bytes())

    def copy(self) -> Self:
        """Give an independent object with the same state."""
        return self.from_bytes(self.to_bytes())

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # the state changes
