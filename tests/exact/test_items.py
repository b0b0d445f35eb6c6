"""Every source of items: dtypes, layouts, offsets, bitmaps, chunks; each slot's hash is that of its Python item."""

import datetime
import decimal
import itertools
import math
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sketches import Hasher, Quantiles, from_bytes
from sketches.core.columns import Dictionary, Nulls
from sketches.core.items import BLOCK, blocks, columns, hash_all, hash_block, number_block
from sketches.core.scalars import canonical

HASHER = Hasher()


def hashes(items) -> tuple[list[int], int, list]:
    """All hashes, the number of nulls, and the items found again by position."""
    found, nulls, again = [], 0, []
    for block in (hash_block(block, HASHER) for block in blocks(items)):
        found += block.hashes.tolist()
        nulls += block.nulls
        again += block.items(np.arange(len(block.hashes)))
    return found, nulls, again


def check_column(items, expected: list) -> None:
    there = [item for item in expected if canonical(item) is not None]
    found, nulls, again = hashes(items)
    assert found == [HASHER.item(item) for item in there]
    assert nulls == len(expected) - len(there)
    assert repr(again) == repr([canonical(item) for item in there])


@pytest.mark.parametrize(
    "dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">u8", "?", "f2", "f4", "f8", ">f4"]
)
def test_numpy_numbers(dtype):
    array = np.arange(250).astype(dtype)
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        array[:2] = limits.min, limits.max
        array[2] = limits.max - (5000 if limits.max > 5000 else 0)
    if array.dtype.kind == "f":
        array[:6] = np.nan, -np.nan, np.inf, -0.0, 1.5, -np.inf
    for view in (array, array[::-1], array[::3], np.asfortranarray(array)):
        check_column(view, view.tolist())


def test_unaligned_and_read_only_numbers():
    raw = np.frombuffer(bytes(1) + np.arange(100).tobytes(), np.uint8)[1:]
    unaligned = raw.view(np.int64)
    assert not unaligned.flags.aligned
    check_column(unaligned, list(range(100)))


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s"])
def test_numpy_instants(unit):
    array = np.array([0, 1, -1, 1000, -7, 12345], f"M8[{unit}]")
    check_column(array, list(array))
    array[2] = "NaT"
    check_column(array, list(array))
    check_column(array.astype(array.dtype.newbyteorder(">")), list(array))


def test_instants_out_of_range_and_without_unit():
    with pytest.raises(ValueError, match="outside the 64-bit range"):
        hashes(np.array([2**62], "M8[D]"))
    with pytest.raises(TypeError, match="without a unit"):
        hashes(np.array([1, 2]).view("M8"))


def test_numpy_strings():
    words = ["", "a", "bé", "日本", "x" * 40, "\U0001f600"]
    for array in (np.array(words), np.array(words).astype(">U40"), np.array(words * 2)[::2]):
        check_column(array, array.tolist())
    data = [word.encode() for word in words]
    check_column(np.array(data), data)
    check_column(np.array([b"a\0b", b"a\0"]), [b"a\0b", b"a"])  # NumPy itself drops trailing zeros
    check_column(np.array(words, np.dtypes.StringDType()), words)
    missing = np.array(["a", None, "b"], np.dtypes.StringDType(na_object=None))
    check_column(missing, ["a", None, "b"])
    nan = float("nan")
    check_column(np.array(["a", nan], np.dtypes.StringDType(na_object=nan)), ["a", None])
    check_column(np.array([], "U0"), [])
    check_column(np.zeros(2, "S0"), [b"", b""])
    check_column(np.zeros(2, "U0"), ["", ""])


def test_masked_arrays_and_objects():
    check_column(np.ma.array([1, 2, 3], mask=[0, 1, 0]), [1, None, 3])
    check_column(np.ma.array(["a", "b"], mask=[1, 0]), [None, "b"])
    check_column(
        np.array([1, "a", None, (1, 2.5), 2**80, float("nan")], object), [1, "a", None, (1, 2.5), 2**80, float("nan")]
    )


