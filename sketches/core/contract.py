"""What a sketch is: everything that all of them share.

A sketch's class subclasses `Sketch` and its kernel, and supplies the few methods marked abstract here. In return it
gets batches, merging, bytes, files, pickling, copies and comparison, each the same everywhere.
"""

from __future__ import annotations

import os
import pickle
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sketches._ext.hashing import Hasher
from sketches._ext.kernel import Held, Kernel
from sketches.core import layouts, wire
from sketches.core.items import BLOCK, Block, blocks
from sketches.core.parallel import add_in_parallel
from sketches.core.whole_file import whole_file

__all__ = ["Sketch", "from_bytes", "load"]


class Sketch(Kernel):
    """The base of all sketches.

    Attributes
    ----------
    total, weight
        The sum of all counts so far, and of their absolute values.
    nulls
        How many nulls were skipped.
    """

    __slots__ = ()

    _classes: ClassVar[dict[str, type[Sketch]]] = {}
    _class: ClassVar[str]  # the name in `layouts.NEWEST`: of the class itself, or of the one that a user subclassed
    _hashes: ClassVar[bool] = True  # whether items are hashed; if not, the hasher is never used
    _in_place: ClassVar[tuple[type[np.generic], ...]] = ()  # see `blocks`
    _block: ClassVar[int] = BLOCK

    __iter__ = None  # or Python would take `sketch[0]`, `sketch[1]`, … for its elements, without end

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__name__ in layouts.NEWEST and cls.__module__.startswith("sketches."):
            cls._class = cls.__name__
            Sketch._classes[cls.__name__] = cls

    # What a class supplies

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """The memory of the state, in bytes."""
        raise NotImplementedError

    @abstractmethod
    def _parameters(self) -> dict[str, Any]:
        """Give what two sketches must share in order to merge, under the constructor's names."""
        raise NotImplementedError

    @abstractmethod
    def _error(self) -> str:
        """Say in a few words how far off an answer may be."""
        raise NotImplementedError

    @abstractmethod
    def _fields(self) -> dict[str, Any]:
        """Give the state, under the names of the class's layout in `wire`."""
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope, hasher: Hasher) -> Self:
        """Build a sketch from a state, or raise ``FormatError`` where the class's invariants do not hold."""
        raise NotImplementedError

    def _merge(self, other: Self) -> None:
        """Take over a state of the same parameters, and its totals, in one call of the kernel.

        Only where the kernel itself has no `absorb`, which takes over several.
        """
        raise NotImplementedError

    @abstractmethod
    def _add_block(self, block: Block) -> None:
        """Add a block of items."""
        raise NotImplementedError

    @property
    def _signed(self) -> bool:
        """Whether counts may be negative."""
        return False

    # What every class gets

    def update(self, items: Any, counts: Any = None, *, threads: int | None = 1) -> None:
        """Add many items.

        Parameters
        ----------
        items
            A list or any iterable, a NumPy array (integers, bool, floats, datetime64, S, U, StringDType, object),
            an Arrow column (anything with ``__arrow_c_array__`` or ``__arrow_c_stream__``), a pandas or Polars Series,
            a DLPack tensor. Iterables are consumed in bounded memory; nulls are skipped and counted in `nulls`. Arrays
            must not change meanwhile.
        counts
            One integer an item; by default each item counts once.
        threads
            How many threads share the work; None: as many as there are processors. Each fills a sketch of its own, and
            these merge: the state is that of one thread wherever `merge` is exact. Lists and other Python objects are
            read by one thread at a time.

        Raises
        ------
        TypeError, ValueError
            For items or counts that are not accepted. Where items had been added before, the error says how many; with
            several threads none were.
        OverflowError
            If the total would exceed 2**63 - 1.
        """
        before = self.weight, self.nulls
        source = blocks(items, counts, self._signed, self._in_place, self._block)
        try:
            if threads == 1:
                for block in source:
                    self._add_block(block)
            else:
                self._merge_parts(tuple(add_in_parallel(source, self._empty, threads)))
        except BaseException as error:
            if (self.weight, self.nulls) != before:
                error.add_note(f"{self.weight - before[0]} items (by count) had been added before this error")
            raise

    def _empty(self) -> Any:
        """Give an empty sketch of the same parameters and hash: of the class itself where a user subclassed it."""
        options = {"key": self.hasher.key} if self.hasher.keyed else {"seed": self.hasher.seed}
        return Sketch._classes[self._class](**self._parameters(), **options if self._hashes else {})

    def _check_mergeable(self, other: Sketch) -> None:
        if type(other) is not type(self):
            raise TypeError(f"cannot merge a {type(self).__name__} with a {type(other).__name__}")
        self._enter()
        other._enter()
        self._check_parameters(other._parameters())
        if self.hasher != other.hasher:
            raise ValueError(f"cannot merge: hashes differ, {self.hasher!r} here and {other.hasher!r} there")

    def _check_parameters(self, theirs: dict[str, Any]) -> None:
        """Refuse the parameters of a sketch that cannot be merged."""
        for name, value in self._parameters().items():
            if value != theirs[name]:
                raise ValueError(f"cannot merge: {name} is {value} here and {theirs[name]} there")

    def __or__(self, other: Self) -> Self:
        if not isinstance(other, Sketch):
            return NotImplemented
        result = self.copy()
        result.merge(other)
        return result

    def __ior__(self, other: Self) -> Self:
        if not isinstance(other, Sketch):
            return NotImplemented
        self.merge(other)
        return self

    def to_bytes(self) -> bytes:
        """Write the sketch in the format of docs/format.md, the same on every platform; a key is not written."""
        with Held(self):
            return wire.encode(self._class, self._envelope(), self._fields())

    def _envelope(self) -> wire.Envelope:
        hash_id = 1 + self.hasher.keyed if self._hashes else 0
        return wire.Envelope(hash_id, self.hasher.fingerprint, self.total, self.weight, self.nulls)

    @classmethod
    def from_bytes(cls, data: Any, *, key: bytes | None = None) -> Self:
        """Read what `to_bytes` wrote.

        Parameters
        ----------
        data
            Bytes, from anywhere: nothing in them is trusted.
        key
            The secret key, if the sketch has one.

        Raises
        ------
        FormatError
            If the bytes are no sketch of this class.
        ValueError
            If the key is missing or not the sketch's own.
        """
        name, envelope, fields = wire.decode(data)
        kind = Sketch._classes.get(name)
        if kind is not None and issubclass(cls, kind):
            kind = cls  # a subclass of the user's
        if kind is None or not issubclass(kind, cls):  # None: not a sketch, such as sketches.nn.HashedWeights
            raise wire.FormatError(f"the bytes hold a {name}, not a {cls.__name__}; read them with {name}.from_bytes")
        wire.require(kind._hashes == (envelope.hash > 0), f"hash number {envelope.hash} does not go with a {name}")
        return kind._from_fields(fields, envelope, _hasher(envelope, key))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the sketch to a file; an interrupted write leaves the file as it was."""
        write_atomically(path, self.to_bytes())

    def copy(self) -> Self:
        """Give an independent sketch with the same state."""
        with Held(self):
            result = self._copy()
        if hasattr(self, "__dict__"):  # of a subclass of the user's
            result.__dict__.update(self.__dict__)
        return result

    def _copy(self) -> Self:
        fields = {name: np.ravel(v) if isinstance(v, np.ndarray) else v for name, v in self._fields().items()}
        return self._from_fields(fields, self._envelope(), self.hasher)

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        data: Any = self.to_bytes()
        if protocol >= 5:
            data = pickle.PickleBuffer(data)  # may travel out of band
        return _unpickle, (type(self), data, self.hasher.key), getattr(self, "__dict__", None) or None

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # a sketch changes

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in self._parameters().items())
        return f"<{type(self).__name__}({parameters}): {self.nbytes:,} bytes, {self._error()}, total {self.total:,}>"


def _hasher(envelope: wire.Envelope, key: bytes | None) -> Hasher:
    if envelope.hash != 2:
        if key is not None:
            raise ValueError("key is given, but the sketch was made without one")
        return Hasher(envelope.fingerprint)
    if key is None:
        raise ValueError(f"the sketch was made with a key (fingerprint {envelope.fingerprint:016x}); pass key=")
    hasher = Hasher(key=key)
    if hasher.fingerprint != envelope.fingerprint:
        raise ValueError(
            f"key has fingerprint {hasher.fingerprint:016x}, the sketch's key has {envelope.fingerprint:016x}"
        )
    return hasher


def _unpickle(kind: type[Sketch], data: Any, key: bytes | None) -> Sketch:
    return kind.from_bytes(data, key=key)


def from_bytes(data: Any, *, key: bytes | None = None) -> Sketch:
    """Read a sketch of any class from bytes; see `Sketch.from_bytes`."""
    return Sketch.from_bytes(data, key=key)


def load(path: str | os.PathLike[str], *, key: bytes | None = None) -> Sketch:
    """Read a sketch of any class from a file that `save` wrote; see `Sketch.from_bytes`."""
    return from_bytes(Path(path).read_bytes(), key=key)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all; see `whole_file`."""
    with whole_file(path) as file:
        file.write(data)
