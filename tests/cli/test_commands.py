"""The command line: every command's answers against exact ones, its files, and every way in which it ends."""

import collections
import datetime
import decimal
import json
import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import typer
from typer.testing import CliRunner

import sketches
from sketches import AMS, BloomFilter, CountMin, FlajoletMartin, LossyCounting, Quantiles, SpaceSaving
from sketches.cli import main, readers
from sketches.cli.app import app

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from sketches.cli import main; main()"]
ITEMS = [str(number) for number in np.random.default_rng(3).zipf(1.3, 20_000) % 5_000]
COUNTS = collections.Counter(ITEMS)


def invoke(*arguments, code=0, **options):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], **options)
    assert result.exit_code == code, result.output
    return result


def invoke_json(*arguments):
    return json.loads(invoke(*arguments, "--json").stdout)


def problem(*arguments) -> str:
    """Run a command that fails, and give its one line."""
    result = invoke(*arguments, code=2)
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    return line.removeprefix("sketches: ")


def holds(answer: dict, truth: float) -> bool:
    return answer["lower"] <= truth <= answer["upper"]


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


def test_profile_of_text(text, monkeypatch):
    monkeypatch.setattr(readers, "_LINES", 1000)
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
    monkeypatch.setattr(readers, "_LINES", 1000)
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


def saved(tmp_path, sketch, items=ITEMS, name=None):
    path = tmp_path / (name or f"{type(sketch).__name__}.sketch")
    sketch.update(items)
    sketch.save(path)
    return path


def test_show(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    numbers = [float(item) for item in ITEMS]
    files = [
        saved(tmp_path, FlajoletMartin()),
        saved(tmp_path, BloomFilter(5000)),
        saved(tmp_path, CountMin(width=100)),
        saved(tmp_path, AMS()),
        saved(tmp_path, SpaceSaving(100)),
        saved(tmp_path, SpaceSaving(10), range(100), "unique.sketch"),
        saved(tmp_path, LossyCounting(0.01)),
        saved(tmp_path, Quantiles(), [*numbers, None]),
        saved(tmp_path, Quantiles(), [], "empty.sketch"),
    ]
    found = invoke_json("show", *files)
    assert [entry["file"] for entry in found] == [str(path) for path in files]
    parts = {
        "FlajoletMartin": " distinct items (",
        "BloomFilter": " % false positives",
        "AMS": "second moment ",
        "SpaceSaving": f"most frequent: {COUNTS.most_common(1)[0][0]} (",
    }
    for entry in found[:5]:
        assert parts.get(entry["class"], "") in entry["answer"]
    assert found[2]["parameters"] == {"width": 100, "depth": 4, "conservative": False}
    assert found[5]["answer"] == "no item is known to repeat"
    assert found[7]["answer"].startswith("median ")
    assert (found[7]["total"], found[7]["nulls"]) == (20_000, 1)
    monkeypatch.chdir(tmp_path)
    output = invoke("show", *(path.name for path in files)).stdout
    assert max(map(len, output.splitlines())) <= 120
    for part in ("FlajoletMartin.sketch", "width=100", "20,000", "1 nulls", "distinct items ("):
        assert part in output


def test_merge(tmp_path):
    first, second = (
        saved(tmp_path, FlajoletMartin(), ITEMS[:9000], "a"),
        saved(tmp_path, FlajoletMartin(), ITEMS[9000:], "b"),
    )
    output = tmp_path / "c"
    whole = FlajoletMartin()
    whole.update(ITEMS)
    assert invoke("merge", first, second, "-o", output).stdout.startswith(f"{output}: FlajoletMartin of 20,000 items, ")
    assert sketches.load(output) == whole
    invoke("merge", first, second, first, "-o", first)
    assert sketches.load(first).total == 29_000


def test_merge_refuses(tmp_path):
    first, output = saved(tmp_path, FlajoletMartin()), tmp_path / "out"
    for other, message in (
        (FlajoletMartin(10), "cannot merge: precision is 12 here and 10 there"),
        (FlajoletMartin(seed=1), "cannot merge: hashes differ"),
        (AMS(), "cannot merge a FlajoletMartin with a AMS"),
    ):
        second = saved(tmp_path, other, name="other")
        assert problem("merge", first, second, "-o", output).startswith(f"{second}: {message}")
    assert problem("merge", first, "-o", output) == "merge takes two files or more; 1 is given"
    assert problem("merge", first, first, "-o", tmp_path / "no" / "out").endswith(": No such file or directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FlajoletMartin.sketch", "other"]


@pytest.mark.parametrize(
    "sketch", [CountMin(width=2000), AMS(), LossyCounting(0.001)], ids=lambda sketch: type(sketch).__name__
)
def test_query_counts(tmp_path, sketch):
    path = saved(tmp_path, sketch)
    item = COUNTS.most_common(1)[0][0]
    frequent, never = invoke_json("query", path, item, "never")
    assert (frequent["item"], never["item"]) == (item, "never")
    assert holds(frequent, COUNTS[item])
    assert holds(never, 0)
    output = invoke("query", path, item, "never").stdout
    assert re.search(rf"{item} +{sketch[item]:,.0f} ", output)


def test_query_types(tmp_path):
    path = saved(tmp_path, CountMin(width=2000), [7, 7, "7", 0.5])
    for kind, item, count in (("str", "7", 1), ("int", "7", 2), ("float", "7", 2), ("float", "0.5", 1)):
        assert invoke_json("query", path, item, "--type", kind)[0]["estimate"] == count
    assert problem("query", path, "x", "--type", "int") == "item 'x' is no int"


def test_query_bloom(tmp_path):
    path = saved(tmp_path, BloomFilter(5000))
    seen, unseen = invoke_json("query", path, ITEMS[0], "never")
    assert (seen["seen"], unseen["seen"]) == (True, False)
    output = invoke("query", path, ITEMS[0], "never").stdout
    assert "probably" in output
    assert "no, for certain" in output


def test_query_ranks(tmp_path):
    path = saved(tmp_path, Quantiles(), range(1, 1001))
    (answer,) = invoke_json("query", path, "500")
    assert holds(answer, 500)
    assert "items ≤ it" in invoke("query", path, "500").stdout
    assert "has no rank" in problem("query", path, "nan")
    assert "has no rank" in problem("query", path, "500", "--type", "str")


def test_query_of_a_sketch_without_items(tmp_path):
    path = saved(tmp_path, FlajoletMartin())
    assert problem("query", path, "x") == "a FlajoletMartin answers nothing about single items; see `sketches show`"


def test_bad_sketch_files(tmp_path, text):
    path = saved(tmp_path, AMS())
    cut, keyed = tmp_path / "cut", tmp_path / "keyed"
    cut.write_bytes(path.read_bytes()[:-10])
    AMS(key=bytes(16)).save(keyed)
    fingerprint = f"{AMS(key=bytes(16)).hasher.fingerprint:016x}"
    for file, message in (
        (cut, "truncated: "),
        (text, "the bytes start with "),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file or directory"),
        (keyed, f"the sketch was made with a key (fingerprint {fingerprint}); sketches.load in Python takes it"),
    ):
        for arguments in (("show", file), ("query", file, "x"), ("merge", file, path, "-o", tmp_path / "c")):
            assert problem(*arguments).startswith(f"{file}: {message}")


def test_main(text, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    try:
        monkeypatch.setattr(sys, "argv", ["sketches", "profile", str(text)])
        with pytest.raises(SystemExit) as caught:
            main()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert not caught.value.code
    assert "distinct items" in capsys.readouterr().out


def test_main_without_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "sketches.cli.app")
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(
        SystemExit, match=r"^sketches: this command needs typer; run: pip install 'stream-sketches\[cli\]'$"
    ):
        main()
    monkeypatch.setitem(sys.modules, "typer", typer)
    monkeypatch.setitem(sys.modules, "sketches.cli.answers", None)  # a module of the package itself is another matter
    with pytest.raises(ModuleNotFoundError, match=r"sketches\.cli\.answers"):
        main()


# The real command, as a process of its own


def run(*arguments, **options) -> subprocess.CompletedProcess:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False, **options)


