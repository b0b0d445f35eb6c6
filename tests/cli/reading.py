"""Reads files as rows."""

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from sketches.cli.errors import InputError
from sketches.cli.readers import batches, format_of
from sketches.cli.source import Source


def reading(path, file_format=None, columns=(), delimiter=None):
    with Source(str(path)) as source:
        yield from batches(source, file_format or format_of(str(path)), columns, delimiter)


def read(*arguments, **options):
    return list(reading(*arguments, **options))


def rows(*arguments, **options):
    return [row for table in reading(*arguments, **options) for row in table.to_pylist()]


def problem(*arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message


def compress(data: bytes, name: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, name) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()