ARROW = [
    (pa.array([1, None, -3], pa.int8()), [1, None, -3]),
    (pa.array([1, None, 2**64 - 1], pa.uint64()), [1, None, 2**64 - 1]),
    (pa.array([1.5, None, 2.0], pa.float32()), [1.5, None, 2.0]),
    (pa.array([1.5, 2.0], pa.float16()), [1.5, 2.0]),
    (pa.array([True, None, False] * 9), [True, None, False] * 9),
    (pa.array(["a", None, "bé" * 10]), ["a", None, "bé" * 10]),
    (pa.array(["a", None, "bé" * 10], pa.large_string()), ["a", None, "bé" * 10]),
    (pa.array(["a", None, "bé" * 10, "twelve bytes"], pa.string_view()), ["a", None, "bé" * 10, "twelve bytes"]),
    (pa.array([b"\xff", None, b"z" * 30], pa.binary_view()), [b"\xff", None, b"z" * 30]),
    (pa.array([b"\xff", None], pa.binary()), [b"\xff", None]),
    (pa.array([b"\xff", None], pa.large_binary()), [b"\xff", None]),
    (pa.array([b"ab", None, b"c\0"], pa.binary(2)), [b"ab", None, b"c\0"]),
    (pa.array(["x", None, "y", "x"]).dictionary_encode(), ["x", None, "y", "x"]),
    (pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array([7, None])), [7, None, None]),
    (pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), pa.array([], pa.int64())), [None, None]),
    (pa.nulls(4), [None] * 4),
    (pa.array([datetime.date(2020, 1, 1), None]), [datetime.date(2020, 1, 1), None]),
    (pa.array([datetime.date(2020, 1, 1)], pa.date64()), [datetime.date(2020, 1, 1)]),
    *(
        (
            pa.array([0, None, -1_500_000_000], pa.timestamp(unit)),
            [np.datetime64(0, unit), None, np.datetime64(-1_500_000_000, unit)],
        )
        for unit in ("s", "ms", "us", "ns")
    ),
    (pa.array([1, None], pa.timestamp("us", "Europe/Berlin")), [np.datetime64(1, "us"), None]),
    (
        pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
        [(1, "x"), None, (None, "y")],
    ),
    (pa.array([{"a": {"b": 1}}, {"a": None}]), [((1,),), (None,)]),
]


@pytest.mark.parametrize(("array", "expected"), ARROW, ids=lambda value: str(getattr(value, "type", "")))
def test_arrow(array, expected):
    check_column(array, expected)
    check_column(array[1:], expected[1:])
    check_column(array[:0], [])
    if not isinstance(array, pa.DictionaryArray):
        padded = pa.concat_arrays([array, array])
        for start in range(len(expected)):
            check_column(padded[start:], (expected * 2)[start:])
    check_column(pa.chunked_array([array, array[1:], array[:0]]), expected + expected[1:])


def test_arrow_tables_are_composite_items():
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    check_column(table, [(1, "x"), (2, None)])
    check_column(pl.DataFrame(table), [(1, "x"), (2, None)])
    check_column(table.to_batches()[0], [(1, "x"), (2, None)])
    check_column(pa.array([{}, {}], pa.struct([])), [(), ()])


class OnlyArray:
    """Exports one array, not a stream."""

    def __init__(self, array):
        self.array = array

    def __arrow_c_array__(self, requested_schema=None):
        return self.array.__arrow_c_array__(requested_schema)


class BrokenStream:
    """Exports a stream whose source fails."""

    def __arrow_c_stream__(self, requested_schema=None):
        def batches():
            yield pa.record_batch({"a": [1]})
            raise OSError("the disk is gone")

        return pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), batches()).__arrow_c_stream__()


def test_arrow_protocols():
    check_column(OnlyArray(pa.array([1, None])), [1, None])
    with pytest.raises(OSError, match="disk is gone"):
        hashes(BrokenStream())
    capsule = pa.array([1]).__arrow_c_array__()

    class Twice:
        def __arrow_c_array__(self, requested_schema=None):
            return capsule

    check_column(Twice(), [1])
    with pytest.raises(ValueError, match="already released"):
        hashes(Twice())
    reader = pa.chunked_array([[1]]).__arrow_c_stream__()

    class StreamTwice:
        def __arrow_c_stream__(self, requested_schema=None):
            return reader

    check_column(StreamTwice(), [1])
    assert hashes(StreamTwice()) == ([], 0, [])


