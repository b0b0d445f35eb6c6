"""Cells of CSV as items: each by itself, whatever stands around it."""

import datetime
import itertools

import pyarrow as pa
import pytest

from sketches.cli.readers.cells import typed

ZONED = pa.timestamp("s", "UTC")
UTC = datetime.UTC


def items(cells, kind):
    return typed(pa.array([cell.encode() if isinstance(cell, str) else cell for cell in cells], pa.binary()), kind)


def alone(cells, kind):
    return [items([cell], kind).to_pylist()[0] for cell in cells]


def same(found, expected):
    """Tell whether items are equal, in type too but for numbers: 1 and 1.0 are one item."""
    pairs = zip(found, expected, strict=True)
    return all((a == b and isinstance(a, str) == isinstance(b, str)) or (a != a and b != b) for a, b in pairs)


NUMBERS = {
    "7": 7,
    "-7": -7,
    "+7": 7,
    " 7\t": 7,
    "007": 7,
    "0x1F": 31,
    "0xFFFFFFFFFFFFFFFF": 2**64 - 1,
    "-0": 0,
    "9007199254740993": 2**53 + 1,
    "-9223372036854775809": -(2**63) - 1,
    "18446744073709551617": 2**64 + 1,
    "9" * 76: 10**76 - 1,
    "9" * 77: "9" * 77,
    "1" * 80: "1" * 80,  # Arrow would make another number of it
    "1" * 400: "1" * 400,
    "1.5": 1.5,
    " .5 ": 0.5,
    "5.": 5.0,
    "1e300": 1e300,
    "1e5": 1e5,
    "inf": float("inf"),
    "-Infinity": float("-inf"),
    "NAN": float("nan"),
    "NA": None,
    "nan": None,
    None: None,
    " NA": " NA",
    "x": "x",
    " x ": " x ",
    "1,5": "1,5",
    "1_0": "1_0",
    "0x": "0x",
    "1 2": "1 2",
    "١": "١",
    "--1": "--1",
}
BOOLS = {"true": True, "FALSE": False, "1": True, "0": False, " true": True, "2": "2", "yes": "yes", "NA": None}
DAYS = {
    "2024-02-29": datetime.datetime(2024, 2, 29),
    "2024-02-29 10:00:00": datetime.datetime(2024, 2, 29, 10),
    "2024-02-29T10:00": datetime.datetime(2024, 2, 29, 10),
    "2024-02-29 10:00:00.25": datetime.datetime(2024, 2, 29, 10, 0, 0, 250_000),
    "1066-10-14": datetime.datetime(1066, 10, 14),
    "2024-02-30": "2024-02-30",
    "2024-02-29T10:00Z": "2024-02-29T10:00Z",
    "1066-10-14 09:00:00.5": "1066-10-14 09:00:00.5",  # nanoseconds since 1970 would exceed 64 bits
    "29.2.2024": "29.2.2024",
    "null": None,
}
MOMENTS = {
    "2024-02-29T10:00:00Z": datetime.datetime(2024, 2, 29, 10, tzinfo=UTC),
    "2024-02-29 11:00:00+01:00": datetime.datetime(2024, 2, 29, 10, tzinfo=UTC),
    "2024-02-29T10:00:00.5Z": datetime.datetime(2024, 2, 29, 10, 0, 0, 500_000, tzinfo=UTC),
    "2024-02-29T10:00:00": "2024-02-29T10:00:00",
    "2024-02-29": "2024-02-29",
}
CLOCKS = {"10:30": datetime.time(10, 30), "10:30:15 ": datetime.time(10, 30, 15), "24:00": "24:00", "10": "10"}
KINDS = [
    (pa.int64(), NUMBERS),
    (pa.float64(), NUMBERS),
    (pa.bool_(), BOOLS),
    (pa.date32(), DAYS),
    (pa.timestamp("s"), DAYS),
    (pa.timestamp("ns"), {cell: item for cell, item in DAYS.items() if cell != "1066-10-14"}),
    (ZONED, MOMENTS),
    (pa.time32("s"), CLOCKS),
]


