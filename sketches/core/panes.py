"""What `SlidingWindow` and `Decayed` share: a sketch for each pane of time, of which the newest few are kept."""

from __future__ import annotations

import math
from abc import abstractmethod
from threading import RLock
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from sketches.core import wire
from sketches.core.contract import Sketch
from sketches.core.stored import Stored
from sketches.core.times import Slots

__all__ = ["Panes", "check_columns", "cut", "read_template"]

S = TypeVar("S", bound=Sketch)


class Panes(Stored, Generic[S]):
    """Sketches of the same parameters by the number of their pane; those without items are left out."""

    _kept: int  # panes before the newest one that are kept
    _length: float  # of a pane
    _parameters: ClassVar[
        tuple[str, ...]
    ]  # attributes, beside the sketch, that two of the class share in order to merge

    def __init__(self, sketch: S) -> None:
        if not isinstance(sketch, Sketch):
            raise TypeError(f"sketch is {sketch!r}; an empty sketch is accepted, such as FlajoletMartin()")
        if not _is_empty(sketch):
            raise ValueError(f"sketch is {sketch!r}; an empty one is accepted")
        try:
            self._template: S = sketch._empty()
        except (TypeError, ValueError) as error:  # it wants all its items at once, or all in order
            raise type(error)(f"sketch is {sketch!r}, which does not merge; one that does is accepted") from None
        self._newest: int | None = None
        self._sketches: dict[int, S] = {}
        self._lock = RLock()

    @abstractmethod
    def _like(self) -> Self:
        """Give an empty one of the same parameters."""
        raise NotImplementedError

    def _drop(self, numbers: list[int], newest: int) -> None:
        """Be told that time goes on to pane `newest`, and that some panes are about to be dropped."""

    def _change(self, number: int) -> None:
        """Be told that a pane has changed."""

    @property
    def nbytes(self) -> int:
        """The memory of all sketches, in bytes."""
        with self._lock:
            return sum(sketch.nbytes for sketch in self._sketches.values())

    def _feed(self, pane: int, time: Any, method: str, *feed: Any, **options: Any) -> None:
        """Add something to a pane, and only then let time go on: what is refused must not."""
        if self._newest is not None and pane < self._newest - self._kept:
            self._check_late(np.array([pane]), [time])  # says so
        sketch = self._sketches.get(pane) or self._template._empty()
        before = sketch.weight, sketch.nulls
        try:
            getattr(sketch, method)(*feed, **options)
        except BaseException:
            if (sketch.weight, sketch.nulls) != before:
                self._keep(pane, sketch)
            raise
        self._keep(pane, sketch)

    def _check_late(self, panes: Slots, given: Any) -> None:
        """Raise unless each pane is kept when the items before have been added."""
        oldest = np.maximum.accumulate(panes) - self._kept
        if self._newest is not None:
            oldest = np.maximum(oldest, self._newest - self._kept)
        late = panes < oldest
        if late.any():
            at = int(late.argmax())
            first = int(oldest[at]) * self._length
            raise ValueError(f"time is {given[at]}, before {first}, where the oldest pane that is kept begins")

    def _keep(self, pane: int, sketch: S) -> None:
        if self._newest is None or pane > self._newest:
            self._go_on(pane)
        if not _is_empty(sketch):
            self._sketches[pane] = sketch
        self._change(pane)

    def _go_on(self, newest: int) -> None:
        oldest = newest - self._kept
        gone = range(oldest if self._newest is None else self._newest - self._kept, oldest)
        # Usually few of many panes go; after a long time without items, all of them.
        few = len(gone) < len(self._sketches)
        old = [n for n in gone if n in self._sketches] if few else [n for n in self._sketches if n < oldest]
        self._drop(old, newest)
        for number in old:
            del self._sketches[number]
        self._newest = newest

    def merge(self, other: Self) -> None:
        """Take over what the other has seen, pane by pane, up to the later of both latest times; it stays as it is.

        Raises
        ------
        TypeError
            If `other` is of another class.
        ValueError
            If the panes, or anything that the sketches must share, differ.
        OverflowError
            If a pane's total would exceed 2**63 - 1; nothing changes then.
        """
        self._check_mergeable(other)
        first, second = sorted((self, other), key=id)  # or two threads might wait for each other
        with first._lock, second._lock:
            if other._newest is None:
                return
            newest = other._newest if self._newest is None else max(self._newest, other._newest)
            ahead = other.copy()
            if newest > other._newest:
                ahead._go_on(newest)
            both = {
                number: self._sketches[number] | sketch if number in self._sketches else sketch
                for number, sketch in ahead._sketches.items()
            }
            if self._newest is None or newest > self._newest:
                self._go_on(newest)
            self._sketches |= both
            self._take_over(ahead)

    def _take_over(self, other: Self) -> None:
        """Be told that panes of `other`, whose newest pane is the same, were merged into this one's."""

    def _check_mergeable(self, other: Self) -> None:
        if type(other) is not type(self):
            raise TypeError(f"cannot merge a {type(self).__name__} with a {type(other).__name__}")
        for name in self._parameters:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(f"cannot merge: {name} is {mine} here and {theirs} there")
        self._check_same(other._template)

    def _check_same(self, sketch: Sketch) -> None:
        """Raise unless a sketch has the template's parameters and hash: more than some need in order to merge."""
        self._template._check_mergeable(sketch)
        mine, theirs = self._template._parameters(), sketch._parameters()
        for name in mine:
            if mine[name] != theirs[name]:
                raise ValueError(f"cannot merge: {name} is {mine[name]} here and {theirs[name]} there")

    def __or__(self, other: Self) -> Self:
        if not isinstance(other, Panes):
            return NotImplemented
        result = self.copy()
        result.merge(other)
        return result

    def __ior__(self, other: Self) -> Self:
        if not isinstance(other, Panes):
            return NotImplemented
        self.merge(other)
        return self

    def copy(self) -> Self:
        """Give an independent one with the same state."""
        with self._lock:
            result = self._like()
            result._newest = self._newest
            result._sketches = {number: sketch.copy() for number, sketch in self._sketches.items()}
            result._take_over(self)
            return result

    # Bytes

    def _envelope(self) -> wire.Envelope:
        # The sketch's hash, and its counts, which are 0: each pane has its own. Its layout goes with its own bytes.
        return self._template._envelope()._replace(layout=None)

    def _fields(self) -> dict[str, Any]:
        written = {number: sketch.to_bytes() for number, sketch in sorted(self._sketches.items())}
        return {
            "sketch": np.frombuffer(self._template.to_bytes(), np.uint8),
            "newest": [] if self._newest is None else [self._newest],
            "numbers": list(written),
            "sizes": list(map(len, written.values())),
            "sketches": np.frombuffer(b"".join(written.values()), np.uint8),
        }

    def to_bytes(self) -> bytes:
        """Write the state in the format of docs/format.md, the same on every platform; a key is not written."""
        with self._lock:
            return super().to_bytes()

    @classmethod
    def from_bytes(cls, data: Any, *, key: bytes | None = None) -> Self:
        """Read what `to_bytes` wrote; see `Sketch.from_bytes`."""
        name, envelope, fields = wire.decode(data)
        wire.require(name == cls._class, f"the bytes hold a {name}, not a {cls._class}")
        return cls._from_fields(fields, envelope, key)

    @classmethod
    @abstractmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope, key: bytes | None = None) -> Self:
        raise NotImplementedError

    def _read(self, fields: dict[str, Any], key: bytes | None) -> None:
        """Fill an empty one with panes."""
        newest, numbers, sizes = (fields[name].tolist() for name in ("newest", "numbers", "sizes"))
        wire.require(len(newest) <= 1, f"{len(newest)} newest panes")
        wire.require(len(numbers) == len(sizes), f"{len(numbers)} panes but {len(sizes)} sizes")
        wire.require(sum(sizes) == len(fields["sketches"]), "the sizes do not sum to the bytes of the sketches")
        kept = range(newest[0] - self._kept, newest[0] + 1) if newest else ()
        stop, previous = 0, -math.inf
        for number, size in zip(numbers, sizes, strict=True):
            wire.require(number in kept and number > previous, f"pane {number} is out of order, or not kept")
            start, stop, previous = stop, stop + size, number
            sketch: Any = Sketch.from_bytes(fields["sketches"].data[start:stop], key=key)
            wire.require(not _is_empty(sketch), f"pane {number} is empty")
            try:
                self._check_same(sketch)
            except (TypeError, ValueError) as error:
                raise wire.FormatError(f"pane {number} does not fit the sketch: {error}") from None
            self._sketches[number] = sketch
        self._newest = newest[0] if newest else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self.to_bytes(), self._template.hasher.key)


