"""CSV: a header, then rows whose cells are read as what their column holds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv

from sketches.cli.errors import InputError, reason
from sketches.cli.readers.cells import typed
from sketches.cli.readers.common import BLOCK, Batches, select, unique
from sketches.cli.source import Source

__all__ = ["read"]

_START = 1 << 22  # bytes from which the columns' types are inferred
_SHOWN = 60  # bytes of what is wrong


def read(source: Source, columns: Sequence[str], delimiter: str) -> Batches:
    """Yield an empty table of the columns' types, then blocks of rows as `typed` gives them.

    Arrow's reader splits the rows and leaves each cell as it is: it would stop at the first that does not fit.
    """
    stream = io.BufferedReader(_Text(source), 2 * _START)
    try:
        parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        # use_threads=False: only so does Arrow know the number of a bad row.
        options = pa.csv.ReadOptions(block_size=_START, use_threads=False)
        # Arrow skips empty lines before a header that it reads, but not before one that it is told to skip.
        peeked = stream.peek()
        start = peeked.lstrip(b"\r\n")
        stream.read(len(peeked) - len(start))
        if not start:
            raise InputError(f"{source.name}: no header, only empty lines")
        inferred = pa.csv.open_csv(io.BytesIO(start + b"\n"), options, parse).schema
        names = unique(inferred.names)
        # A column without any value so far may get some later; everything can be text.
        kinds = {
            name: pa.string() if pa.types.is_null(kind) else kind
            for name, kind in zip(names, inferred.types, strict=True)
        }
        chosen = select(source, columns, names)
        options = pa.csv.ReadOptions(block_size=BLOCK, use_threads=False, column_names=names, skip_rows_after_names=1)
        convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            include_columns=chosen,
            null_values=[""],
            strings_can_be_null=True,
        )
        yield pa.schema([(name, kinds[name]) for name in chosen]).empty_table()
        for batch in pa.csv.open_csv(stream, options, parse, convert):
            yield pa.table({name: typed(batch.column(name), kinds[name]) for name in chosen})
    except UnicodeDecodeError as error:
        raise InputError(f"{source.name}: the header is not UTF-8: {error.object[:_SHOWN]!r}") from error
    except pa.ArrowInvalid as error:
        text = reason(error)
        if "straddling" in text:
            text = f"a row is longer than {BLOCK >> 20} MiB (is a quotation mark never closed?)"
        raise InputError(f"{source.name}: {text}") from error


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