@pytest.mark.parametrize(
    "kind", [pa.decimal128(5), pa.time32("s"), pa.duration("s"), pa.list_(pa.int8()), pa.month_day_nano_interval()]
)
def test_unsupported_arrow_types(kind):
    with pytest.raises(TypeError, match=r"is not supported .* cast it first"):
        hashes(pa.array([None], kind))


def test_pandas():
    check_column(pd.Series([1, 2]), [1, 2])
    check_column(pd.Series([1, None, 2]), [1, None, 2])
    check_column(pd.Series([1, None], dtype="Int64"), [1, None])
    check_column(pd.Series(["a", None]), ["a", None])
    check_column(pd.Series(["a", float("nan")], dtype=object), ["a", None])
    check_column(pd.Series(["a", None], dtype="category"), ["a", None])
    check_column(pd.Series([True, None], dtype="boolean"), [True, None])
    check_column(pd.Series([pd.Timestamp(2020, 1, 1), None]), [datetime.date(2020, 1, 1), None])
    check_column(pd.Series([pd.Timestamp(2020, 1, 1, tz="UTC"), None]), [datetime.date(2020, 1, 1), None])
    check_column(pd.Index([3, 4]), [3, 4])
    check_column(pd.Series([1, 2, 3])[::2], [1, 3])
    check_column(pd.Series([pd.Interval(0, 1)]).map(str), ["(0, 1]"])


def test_polars():
    check_column(pl.Series([1, None, 3], dtype=pl.Int16), [1, None, 3])
    check_column(pl.Series(["a", None, "b" * 20]), ["a", None, "b" * 20])
    check_column(pl.Series(["a", None], dtype=pl.Categorical), ["a", None])
    check_column(pl.Series(["a", None], dtype=pl.Enum(["a", "b"])), ["a", None])
    check_column(pl.Series([b"a", None]), [b"a", None])
    check_column(pl.Series([True, None]), [True, None])
    check_column(pl.Series([datetime.datetime(2020, 1, 1)]), [datetime.date(2020, 1, 1)])
    check_column(pl.Series([{"a": 1, "b": None}]), [(1, None)])
    check_column(pl.concat([pl.Series([1]), pl.Series([2])], rechunk=False), [1, 2])


def test_iterables_are_drawn_block_by_block():
    source = itertools.count()
    next(blocks(source))
    assert next(source) == BLOCK
    check_column({1: None}.keys(), [1])
    check_column(range(5), list(range(5)))
    check_column(iter("abc"), ["a", "b", "c"])
    check_column({5}, [5])


def test_subclasses_of_lists_and_arrays():
    class Reverse(list):
        def __iter__(self):
            return reversed(list(super().__iter__()))

    class Long(np.ndarray):
        def __len__(self):
            return 100

    check_column(Reverse([1, "a", None]), [None, "a", 1])
    for dtype in ("i8", "f4", "S3", "U3"):
        check_column(np.arange(10).astype(dtype).view(Long), np.arange(10).astype(dtype).tolist())
    check_column(np.arange(12).reshape(3, 4).view(Long)[0], [0, 1, 2, 3])
    sketch = Quantiles()
    sketch.update(Reverse([1, 2.5]))
    assert sketch.total == 2


def test_mismatched_counts_of_iterables():
    for counts, message in (
        ([1], "have length 1"),
        (iter([1]), "there are more items"),
        ([1, 2, 3], "have length 3"),
        (iter([1, 2, 3]), "are longer"),
    ):
        with pytest.raises(ValueError, match=message):
            list(blocks(["a", "b"], counts))
    with pytest.raises(ValueError, match="are longer than the 2 items"):
        list(blocks(iter("ab"), [1, 2, 3]))
    (block,) = blocks(["a", None, "b"], [1, 2, 3])
    assert hash_block(block, HASHER).counts.tolist() == [1, 3]


