"""Files as Arrow tables, a block of rows at a time: text lines, CSV, JSON lines and Parquet."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from sketches.cli.errors import InputError, explained, reason
from sketches.cli.source import Source, strip_compression

__all__ = ["Format", "batches", "format_of"]

_LINES = 1 << 20  # bytes of text turned into lines at once: what fits into the processor's cache
_BLOCK = 1 << 21  # bytes of CSV or JSON parsed at once; no row may be longer
_START = 1 << 22  # bytes of CSV from which the types are inferred
_ROWS = 1 << 16  # rows of a Parquet batch
_SHOWN = 60  # bytes of what is wrong
_DEEPEST = 200  # levels of JSON; Arrow's parser recurses, and some ten thousand levels overflow the stack

Batches = Iterator[pa.RecordBatch | pa.Table]


class Format(StrEnum):
    """What a file may hold."""

    text = "text"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


_SUFFIXES = {
    ".csv": Format.csv,
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
    ".json": Format.jsonl,
    ".parquet": Format.parquet,
    ".pq": Format.parquet,
}


def format_of(path: str) -> Format:
    """Tell the format by a path's suffix (below .gz or .zst); any other suffix is text."""
    return _SUFFIXES.get(Path(strip_compression(path)[0]).suffix.lower(), Format.text)


def batches(source: Source, file_format: Format, columns: Sequence[str]) -> Batches:
    """Yield the input's rows, only the named columns where any are named; memory does not grow with the input.

    Raises `InputError` for input that is damaged or of another file_format, and for a name that no column has.
    """
    reader = {Format.text: _text, Format.csv: _csv, Format.jsonl: _jsonl, Format.parquet: _parquet}[file_format]
    with explained(source.name):
        yield from reader(source, columns)


def _select(source: Source, columns: Sequence[str], known: Sequence[str]) -> list[str]:
    """Give the columns asked for, or all; `InputError` if one does not exist."""
    for name in columns:
        if name not in known:
            raise InputError(f"{source.name}: no column {name!r}; the columns are {', '.join(map(repr, known))}")
    return [name for name in known if name in columns] if columns else list(known)


def _text(source: Source, columns: Sequence[str]) -> Batches:
    _select(source, columns, ["line"])
    for block in source.blocks(_LINES):
        yield pa.record_batch({"line": split_lines(block)})


def split_lines(block: bytes) -> pa.Array:
    r"""Split at ``\n`` and ``\r\n``: an Arrow string array, or binary where a line of the block is not UTF-8."""
    block = block.replace(b"\r\n", b"\n")
    if not block.endswith(b"\n"):
        block += b"\n"
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
    # Without the newlines the lines lie end to end, as Arrow wants them; line i's end moves left by the i newlines
    # before it.
    offsets = np.zeros(len(ends) + 1, np.int64)
    np.subtract(ends, np.arange(len(ends)), out=offsets[1:])
    data = block.translate(None, b"\n")
    kind = pa.large_string() if _first_not_utf8(data) is None else pa.large_binary()
    return pa.Array.from_buffers(kind, len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _first_not_utf8(data: bytes) -> int | None:
    """Give the position of the first byte that breaks UTF-8, None if none does."""
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _unique(names: Sequence[str]) -> list[str]:
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


def _csv(source: Source, columns: Sequence[str]) -> Batches:
    stream = io.BufferedReader(_Text(source), 2 * _START)
    names: list[str] = []
    try:
        parse = pa.csv.ParseOptions(newlines_in_values=True)
        # use_threads=False: only so does Arrow know the number of a bad row.
        options = pa.csv.ReadOptions(block_size=_START, use_threads=False)
        # Arrow skips empty lines before a header that it reads, but not before one that it is told to skip.
        peeked = stream.peek()
        start = peeked.lstrip(b"\r\n")
        stream.read(len(peeked) - len(start))
        if not start:
            raise InputError(f"{source.name}: no header, only empty lines")
        schema = pa.csv.open_csv(io.BytesIO(start + b"\n"), options, parse).schema
        names = _unique(schema.names)
        options = pa.csv.ReadOptions(block_size=_BLOCK, use_threads=False, column_names=names, skip_rows_after_names=1)
        # A column without any value so far may get some later; everything can be text.
        types = [pa.string() if pa.types.is_null(kind) else kind for kind in schema.types]
        convert = pa.csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)), include_columns=_select(source, columns, names)
        )
        reader = pa.csv.open_csv(stream, options, parse, convert)
        yield reader.schema.empty_table()  # names the columns where there are no rows
        for batch in reader:
            yield _empty_as_null(pa.Table.from_batches([batch]))
    except UnicodeDecodeError as error:
        raise InputError(f"{source.name}: the header is not UTF-8: {error.object[:_SHOWN]!r}") from error
    except pa.ArrowInvalid as error:
        raise InputError(f"{source.name}: {_csv_reason(error, names)}") from error


def _empty_as_null(table: pa.Table) -> pa.Table:
    """Make empty strings nulls, as Arrow does in all other types."""
    for position, column in enumerate(table.columns):
        if pa.types.is_string(column.type):
            filled = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            table = table.set_column(position, table.column_names[position], filled)
    return table


