"""Files to profile."""

import datetime
import decimal
import math

import pyarrow as pa
import pyarrow.parquet
import pytest
from cli.invoking import ITEMS

from sketches.cli.readers import csv, json_lines, parquet
from sketches.cli.readers import text as text_reader


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "items.txt"
    path.write_text("\n".join(ITEMS) + "\n")
    return path


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.parquet"
    rows = 1000
    columns = {
        "id": range(rows),
        "price": pa.array([decimal.Decimal(i % 400) / 4 for i in range(rows)], pa.decimal128(8, 2)),
        "city/zip": [("Köln", "Ōsaka", None)[i % 3] for i in range(rows)],
        "kind": pa.array([str(i % 7) for i in range(rows)]).dictionary_encode(),
        "step": pa.array([i % 11 for i in range(rows)]).dictionary_encode(),
        "ok": [i % 2 == 0 for i in range(rows)],
        "day": [datetime.date(2020, 1, 1 + i % 28) for i in range(rows)],
        "at": [datetime.time(i % 24) for i in range(rows)],
        "took": [datetime.timedelta(seconds=i % 60) for i in range(rows)],
        "ratio": [math.nan] * rows,
        "tags": [[1]] * rows,
        "none": pa.nulls(rows),
    }
    pa.parquet.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    """Cut the input into many blocks."""
    monkeypatch.setattr(text_reader, "_LINES", 16)
    monkeypatch.setattr(csv, "BLOCK", 1024)
    monkeypatch.setattr(csv, "_START", 1024)
    monkeypatch.setattr(json_lines, "BLOCK", 1024)
    monkeypatch.setattr(parquet, "_ROWS", 100)
