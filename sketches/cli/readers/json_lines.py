"""JSON lines: an object a line, fields of objects as columns of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.json

from sketches.cli.errors import InputError, reason
from sketches.cli.readers.common import BLOCK, Batches, first_not_utf8, flat, select
from sketches.cli.source import Source

__all__ = ["read"]

_DEEPEST = 200  # levels of JSON; Arrow's parser recurses, and some ten thousand levels overflow the stack


def read(source: Source, columns: Sequence[str]) -> Batches:
    """Parse blocks of whole lines, each with the types that Arrow infers for it.

    Numbers and times are the same items whatever their width, so those types may vary from block to block. Strings
    stay strings: Arrow would take them for times in a block where all of them look so.
    """
    kinds: dict[str, str] = {}
    strings = pa.schema([])
    line = 0
    for block in source.blocks(BLOCK):
        if (bad := first_not_utf8(block)) is not None:
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
        table = flat(table)
        for name, kind in zip(table.column_names, map(_kind, table.schema.types), strict=True):
            before = kinds.get(name, "null")
            if "null" not in (before, kind) and before != kind:
                raise InputError(f"{source.name}: column {name!r} changes from {before} to {kind} after line {line:,}")
            kinds[name] = before if kind == "null" else kind
        line += block.count(b"\n")
        yield table.select([name for name in table.column_names if not columns or name in columns])
    select(source, columns, list(kinds))


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
