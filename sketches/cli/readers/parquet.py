"""Parquet, a batch of rows at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet

from sketches.cli.readers.common import BLOCK, Batches, flat, select
from sketches.cli.source import Source

__all__ = ["read"]

_ROWS = 1 << 16  # rows of a batch


def read(source: Source, columns: Sequence[str]) -> Batches:
    """Read batches through Arrow's own file reader; a pipe or compressed file goes to a temporary file before."""
    with tempfile.TemporaryFile() as spool:
        file = source.file()
        if file is None:
            while data := source.read(BLOCK):
                spool.write(data)
            file = spool
        # A small buffer instead of whole column chunks: memory follows the pages, not the row groups.
        parquet = pa.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        empty = flat(parquet.schema_arrow.empty_table())
        names = select(source, columns, empty.column_names)
        yield empty.select(names)
        rows = 0
        for batch in parquet.iter_batches(_ROWS, columns=names if columns else None, use_threads=False):
            rows += len(batch)
            source.position = (source.size or 0) * rows // parquet.metadata.num_rows
            yield flat(pa.Table.from_batches([batch]))
