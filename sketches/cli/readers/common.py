"""What the formats share: names of columns, and UTF-8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from sketches.cli.errors import InputError
from sketches.cli.source import Source

__all__ = ["BLOCK", "Batches", "first_not_utf8", "flat", "select", "unique"]

BLOCK = 1 << 21  # bytes of CSV or JSON parsed at once; no row may be longer

Batches = Iterator[pa.RecordBatch | pa.Table]


def select(source: Source, columns: Sequence[str], known: Sequence[str]) -> list[str]:
    """Give the columns asked for, or all; `InputError` if one does not exist."""
    for name in columns:
        if name not in known:
            raise InputError(f"{source.name}: no column {name!r}; the columns are {', '.join(map(repr, known))}")
    return [name for name in known if name in columns] if columns else list(known)


def unique(names: Sequence[str]) -> list[str]:
    """Name columns apart: an empty name becomes ``column 3``, a second ``id`` becomes ``id (2)``."""
    found: dict[str, None] = {}
    for position, name in enumerate(names, 1):
        name = name or f"column {position}"
        number, candidate = 2, name
        while candidate in found:
            candidate = f"{name} ({number})"
            number += 1
        found[candidate] = None
    return list(found)


def flat(table: pa.Table) -> pa.Table:
    """Replace structs by their fields: the column ``user`` of ``{name, age}`` by ``user.name`` and ``user.age``."""
    while any(pa.types.is_struct(kind) and kind.num_fields for kind in table.schema.types):
        table = table.flatten()
    return table.rename_columns(unique(table.column_names))


def first_not_utf8(data: bytes) -> int | None:
    """Give the position of the first byte that breaks UTF-8, None if none does."""
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None
