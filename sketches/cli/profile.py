"""One pass over a file: four sketches a column, fed block by block."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sketches import AMS, FlajoletMartin, Quantiles, Sketch, SpaceSaving
from sketches.cli.answers import Counted, top
from sketches.cli.errors import InputError
from sketches.cli.readers import Format, batches
from sketches.cli.source import Source

__all__ = ["ColumnProfile", "Profile", "profile"]

TOP_COUNTERS = 1024  # SpaceSaving's k: counts are off by at most 1/1025 of the items


class ColumnProfile:
    """The sketches of one column.

    Attributes
    ----------
    name, type
        The column's name and Arrow type; `type` is empty while only nulls were seen.
    supported
        False for lists, maps and other types that are no items; such a column is skipped.
    quantiles
        None where the column holds anything but numbers.
    misfits
        How many cells of a CSV file did not fit the column's type; they are strings, and have no part in `quantiles`.
    """

    def __init__(self, name: str, seed: int, parse: bool) -> None:
        self.name = name
        self.type = ""
        self.supported = True
        self.distinct = FlajoletMartin(seed=seed)
        self.top = SpaceSaving(TOP_COUNTERS, seed=seed)
        self.skew = AMS(seed=seed)
        self.quantiles: Quantiles | None = Quantiles()
        self.misfits = 0
        self._parse = parse  # whether strings may be numbers

    @property
    def count(self) -> int:
        """How many items the column has, nulls left out."""
        return self.distinct.total

    def sketches(self) -> dict[str, Sketch]:
        """Give the sketches by the question that they answer."""
        found: dict[str, Sketch] = {"distinct": self.distinct, "top": self.top, "skew": self.skew}
        if self.quantiles is not None and self.count:
            found["quantiles"] = self.quantiles
        return found

    def most_frequent(self, most: int) -> list[Counted]:
        """Give the most frequent items that are known to repeat; a bool is the item 0 or 1 to sketches."""
        found = top(self.top, most)
        if self.type != "bool":
            return found
        return [entry._replace(item=bool(entry.item)) if isinstance(entry.item, int) else entry for entry in found]

    @property
    def nbytes(self) -> int:
        """The memory of the sketches."""
        return sum(sketch.nbytes for sketch in self.sketches().values())

    def update(self, values: pa.ChunkedArray) -> None:
        """Take over a block of values; those of a union are items of several types, see `readers.cells`."""
        if pa.types.is_union(values.type):
            for chunk in values.chunks:
                *fitting, misfits = (chunk.field(number) for number in range(chunk.type.num_fields))
                for part in fitting:
                    self.update(pa.chunked_array([part]))
                self._update_misfits(misfits)
            return
        if pa.types.is_null(values.type) or not self.supported:
            return
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        self.type = self.type or str(kind)
        if isinstance(kind, pa.BaseExtensionType):  # such as UUIDs
            kind = kind.storage_type
            values = pc.cast(values, kind)
        items = _items(values, kind)
        if items is None:
            self.supported = False
            return
        for sketch in (self.distinct, self.top, self.skew):
            sketch.update(items)
        if self.quantiles is not None:
            numbers = self._numbers(items)
            if numbers is None:  # for good: quantiles of some of the items would mislead
                self.quantiles = None
            else:
                self.quantiles.update(numbers)

    def _update_misfits(self, items: pa.Array) -> None:
        for sketch in (self.distinct, self.top, self.skew):
            sketch.update(items)
        self.misfits += len(items) - items.null_count
        if self.quantiles is not None:
            self.quantiles.update(pa.nulls(items.null_count, pa.float64()))

    def _numbers(self, items: pa.ChunkedArray | list[int | None]) -> pa.ChunkedArray | list[int | None] | None:
        if isinstance(items, list):
            return items
        kind = items.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return items
        if self._parse and pa.types.is_large_string(kind):
            try:
                return pc.cast(items, pa.float64())
            except pa.ArrowInvalid:
                return None
        return None


def _items(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | list[int | None] | None:
    """Give values of a kind, dictionaries or not, in a type that sketches accept as items; None where there is none."""
    types = pa.types
    if any(is_text(kind) for is_text in _TEXT):
        return values
    if types.is_integer(kind) or types.is_floating(kind):
        return pc.cast(values, kind)
    if types.is_boolean(kind) or types.is_date(kind) or types.is_timestamp(kind):
        return values
    if types.is_decimal(kind):
        return _whole(values) if kind.scale <= 0 else pc.cast(values, pa.float64())
    if types.is_time(kind):
        return pc.cast(values, pa.string())
    if types.is_duration(kind):
        return pc.cast(values, pa.int64())
    return None


def _whole(values: pa.ChunkedArray) -> pa.ChunkedArray | list[int | None]:
    """Give whole decimals, as databases export integers, exactly."""
    for kind in (pa.int64(), pa.uint64()):
        try:
            return pc.cast(values, kind)
        except pa.ArrowInvalid:
            pass
    return [None if value is None else int(value) for value in values.to_pylist()]  # some exceed 64 bits


_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


class Profile:
    """What one pass over a file found.

    Attributes
    ----------
    name, format
        The input.
    rows
        Lines, or rows.
    bytes_read, seconds
        What the pass took; bytes are those on disk.
    columns
        One `ColumnProfile` a column, in the file's order.
    """

    def __init__(self, name: str, file_format: Format) -> None:
        self.name = name
        self.format = file_format
        self.rows = 0
        self.bytes_read = 0
        self.seconds = 0.0
        self.columns: list[ColumnProfile] = []

    @property
    def nbytes(self) -> int:
        """The memory of all sketches."""
        return sum(column.nbytes for column in self.columns)


def profile(
    source: Source,
    file_format: Format,
    columns: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[int], Any] = lambda position: None,
    delimiter: str | None = None,
) -> Profile:
    """Read a source once and sketch its columns.

    Parameters
    ----------
    source, file_format
        The input.
    columns
        Names of the columns; none means all.
    seed
        Of the sketches' hash.
    progress
        Called after each block with the number of bytes read.
    delimiter
        Of CSV; None means a comma.
    """
    start = time.perf_counter()
    result = Profile(source.name, file_format)
    found: dict[str, ColumnProfile] = {}
    for table in batches(source, file_format, columns, delimiter):
        result.rows += table.num_rows
        for name in table.schema.names:
            if name not in found:
                found[name] = ColumnProfile(name, seed, parse=file_format is Format.text)
            found[name].update(table.column(name))
        progress(source.position)
    result.columns = list(found.values())
    result.bytes_read = source.position
    result.seconds = time.perf_counter() - start
    for column in result.columns:
        if column.name in columns and not column.supported:
            raise InputError(f"{source.name}: column {column.name!r} has type {column.type}, which has no single items")
    return result
