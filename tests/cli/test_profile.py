"""The command `profile`: answers against exact ones, and the files it writes."""

import decimal
import json
import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from cli.invoking import COUNTS, ITEMS, ROOT, holds, invoke, invoke_json, problem
from typer.testing import CliRunner

import sketches
from sketches import FlajoletMartin
from sketches.cli.app import app
from sketches.cli.readers import csv
from sketches.cli.readers import text as text_reader


def test_profile_of_text(text, monkeypatch):
    monkeypatch.setattr(text_reader, "_LINES", 1000)
    found = invoke_json("profile", text)
    assert (found["format"], found["rows"], found["bytes_read"]) == ("text", 20_000, text.stat().st_size)
    (column,) = found["columns"]
    assert (column["name"], column["type"], column["count"], column["nulls"]) == ("line", "string", 20_000, 0)
    assert holds(column["distinct"], len(COUNTS))
    assert holds(column["f2"], sum(count**2 for count in COUNTS.values()))
    assert column["top"][0]["item"] == COUNTS.most_common(1)[0][0]
    assert all(entry["lower"] <= COUNTS[entry["item"]] <= entry["upper"] for entry in column["top"])
    numbers = np.array(ITEMS, np.float64)
    for answer in column["quantiles"]:
        assert holds(answer, np.quantile(numbers, answer["q"], method="inverted_cdf"))
    assert column["sketch_bytes"] == found["sketch_bytes"] > 0
    assert not column["saved"]


def test_quantiles_only_where_all_lines_are_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(text_reader, "_LINES", 1000)
    path = tmp_path / "a"
    path.write_text("12\n" * 1000 + "x\n" + "12\n" * 1000)
    assert invoke_json("profile", path)["columns"][0]["quantiles"] is None
    path.write_bytes(b"\xff\n12\n")
    (column,) = invoke_json("profile", path)["columns"]
    assert (column["type"], column["quantiles"]) == ("binary", None)


def test_profile_of_a_table(table):
    found = {column["name"]: column for column in invoke_json("profile", table)["columns"]}
    assert list(found) == [
        "id",
        "price",
        "city/zip",
        "kind",
        "step",
        "ok",
        "day",
        "at",
        "took",
        "ratio",
        "tags",
        "none",
    ]
    distinct = {
        "id": 1000,
        "price": 400,
        "city/zip": 2,
        "kind": 7,
        "step": 11,
        "ok": 2,
        "day": 28,
        "at": 24,
        "took": 60,
    }
    for name, truth in distinct.items():
        assert round(found[name]["distinct"]["estimate"]) == truth
    assert (found["city/zip"]["count"], found["city/zip"]["nulls"]) == (667, 333)
    assert {entry["item"] for entry in found["ok"]["top"]} == {True, False}
    assert {entry["item"] for entry in found["day"]["top"]} <= {f"2020-01-{day:02}" for day in range(1, 29)}
    assert {entry["item"] for entry in found["kind"]["top"]} == set("0123456")
    assert holds(found["price"]["quantiles"][-1], 99.75)
    assert holds(found["step"]["quantiles"][3], 5)
    assert not found["id"]["top"]
    assert [name for name in found if found[name].get("quantiles")] == ["id", "price", "step", "took"]
    assert found["tags"] == {"name": "tags", "type": "list<element: int64>", "profiled": False}
    assert (found["none"]["count"], found["none"]["nulls"]) == (0, 1000)