def read_template(fields: dict[str, Any], envelope: wire.Envelope, key: bytes | None) -> Any:
    """Give the sketch without items that is written beside the panes."""
    template = Sketch.from_bytes(fields["sketch"].data, key=key)
    wire.require(_is_empty(template), "the sketch without items has some")
    wire.require(template._envelope()[:5] == envelope[:5], "the hash or the counts are not those of the sketch")
    return template


def check_columns(slots: Slots, items: Any, counts: Any) -> None:
    """Raise unless items and counts can be cut wherever the times beside them go from one pane to another."""
    for name, column in (("items", items), ("counts", counts)):
        if column is None and name == "counts":
            continue
        if isinstance(column, str | bytes) or not (hasattr(column, "__len__") and hasattr(column, "__getitem__")):
            raise TypeError(
                f"{name} is of type {type(column).__name__}; beside times, one an item, a list, an array or a column is"
                " accepted"
            )
        if len(column) != len(slots):
            raise ValueError(f"time has length {len(slots)}, but {name} length {len(column)}")


def cut(column: Any, start: int, stop: int) -> Any:
    """Give a part of a column, by position even where pandas would go by labels; no column: none."""
    return None if column is None else getattr(column, "iloc", column)[start:stop]


def by_pane(panes: Slots, *columns: Any) -> tuple[Slots, tuple[Any, ...]]:
    """Bring columns to the order of their panes, items of a pane as they were, so that each pane is fed once.

    Columns of unknown kinds stay as they are, and then so do all.
    """
    if (panes[1:] >= panes[:-1]).all():
        return panes, columns
    order = np.argsort(panes, kind="stable")
    taken = tuple(None if column is None else _take(column, order) for column in columns)
    return (panes, columns) if any(column is NotImplemented for column in taken) else (panes[order], taken)


def _take(column: Any, order: Slots) -> Any:
    if isinstance(column, list | tuple):
        return [column[i] for i in order.tolist()]
    if isinstance(column, np.ndarray):
        return column[order]
    if hasattr(column, "iloc"):  # pandas
        return column.iloc[order]
    if hasattr(column, "__arrow_c_array__") or hasattr(column, "__arrow_c_stream__"):
        take = getattr(column, "gather", None) or getattr(column, "take", None)  # Polars', or pyarrow's
        if take is not None:
            return take(order)
    return NotImplemented


def _is_empty(sketch: Sketch) -> bool:
    return sketch.weight == sketch.nulls == 0


def _unpickle(kind: type[Panes[Any]], data: bytes, key: bytes | None) -> Panes[Any]:
    return kind.from_bytes(data, key=key)
