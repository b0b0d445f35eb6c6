"""CSV: names, nulls, and cells as items."""

import pyarrow as pa
import pytest
from cli.reading import compress, problem, read, reading, rows

from sketches.cli.readers import Format, csv


def test_csv_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,id,,id (2)\n1,2,3,4\n")
    assert rows(path) == [{"id": 1, "id (2)": 2, "column 3": 3, "id (2) (2)": 4}]
    assert rows(path, columns=["id (2)"]) == [{"id (2)": 2}]


def test_csv_nulls(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('n,s\n1,x\nNA,NA\n,\n3,""\n')
    assert rows(path) == [{"n": 1, "s": "x"}, {"n": None, "s": "NA"}, {"n": None, "s": None}, {"n": 3, "s": None}]


@pytest.mark.parametrize("start", ["\n", "\r\n\n", "\ufeff\n"])
def test_csv_empty_lines_before_the_header(tmp_path, start):
    path = tmp_path / "a.csv"
    path.write_bytes((start + "name,n\nann,1\n\nbob,2\n").encode())
    assert rows(path) == [{"name": "ann", "n": 1}, {"name": "bob", "n": 2}]


@pytest.mark.parametrize("data", ["a,b", "a,b\n", "a,b\r\n", "\ufeffa,b"])
def test_csv_header_alone(tmp_path, data):
    path = tmp_path / "a.csv"
    path.write_bytes(data.encode())
    (table,) = read(path)
    assert (table.column_names, table.num_rows) == (["a", "b"], 0)


@pytest.mark.parametrize("suffix", [".tsv", ".TSV.gz"])
def test_tabs(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    data = b'name\tn\n"Smith, ann"\t1\n"a\tb"\t2\n'
    path.write_bytes(compress(data, "gzip") if suffix.endswith("gz") else data)
    assert rows(path) == [{"name": "Smith, ann", "n": 1}, {"name": "a\tb", "n": 2}]


@pytest.mark.parametrize(("given", "delimiter"), [(None, ","), (";", ";"), (r"\t", "\t"), ("|", "|"), (" ", " ")])
def test_delimiter(tmp_path, given, delimiter):
    path = tmp_path / "a.csv"
    path.write_text(f"name{delimiter}n\nann{delimiter}1\n")
    assert rows(path, delimiter=given) == [{"name": "ann", "n": 1}]


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "\r", "\0", "§", "\udcff"])
def test_no_delimiter(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    assert "is not one ASCII character" in problem(path, delimiter=delimiter)


@pytest.mark.parametrize("file_format", ["text", "tsv", "jsonl", "parquet"])
def test_delimiter_of_other_formats(tmp_path, file_format):
    path = tmp_path / "a"
    path.write_text("a\n1\n")
    assert f"read as {file_format}, which takes no delimiter" in problem(path, Format(file_format), delimiter=";")


def test_misfits_in_any_block(tmp_path, small_blocks):
    path = tmp_path / "a.csv"
    numbers = list(range(2000))
    cells = [("many" if i == 1500 else 2**70 + 1 if i == 1600 else i) for i in numbers]
    path.write_text("n,s\n" + "".join(f"{cell},x\n" for cell in cells))
    assert [row["n"] for row in rows(path)] == cells
    path.write_bytes(path.read_bytes().replace(b"1700,x", b"caf\xe9,\xff"))
    found = rows(path)
    assert found[1700] == {"n": b"caf\xe9", "s": b"\xff"}
    assert [row["n"] for row in found[1701:]] == cells[1701:]


def test_items_do_not_depend_on_where_blocks_end(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    cells = ["7", "x", "1.5", "NA", "9007199254740993", " 7", "18446744073709551617", "0xFF", "", "-", "7.0"]
    path.write_text("n,m\n" + "1,1\n" * 100 + "".join(f"{cells[i % 11]},{cells[i % 7]}\n" for i in range(900)))
    monkeypatch.setattr(csv, "_START", 256)
    found = []
    for size in (100, 999, 1 << 21):
        monkeypatch.setattr(csv, "BLOCK", size)
        found.append([tuple(row.values()) for row in rows(path)])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 1000


def test_memory_is_bounded(tmp_path):
    """Of 15 MB, of which most does not fit, no more is held at a time than the start and a few copies of a block."""
    path = tmp_path / "a.csv"
    path.write_text("n,m\n" + "1,2020-01-01\n" * 350_000 + "".join(f"word{i},2020-02-30\n" for i in range(400_000)))
    before, most = pa.total_allocated_bytes(), 0
    for table in reading(path):
        most = max(most, pa.total_allocated_bytes() - before)
        del table
    assert 0 < most < 16 << 20