@pytest.mark.parametrize("first", [2**60, 2**64, -(10**30)])
def test_whole_decimals_are_exact(tmp_path, first):
    numbers = [decimal.Decimal(first + i // 2) for i in range(2000)]
    column = pa.array([*numbers, None], pa.decimal128(38, 0))
    pa.parquet.write_table(pa.table({"id": column}), tmp_path / "a.parquet")
    (found,) = invoke_json("profile", tmp_path / "a.parquet", "--save", tmp_path)["columns"]
    assert (found["count"], found["nulls"]) == (2000, 1)
    assert holds(found["distinct"], 1000)
    assert {entry["item"] for entry in found["top"]} <= {int(number) for number in numbers}
    assert found["top"][0]["upper"] == 2
    for answer in found["quantiles"]:
        assert answer["lower"] <= first + 999 * answer["q"] <= answer["upper"]


def test_extension_types(tmp_path):
    """Items of Arrow's extension types, such as UUIDs, are those that are stored for them."""
    stored = [f"{i // 2:016}".encode() for i in range(1000)]
    pa.parquet.write_table(pa.table({"id": pa.array(stored, pa.uuid())}), tmp_path / "a.parquet")
    (found,) = invoke_json("profile", tmp_path / "a.parquet")["columns"]
    assert (found["type"], found["count"]) == ("extension<arrow.uuid>", 1000)
    assert holds(found["distinct"], 500)


def test_numbers_that_json_has_not(tmp_path):
    numbers = [math.inf] * 4 + [-math.inf] * 3 + [math.nan] * 2 + [0.5]
    pa.parquet.write_table(pa.table({"x": numbers}), tmp_path / "a.parquet")
    (found,) = invoke_json("profile", tmp_path / "a.parquet")["columns"]
    assert [entry["item"] for entry in found["top"]] == ["inf", "-inf", "nan"]


def test_tables_for_people(table, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(table.parent)
    output = invoke("profile", table.name).stdout
    assert max(map(len, output.splitlines())) <= 80
    for part in (
        "t.parquet  parquet, 1,000 rows",
        "city/zip  string, 667 items, 333 nulls",
        "median",
        "no item is known to",
    ):
        assert part in output
    assert "tags  list<element: int64>: not profiled" in output
    assert "none  null, 0 items, 1,000 nulls" in output


def test_columns(table):
    found = invoke_json("profile", table, "--column", "day", "--column", "id")
    assert [column["name"] for column in found["columns"]] == ["id", "day"]
    assert problem("profile", table, "--column", "town").startswith(
        f"{table}: no column 'town'; the columns are 'id', "
    )
    assert "has type list" in problem("profile", table, "--column", "tags")


def test_items_that_would_disturb_a_terminal(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x1b[31mred\n" * 3 + b"[bold]x\n" * 3 + b"\n\n" + b"caf\xe9\n" * 2 + b" x \n" * 2)
    output = invoke("profile", path).stdout
    for part in (r"\x1b[31mred", "[bold]x", "''", r"caf\xe9", "' x '"):
        assert part in output
    (column,) = invoke_json("profile", path)["columns"]
    assert "\x1b[31mred" in [entry["item"] for entry in column["top"]]


def test_standard_input():
    result = CliRunner().invoke(app, ["profile", "-", "--json"], input="a\nb\na\n")
    assert json.loads(result.stdout)["file"] == "standard input"


def test_progress_on_a_terminal(text, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "reading" in invoke("profile", text, "--json").stderr
    monkeypatch.delenv("FORCE_COLOR")
    assert not invoke("profile", text, "--json").stderr


def test_misfits_are_strings_beside_the_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "_START", 1024)
    path = tmp_path / "a.csv"
    numbers = [*range(1000), 2**64 + 1, 2**64 + 2]
    cells = [*numbers[:900], "many", "NA", "many", *numbers[900:]]
    path.write_text("n,ok\n" + "".join(f"{cell},{'maybe' if cell == 'many' else 'true'}\n" for cell in cells))
    found, ok = invoke_json("profile", path, "--save", tmp_path)["columns"]
    assert (found["type"], found["count"], found["nulls"], found["misfits"]) == ("int64", 1004, 1, 2)
    assert round(found["distinct"]["estimate"]) == 1003  # of few items, none is mistaken for another
    assert [entry["item"] for entry in found["top"]] == ["many"]
    for answer in found["quantiles"]:
        assert holds(answer, np.quantile(np.array(numbers, float), answer["q"], method="inverted_cdf"))
    quantiles = sketches.load(found["saved"]["quantiles"])
    assert (quantiles.total, quantiles.nulls) == (1002, 1)
    assert [sketches.load(found["saved"][name]).nulls for name in ("distinct", "skew", "top")] == [1, 1, 1]
    assert ok["misfits"] == 2
    assert {entry["item"] for entry in ok["top"]} == {True, "maybe"}
    assert "n  int64, 1,004 items, 1 nulls, 2 misfits taken as strings" in invoke("profile", path).stdout


def test_delimiter(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1,5;2\n")
    assert [column["name"] for column in invoke_json("profile", path, "--delimiter", ";")["columns"]] == ["a", "b"]
    assert problem("profile", path, "--delimiter", "ab").startswith("delimiter 'ab' is not one ASCII character")
    assert "read as text, which takes no delimiter" in problem("profile", path, "--format", "text", "--delimiter", ";")


def test_save(table, tmp_path):
    folder = tmp_path / "new" / "folder"
    found = invoke_json("profile", table, "--save", folder, "--seed", 7)
    (city,) = (column for column in found["columns"] if column["name"] == "city/zip")
    assert sorted(city["saved"]) == ["distinct", "skew", "top"]
    assert Path(city["saved"]["distinct"]) == folder / "city%2Fzip.distinct.sketch"
    expected = FlajoletMartin(seed=7)
    expected.update(pa.parquet.read_table(table)["city/zip"])
    assert sketches.load(city["saved"]["distinct"]) == expected
    names = {path.name for path in folder.iterdir()}
    assert {"id.distinct.sketch", "id.top.sketch", "id.skew.sketch", "id.quantiles.sketch"} <= names
    assert not [name for name in names if name.startswith(("tags", "."))]


def test_save_where_no_folder_can_be(text, tmp_path):
    assert problem("profile", text, "--save", text) == f"{text}: File exists"
    assert problem("profile", text, "--save", text / "x") == f"{text / 'x'}: Not a directory"
    (tmp_path / "out" / "line.top.sketch").mkdir(parents=True)
    assert "Is a directory" in problem("profile", text, "--save", tmp_path / "out")


def test_interrupted_save_leaves_no_half_written_file(text, tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    invoke("profile", text, "--save", tmp_path / "out", code=130)
    assert not list((tmp_path / "out").iterdir())


def test_retail():
    """The real stream of 908,576 items, whose exact answers are known."""
    path = Path(os.environ.get("SKETCHES_DATA", ROOT / "../shared/data")) / "streams/retail.txt.gz"
    if not path.exists():
        pytest.skip(f"{path} is absent; SKETCHES_DATA may name the folder that has it")
    (column,) = invoke_json("profile", path)["columns"]
    assert column["count"] == 908_576
    assert holds(column["distinct"], 16_470)
    assert holds(column["f2"], 5_364_936_090)
    assert column["top"][0]["item"] == "39"
    assert column["top"][0]["lower"] <= 50_675 <= column["top"][0]["upper"]