def test_queries_refuse_nulls():
    assert hash_all([1, "a"], HASHER).tolist() == [HASHER.item(1), HASHER.item("a")]
    assert hash_all([], HASHER).tolist() == []
    with pytest.raises(ValueError, match="hold 1 nulls"):
        hash_all([1, None], HASHER)


def test_numbers():
    def numbers(items):
        found = [number_block(block) for block in blocks(items)]
        return [x for block in found for x in np.asarray(block.numbers, float).tolist()], sum(b.nulls for b in found)

    for items in (
        [1, None, 2.5],
        np.ma.array([1, 9, 2.5], mask=[0, 1, 0]),
        pa.array([1, None, 2.5]),
        pa.array([1, None, 2.5]).dictionary_encode(),
        pd.Series([1, None, 2.5]),
        pl.Series([1.0, None, 2.5]),
    ):
        assert numbers(items) == ([1.0, 2.5], 1)
    assert numbers(pa.nulls(2)) == ([], 2)
    assert numbers(pa.DictionaryArray.from_arrays(pa.array([None], pa.int8()), pa.array([], pa.int64()))) == ([], 1)
    for items in (["a"], pa.array(["a"]), np.array(["a"]), np.array(["2020"], "M8[D]"), pa.array([b"a"]), [(1, 2)]):
        with pytest.raises(TypeError, match="numbers are needed"):
            numbers(items)
    with pytest.raises(ValueError, match="beyond the range"):
        numbers([10**400])


def test_a_dictionary_is_hashed_once_for_all_threads(monkeypatch):
    column = next(columns(pa.array(["a", "b", "a"]).dictionary_encode()))
    hashed = []
    monkeypatch.setattr(column.values, "hash", lambda hasher, start, stop, out: hashed.append(hasher) or out.fill(7))
    for hasher in (Hasher(3), Hasher(3), Hasher(4)):  # each thread has an equal one
        column.hash(hasher, 0, 3, np.empty(3, np.uint64))
    assert hashed == [Hasher(3), Hasher(4)]


def test_what_is_no_source():
    for bad in ("abc", b"abc", bytearray(b"a"), memoryview(b"a"), 5, None, {"a": 1}, [decimal.Decimal(1)]):
        with pytest.raises(TypeError):
            hashes(bad)

    class Tensor:
        def __dlpack__(self, **options):
            raise BufferError("it is on another device")

        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(TypeError, match="items is a Tensor that NumPy cannot read"):
        hashes(Tensor())


def test_columns_name_themselves():
    assert Nulls(1).describe() == "nulls"
    (column,) = columns(pa.array(["a"]).dictionary_encode())
    assert isinstance(column, Dictionary)
    assert column.describe() == "strings"
    (views,) = columns(pa.array(["a"], pa.string_view()))
    assert views.describe() == "strings"


def test_a_list_that_shrinks_while_it_is_read():
    class Shrinking(float):
        def is_integer(self):
            items.clear()
            return False

    items = [1, Shrinking(0.5), *range(1000)]
    with pytest.raises(RuntimeError, match="the list of items shrank to 0 items"):
        hashes(items)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_numbers_are_read_once_from_arrays_that_others_write_to(dtype):
    source = np.ones(200_000, dtype)
    done = threading.Event()

    def write():
        while not done.is_set():
            for x in (1e30, math.nan, -1e-30, 0.0):
                source[:] = x

    writer = threading.Thread(target=write)
    writer.start()
    sketch = Quantiles()
    try:
        for _ in range(10):
            sketch.update(source)
    finally:
        done.set()
        writer.join()
    assert sketch.bins()[1].sum() + sketch.nans == sketch.total == 2_000_000
    assert from_bytes(sketch.to_bytes()) == sketch  # the extremes lie in the outermost bins


def test_arrays_without_dimension_and_objects_of_polars():
    with pytest.raises(ValueError, match=r"items have shape \(\)"):
        hashes(np.array(5))
    with pytest.raises(TypeError, match="item has type object"):  # not its address
        hashes(pl.Series([object()]))
    check_column(pl.Series([(1, "a"), None], dtype=pl.Object), [(1, "a"), None])
