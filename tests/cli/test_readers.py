"""Files as Arrow tables: every format whole and in pieces, and every way in which a file can be bad."""

import datetime
import io
import json
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from cli.reading import compress, problem, read, rows

from sketches.cli.errors import InputError
from sketches.cli.readers import Format, batches, format_of, json_lines
from sketches.cli.readers.text import split_lines
from sketches.cli.source import Source

LINES = ["a", "", "Zürich", " x ", "39", "a"]
TABLE = pa.table(
    {
        "id": range(1000),
        "price": [i / 7 for i in range(1000)],
        "city": ["Köln", "a,b", 'x"y', "two\nlines", None] * 200,
        "day": [datetime.date(2020, 1, 1 + i % 28) for i in range(1000)],
        "late": [None] * 999 + ["x"],
    }
)


def write_table(path, suffix):
    if suffix == ".csv":
        pa.csv.write_csv(TABLE, path)
    elif suffix == ".parquet":
        pa.parquet.write_table(TABLE, path, row_group_size=300)
    else:
        lines = [json.dumps({k: v for k, v in row.items() if v is not None}, default=str) for row in TABLE.to_pylist()]
        path.write_text("\n\n".join(lines))


@pytest.mark.parametrize(
    ("path", "file_format"),
    [
        ("a.csv", "csv"),
        ("a.CSV.GZ", "csv"),
        ("a.tsv", "tsv"),
        ("a.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json", "jsonl"),
        ("a.pq", "parquet"),
        ("dir.csv/a.parquet", "parquet"),
        ("a.log", "text"),
        ("a.gz", "text"),
        ("-", "text"),
    ],
)
def test_format_by_suffix(path, file_format):
    assert format_of(path) == file_format


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", [True, False])
def test_lines(tmp_path, small_blocks, newline, end):
    path = tmp_path / "a.txt"
    lines = LINES * 20
    path.write_bytes((newline.join(lines) + newline * end).encode())
    tables = read(path)
    assert len(tables) > 10
    assert [row["line"] for table in tables for row in table.to_pylist()] == lines


def test_lines_keep_everything_but_the_newline():
    assert split_lines(b"a\r\rb\r\n\r\nc\rd").to_pylist() == ["a\r\rb", "", "c\rd"]
    assert split_lines(b"\n").to_pylist() == [""]


def test_lines_that_are_not_utf8_are_bytes():
    assert split_lines(b"caf\xe9\nx\n").to_pylist() == [b"caf\xe9", b"x"]