def _csv_reason(error: pa.ArrowInvalid, names: Sequence[str]) -> str:
    text = reason(error)
    if "straddling" in text:
        return f"a row is longer than {_BLOCK >> 20} MiB (is a quotation mark never closed?)"
    if found := re.match(r"In CSV column #(\d+): (Row #\d+): CSV conversion error to (\w+)\S*: (.*)", text):
        number, row, kind, what = found.groups()
        return (
            f"{row}, column {names[int(number)]!r}: {what}; the column's type is {kind} by the first {_START >> 20} MiB"
        )
    return text


class _Text(io.RawIOBase):
    """A source as a raw file of text that ends with a newline: to Arrow, a header without one is no header."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._last = b"\n"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read_text(len(buffer)) or (b"" if self._last == b"\n" else b"\n")
        self._last = data[-1:] or self._last
        buffer[: len(data)] = data
        return len(data)


def _jsonl(source: Source, columns: Sequence[str]) -> Batches:
    """Parse blocks of whole lines, each with the types that Arrow infers for it.

    Numbers and times are the same items whatever their width, so those types may vary from block to block. Strings
    stay strings: Arrow would take them for times in a block where all of them look so.
    """
    kinds: dict[str, str] = {}
    strings = pa.schema([])
    line = 0
    for block in source.blocks(_BLOCK):
        if (bad := _first_not_utf8(block)) is not None:
            number = line + block.count(b"\n", 0, bad) + 1
            raise InputError(f"{source.name}: line {number:,} is not UTF-8")
        if _depth(block) > _DEEPEST:
            raise InputError(f"{source.name}: an object after line {line:,} is nested deeper than {_DEEPEST} levels")
        options = pa.json.ParseOptions(explicit_schema=strings)
        read = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        try:
            table = pa.json.read_json(pa.py_buffer(block), read, options)
        except pa.ArrowInvalid as error:
            raise InputError(f"{source.name}: {_json_reason(error, block, line)}") from error
        strings = _strings(table.schema)
        table = _flat(table)
        for name, kind in zip(table.column_names, map(_kind, table.schema.types), strict=True):
            before = kinds.get(name, "null")
            if "null" not in (before, kind) and before != kind:
                raise InputError(f"{source.name}: column {name!r} changes from {before} to {kind} after line {line:,}")
            kinds[name] = before if kind == "null" else kind
        line += block.count(b"\n")
        yield table.select([name for name in table.column_names if not columns or name in columns])
    _select(source, columns, list(kinds))


def _depth(block: bytes) -> int:
    """Give the depth to which JSON is nested, or a quick upper bound if that is small enough."""
    lines = block.count(b"\n")
    if (
        block.count(b"}\n") == lines == block.count(b"\n{") + 1
    ):  # an object a line, or no JSON: none nests beyond a line
        bound = max(map(len, block.translate(None, _NO_OPENINGS).split(b"\n")))
        if bound <= _DEEPEST:
            return bound
    # Exactly: without escapes, every second piece between quotation marks is outside of strings.
    outside = b"".join(block.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = np.frombuffer(outside.translate(None, _NO_BRACKETS), np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)
    return int(np.cumsum(steps).max(initial=0))


_NO_OPENINGS = bytes(set(range(256)) - set(b"[{\n"))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _json_reason(error: pa.ArrowInvalid, block: bytes, line: int) -> str:
    """Give the line of the input instead of Arrow's row of the block, which skips empty lines."""
    text = reason(error).removeprefix("JSON parse error: ")
    if found := re.search(r"\.? in row (\d+)", text):
        filled = [number for number, content in enumerate(block.split(b"\n"), line + 1) if content.strip()]
        text = f"line {filled[min(int(found[1]), len(filled) - 1)]:,}: {text[: found.start()]}"
    if block.lstrip().startswith(b"["):
        text += " (a JSON array; JSON lines hold one object a line)"
    return text


def _strings(schema: pa.Schema) -> pa.Schema:
    """Give the part of a schema that is strings, also inside structs."""
    kept = []
    for field in schema:
        if pa.types.is_string(field.type):
            kept.append(field)
        elif pa.types.is_struct(field.type) and len(inner := _strings(pa.schema(list(field.type)))):
            kept.append(pa.field(field.name, pa.struct(list(inner))))
    return pa.schema(kept)


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_null(kind):
        return "null"
    if types.is_integer(kind) or types.is_floating(kind):
        return "number"
    return "time" if types.is_timestamp(kind) else "list" if types.is_list(kind) else str(kind)


def _flat(table: pa.Table) -> pa.Table:
    """Replace structs by their fields: the column ``user`` of ``{name, age}`` by ``user.name`` and ``user.age``."""
    while any(pa.types.is_struct(kind) and kind.num_fields for kind in table.schema.types):
        table = table.flatten()
    return table.rename_columns(_unique(table.column_names))


def _parquet(source: Source, columns: Sequence[str]) -> Batches:
    """Read batches through Arrow's own file reader; a pipe or compressed file goes to a temporary file before."""
    with tempfile.TemporaryFile() as spool:
        file = source.file()
        if file is None:
            while data := source.read(_BLOCK):
                spool.write(data)
            file = spool
        # A small buffer instead of whole column chunks: memory follows the pages, not the row groups.
        parquet = pa.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        empty = _flat(parquet.schema_arrow.empty_table())
        names = _select(source, columns, empty.column_names)
        yield empty.select(names)
        rows = 0
        for batch in parquet.iter_batches(_ROWS, columns=names if columns else None, use_threads=False):
            rows += len(batch)
            source.position = (source.size or 0) * rows // parquet.metadata.num_rows
            yield _flat(pa.Table.from_batches([batch]))