def test_process(text):
    done = run("profile", text)
    assert (done.returncode, done.stderr) == (0, "")
    assert "distinct items" in done.stdout
    done = run("profile", text, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")


def test_process_fails_in_one_line(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.touch()
    for arguments in (("profile", empty), ("profile", tmp_path / "none"), ("show", empty), ("profile", sys.executable)):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"sketches: [^\n]+\n", done.stderr)
        assert "Traceback" not in done.stderr


def test_process_without_the_extra():
    code = "import sys; sys.modules['typer'] = None; from sketches.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "sketches: this command needs typer; run: pip install 'stream-sketches[cli]'\n"


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_closed_pipe_is_quiet(text, option):
    with subprocess.Popen(
        [*COMMAND, "profile", str(text), *option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_under_standard_output(text, tmp_path):
    sketch = saved(tmp_path, FlajoletMartin())
    for arguments in (("profile", text), ("profile", text, "--json"), ("merge", sketch, sketch, "-o", sketch)):
        with open("/dev/full", "w") as full:
            command = [*COMMAND, *map(str, arguments)]
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False
            )
        assert (done.returncode, done.stderr) == (2, "sketches: standard output: No space left on device\n")


def test_closed_standard_output(text, tmp_path):
    folder = tmp_path / "out"
    command = " ".join(map(shlex.quote, [*COMMAND, "profile", str(text), "--save", str(folder)]))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} >&-"], stderr=subprocess.PIPE, cwd=ROOT, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("file_format", ["text", "csv", "jsonl"])
def test_interrupt_is_quiet(tmp_path, number, file_format):
    folder = tmp_path / "out"
    arguments = ["profile", "-", "--format", file_format, "--save", str(folder)]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdin.write(b"x\n1\n")
        process.stdin.flush()
        while not folder.exists():  # it is made just before the pass begins
            assert process.poll() is None
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert (output, errors, process.returncode) == (b"", b"", 128 + number)
    assert not list(folder.iterdir())


def test_terminal(text):
    """On a real terminal the bar appears, and is gone at the end."""
    control, terminal = pty.openpty()
    process = subprocess.Popen([*COMMAND, "profile", str(text)], stdout=subprocess.DEVNULL, stderr=terminal, cwd=ROOT)
    os.close(terminal)
    written = b""
    try:
        while chunk := os.read(control, 1 << 16):
            written += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(control)
    assert process.wait(60) == 0
    assert b"reading" in written
    assert written.rstrip().endswith((b"\x1b[2K", b"\x1b[?25h"))


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