def test_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")
    assert rows(path) == [{"line": "a"}, {"line": "\ufeffb"}]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_tables(tmp_path, small_blocks, suffix, compression):
    plain = tmp_path / f"a{suffix}"
    write_table(plain, suffix)
    path = tmp_path / f"a{suffix}{compression}"
    if compression:
        path.write_bytes(compress(plain.read_bytes(), {".gz": "gzip", ".zst": "zstd"}[compression]))
    found = rows(path)
    assert len(found) == 1000
    for name in ("id", "price", "city", "late"):
        assert [row.get(name) for row in found] == TABLE[name].to_pylist()
    assert {str(row["day"])[:10] for row in found} == {str(day) for day in TABLE["day"].to_pylist()}
    assert rows(path, columns=["city", "id"])[:2] in (
        [{"id": 0, "city": "Köln"}, {"id": 1, "city": "a,b"}],
        [{"city": "Köln", "id": 0}, {"city": "a,b", "id": 1}],
    )
    assert "no column 'town'; the columns are " in problem(path, columns=["city", "town"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_rows(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        path.write_text("a,b\n")
    else:
        pa.parquet.write_table(TABLE.slice(0, 0), path)
    tables = read(path)
    assert not rows(path)
    assert tables[0].column_names == (["a", "b"] if suffix == ".csv" else TABLE.column_names)


def test_position_reaches_the_size(tmp_path):
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = tmp_path / f"a{suffix}"
        write_table(path, suffix)
        with Source(str(path)) as source:
            for _ in batches(source, format_of(str(path)), []):
                pass
            assert source.position == source.size == path.stat().st_size


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_standard_input(tmp_path, monkeypatch, suffix, compression):
    path = tmp_path / f"a{suffix}"
    write_table(path, suffix)
    data = path.read_bytes() if compression is None else compress(path.read_bytes(), compression)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    piped = [row for table in read("-", format_of(str(path))) for row in table.to_pylist()]
    assert piped == rows(path)


def test_closed_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        Source("-")


def test_structs_become_columns(tmp_path):
    items = [{"user": {"name": "ann", "at": {"city": "Rome"}}, "tags": [1]}, {"user": {"name": "bob"}}]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    expected = [
        {"user.name": "ann", "user.at.city": "Rome", "tags": [1]},
        {"user.name": "bob", "user.at.city": None, "tags": None},
    ]
    assert rows(path) == expected
    pa.parquet.write_table(pa.Table.from_pylist(items), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == expected
    assert rows(tmp_path / "a.parquet", columns=["user.at.city"]) == [{"user.at.city": "Rome"}, {"user.at.city": None}]


def test_json_types_hold_for_the_whole_file(tmp_path, small_blocks):
    # Blocks of 1,024 bytes: a later block of dates alone must not become times where strings came first, nested or not.
    path = tmp_path / "a.jsonl"
    items = [{"s": "x", "in": {"s": "x"}, "n": 1}] + [{"s": "2020-01-01", "in": {"s": "2020-01-01"}, "n": 1.5}] * 100
    path.write_text("\n".join(map(json.dumps, items)))
    found = rows(path)
    assert [row["s"] for row in found] == [row["in.s"] for row in found] == [item["s"] for item in items]
    assert [row["n"] for row in found] == [item["n"] for item in items]


def test_json_type_may_not_change(tmp_path, small_blocks):
    path = tmp_path / "a.jsonl"
    block = '{"a": 1}' + " " * 503 + "\n"  # two lines a block
    path.write_text(block * 4 + '{"a": "x"}\n')
    assert problem(path).endswith("column 'a' changes from number to string after line 4")
    path.write_text('{"a": 1}\n\n{"a": "x"}\n')
    assert "line 3: Column(/a) changed from number to string" in problem(path)


def test_json_column_that_comes_late(tmp_path, small_blocks):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1, "c": null}\n' * 300 + '{"b": 2, "c": 1}\n' + '{"c": null}\n' * 300)
    found = rows(path, columns=["b", "c"])
    assert len(found) == 601
    assert found[300] == {"b": 2, "c": 1}


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_depth_of_json(end):
    def line(*values):
        return (end or "\n").join(map(json.dumps, values)).encode() + end.encode()

    nested: list = []
    for _ in range(300):
        nested = [nested]
    brackets = '[[[{\\"[' * 100 + "\\"
    assert json_lines._depth(line({"a": nested, brackets: 1})) == 302
    assert json_lines._depth(line({brackets: [{"a": brackets}]}, {"a": [1]})) == 3
    assert json_lines._depth(line({"a": [[brackets, "]" * 400, [1]]] * 300}, {})) == 4
    assert json_lines._depth(line({}, {"a": [{}] * 9})) <= 11
    assert json_lines._depth(b'{"a":' + b"[\n" * 300 + b"]" * 300 + b"}\n") == 301
    assert json_lines._depth(b"\n") == 0


BAD_TEXT = {
    "empty": (b"", "the file is empty"),
    "nul": (b"a\nb\0c\n", "byte 4 is NUL: a binary file, not text"),
    "parquet": (b"PAR1\x15\x04\x15\0", "byte 8 is NUL"),
    "utf-16": ("a\nb\n".encode("utf-16"), "byte 4 is NUL"),
}


@pytest.mark.parametrize("file_format", [Format.text, Format.csv, Format.jsonl])
@pytest.mark.parametrize("name", BAD_TEXT)
def test_no_text(tmp_path, file_format, name):
    data, message = BAD_TEXT[name]
    path = tmp_path / "a"
    path.write_bytes(data)
    assert message in problem(path, file_format)


BAD = [
    ("a.csv", b"a,b\n1,2\n3\n", "Row #3: Expected 2 columns, got 1"),
    ("a.csv", b"a,b\n1,2\n\x1b]0;title\x07,2,3\n", r"Row #3: Expected 2 columns, got 3: \x1b]0;title\x07,2,3"),
    ("a.csv", b"caf\xe9,n\n1,2\n", r"the header is not UTF-8: b'caf\xe9'"),
    ("a.csv", b"\n\r\n", "no header, only empty lines"),
    ("a.csv", b"a,b\n1,2\n3," + b"x" * 9000, "a row is longer than"),
    ("a.csv", b"a,b\n1," + b"y" * 500 + b"," + b"z" * 400 + b"\n", "yyy ..."),
    ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "line 3: "),
    ("a.jsonl", b'{"a": 1}\n' * 500 + b'{"a": oops}\n', "line 501: Invalid value"),
    ("a.jsonl", b'[{"a": 1}]\n', "JSON lines hold one object a line"),
    ("a.jsonl", b'{"a": 1}\n' * 500 + b'{"a": "\xff"}\n', "line 501 is not UTF-8"),
    ("a.jsonl", b'{"a": 1, "a": 2}\n', "line 1: Column(/a) was specified twice"),
    ("a.jsonl", b'{"a": "' + b"x" * 70_000 + b'"}\n', "line 1 is longer than"),
    (
        "a.jsonl",
        b'{"a": 1}\n{"a": ' + b"[" * 900 + b"]" * 900 + b"}\n",
        "an object after line 1 is nested deeper than 200",
    ),
    ("a.parquet", b"PAR1", "Parquet file size is 4 bytes"),
    ("a.parquet", b"hello, this is no parquet file\n", "Parquet magic bytes not found"),
    ("a.txt", b"x" * 2000, "line 1 is longer than"),
    ("a.txt.gz", b"hello\n", "not a gzip file, it begins with b'hell'"),
    ("a.txt.zst", b"\x1f\x8bxx", "not a zstd file"),
    ("a.txt.gz", b"\x1f\x8bxxxxxxxxxxxxxxxxxxxx", "zlib inflate failed"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD, ids=range(len(BAD)))
def test_bad_files(tmp_path, small_blocks, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    found = problem(path)
    assert found.startswith(f"{path}: ")
    assert message in found


@pytest.mark.parametrize("file_format", list(Format))
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_nothing_compressed(tmp_path, file_format, compression):
    path = tmp_path / "a"
    path.write_bytes(compress(b"", compression))
    assert problem(path, file_format) == f"{path}: the file is empty"


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_truncated_compression(tmp_path, suffix, compression):
    plain = tmp_path / f"a{suffix}"
    write_table(plain, suffix)
    data = compress(plain.read_bytes(), compression)
    path = tmp_path / f"a{suffix}.{'gz' if compression == 'gzip' else 'zst'}"
    for cut in (6, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        assert "Truncated compressed stream" in problem(path)


def test_truncated_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, ".parquet")
    path.write_bytes(path.read_bytes()[:-100])
    assert "Parquet magic bytes not found" in problem(path)


def test_damaged_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, ".parquet")
    data = bytearray(path.read_bytes())
    data[20:2000] = b"\xff" * 1980
    path.write_bytes(data)
    assert problem(path)


def test_missing_and_directory(tmp_path):
    assert problem(tmp_path / "none.txt").endswith("none.txt: No such file or directory")
    assert problem(tmp_path).endswith(": Is a directory")
    assert problem(tmp_path / "new\nline").endswith(r"new\nline: No such file or directory")
