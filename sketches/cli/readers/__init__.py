"""Files as Arrow tables, a block of rows at a time; one module a format."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from sketches.cli.errors import InputError, explained
from sketches.cli.readers import csv, json_lines, parquet, text
from sketches.cli.readers.common import Batches
from sketches.cli.source import Source, strip_compression

__all__ = ["Format", "batches", "format_of"]


class Format(StrEnum):
    """What a file may hold."""

    text = "text"
    csv = "csv"
    tsv = "tsv"
    jsonl = "jsonl"
    parquet = "parquet"


_SUFFIXES = {
    ".csv": Format.csv,
    ".tsv": Format.tsv,
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
    ".json": Format.jsonl,
    ".parquet": Format.parquet,
    ".pq": Format.parquet,
}


def format_of(path: str) -> Format:
    """Tell the format by a path's suffix (below .gz or .zst); any other suffix is text."""
    return _SUFFIXES.get(Path(strip_compression(path)[0]).suffix.lower(), Format.text)


def batches(source: Source, file_format: Format, columns: Sequence[str] = (), delimiter: str | None = None) -> Batches:
    r"""Yield the input's rows, only the named columns where any are named; memory does not grow with the input.

    `delimiter` separates the cells of CSV, by default a comma; ``\t`` is a tab.

    Raises `InputError` for input that is damaged or of another format, for a name that no column has, and for a
    delimiter that is none.
    """
    if delimiter is not None:
        delimiter = _delimiter(source, file_format, delimiter)
    with explained(source.name):
        if file_format is Format.csv:
            yield from csv.read(source, columns, delimiter or ",")
        elif file_format is Format.tsv:
            yield from csv.read(source, columns, "\t")
        else:
            reader = {Format.text: text, Format.jsonl: json_lines, Format.parquet: parquet}[file_format]
            yield from reader.read(source, columns)


def _delimiter(source: Source, file_format: Format, delimiter: str) -> str:
    if file_format is not Format.csv:
        raise InputError(f"{source.name}: read as {file_format}, which takes no delimiter (see --format csv)")
    if delimiter == r"\t":
        return "\t"
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '\r\n\0"':
        raise InputError(f"delimiter {delimiter!r} is not one ASCII character other than a quotation mark")
    return delimiter