def plain(values):
    """Give items in one type: days as their first instants, Arrow's nanoseconds as Python's microseconds."""
    for value in values:
        if isinstance(value, datetime.datetime):
            yield datetime.datetime.fromtimestamp(value.timestamp(), value.tzinfo)
        elif isinstance(value, datetime.date):
            yield datetime.datetime(value.year, value.month, value.day)
        else:
            yield int(value) if type(value).__name__ == "Decimal" else value


@pytest.mark.parametrize(("kind", "expected"), KINDS, ids=[str(kind) for kind, _ in KINDS])
def test_items(kind, expected):
    cells = list(expected)
    for found in (items(cells, kind).to_pylist(), alone(cells, kind)):
        assert same(list(plain(found)), list(expected.values()))
    not_text = typed(pa.array([cell and cell.encode() for cell in cells] + [b"\xff"]), kind).to_pylist()
    assert same(
        [item.decode() if isinstance(item, bytes) else item for item in plain(not_text[:-1])], list(expected.values())
    )
    assert not_text[-1] == b"\xff"


@pytest.mark.parametrize(
    ("kind", "alphabet", "length"),
    [(pa.int64(), "09.e+-x ", 4), (pa.float64(), "1.Ee-naifNAF", 3), (pa.bool_(), "01trueT ", 4)],
)
def test_an_item_does_not_depend_on_its_block(kind, alphabet, length):
    """All short cells: each cast at once with those that look like it, equals the one sorted out beside a word."""
    cells = ["".join(letters) for letters in itertools.product(alphabet, repeat=length)]
    cells += ["".join(letters) for letters in itertools.product(alphabet, repeat=2)]
    mixed = items([*cells, "word"], kind).to_pylist()[:-1]
    fits = [cell for cell, item in zip(cells, mixed, strict=True) if not isinstance(item, str)]
    assert 10 < len(fits) < len(cells)
    assert same(items(fits, kind).to_pylist(), [item for item in mixed if not isinstance(item, str)])
    for cell, item in itertools.islice(zip(cells, mixed, strict=True), 0, None, 7):
        assert same(items([cell], kind).to_pylist(), [item])


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        (pa.date32(), ["2024-02-29"]),
        (pa.timestamp("s"), ["2024-02-29 10:11:12", "2024-02-29T10:11", "2024-02-29 10", "2024-02-29 10:11:12.125"]),
        (pa.timestamp("ns"), ["2024-02-29 10:11:12.125"]),
        (ZONED, ["2024-02-29 10:11:12Z", "2024-02-29T10:11+0100", "2024-02-29 10:11:12.5-01:30"]),
        (pa.time32("s"), ["10:11:12", "23:59"]),
    ],
)
def test_times_do_not_depend_on_their_block(kind, cells):
    """All cells that differ from a time in one letter."""
    changed = [
        c[:i] + new + c[i + 1 :] for c in cells for i in range(len(c)) for new in ("0", "9", "T", " ", ":", "Z", "")
    ]
    mixed = items([*changed, "word"], kind).to_pylist()[:-1]
    assert same(list(plain(alone(changed, kind))), list(plain(mixed)))


def test_blocks_that_fit_have_one_type():
    number = pa.int64()
    for cells, kind in (
        (["7", None, "NA", " 7"], pa.int64()),
        (["18446744073709551615", "NA"], pa.uint64()),
        (["7", "0.5"], pa.float64()),
        ([], pa.int64()),
    ):
        assert items(cells, number).type == kind
    assert items(["NA", "7", "x"], pa.string()).to_pylist() == ["NA", "7", "x"]


def test_many_misfits_take_little_time():
    """Cells that look right and are not are sorted out once each; by halves, a hundred thousand would take seconds."""
    found = items(["2024-02-29", "2024-02-30"] * 50_000, pa.date32())
    assert [len(found.field(number)) for number in range(3)] == [50_000, 0, 50_000]
