"""What SpaceSaving and LossyCounting share: order of the stream only, certain bounds, merging, bytes, interruptions."""

import math
import threading
import time
import tracemalloc
import zlib
from collections import Counter
from fractions import Fraction
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketches import FormatError, Hasher, LossyCounting, SpaceSaving, from_bytes, plain
from sketches._ext.kernel import exact_weight
from sketches.core import wire
from sketches.core.item_codec import encode_items

MAKERS = [partial(SpaceSaving, 50), partial(LossyCounting, 0.02)]
RANDOM = np.random.default_rng(11)
SKEWED = (RANDOM.zipf(1.2, 40_000) % 3000).astype(np.int64)

both = pytest.mark.parametrize("make", MAKERS, ids=["SpaceSaving", "LossyCounting"])


def check_bounds(sketch, truth):
    """Check all that is promised, for every item of a Counter and for one that never came."""
    assert sketch.total == sum(truth.values())
    items = [*truth, "never"]
    lower, upper = sketch.bounds(items)
    found = np.array([*truth.values(), 0])
    assert (lower <= found).all()
    assert (found <= upper).all()
    assert (upper - lower <= sketch.max_error).all()
    rows = sketch._entries()
    assert (rows[1] > sketch.max_error).all()
    assert len(sketch) == len(rows[0])


@both
@pytest.mark.parametrize("text", [False, True])
def test_state_depends_on_the_order_of_the_stream_only(make, text):
    array = SKEWED.astype("U") if text else SKEWED
    items = array.tolist()
    whole = make()
    whole.update(array)
    singles, pieces = make(), make()
    for item in items:
        singles.add(item)
    for piece in np.split(array, np.sort(RANDOM.integers(0, len(array), 30))):
        pieces.update(piece)
    listed, iterated, column, weighted = make(), make(), make(), make()
    listed.update(items)
    iterated.update(iter(items))
    column.update(pa.chunked_array([items[:1000], items[1000:]]))
    weighted.update(array, np.ones(len(array), np.int64))
    for other in (singles, pieces, listed, iterated, column, weighted):
        assert other.to_bytes() == whole.to_bytes()


@both
def test_reported_item_is_the_first_of_its_equals(make):
    sketch = make()
    sketch.update(["a", b"a", 2.0, 2, True, (1.0, None), (1, None), np.datetime64("2020-01-01"), float("nan")])
    found = {repr(item): int(sketch[item]) for item in sketch._entries()[3]}
    day = np.datetime64("2020-01-01", "s")
    assert found == {"'a'": 2, "2": 2, "1": 1, "(1, None)": 2, repr(day): 1, "nan": 1}


COLUMNS = {
    "int8": np.arange(-3, 3, dtype="i1"),
    "uint64": np.array([2**64 - 1, 2**63, 2**63 + 1, 5], np.uint64),
    "floats": np.array([1.5, np.nan, np.inf, -0.0, 1e30], np.float32),
    "big-endian": np.arange(4, dtype=">i8"),
    "days": np.array(["2020-01-01", "NaT", "1969-12-31"], "M8[D]"),
    "ticks": np.array([1, 10**9, -7], "M8[25ns]"),
    "fixed bytes": np.array([b"a", b"b\0c", b""]),
    "fixed text": np.array(["a", "é", "\ud800"]),
    "malformed text": pa.array([b"\xff\xfe", b"ok"]).view(pa.string()),
    "malformed views": pa.array([b"\xff\xfe", b"ok", b"\xff" * 20], pa.binary_view()).view(pa.string_view()),
    "dictionary": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "struct": pa.array([{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None, {"a": 3, "b": None}]),
    "struct of a dictionary": pa.StructArray.from_arrays(
        [pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", None]))], ["d"]
    ),
    "struct of instants": pa.StructArray.from_arrays([pa.array([1, None, 3], pa.timestamp("ns"))], ["t"]),
    "date64": pa.array([86_400_000, None], pa.date64()),
    "objects": [1.5, (1, None, (2, "x")), np.float32(0.1), bytearray(b"q"), 2**200, 10.0**300, True, "\ud800"],
}


@both
@pytest.mark.parametrize("name", COLUMNS)
def test_items_of_every_column_have_the_hashes_of_their_entries(make, name):
    sketch = make()
    sketch.update(COLUMNS[name])
    hashes, _, _, items = sketch._entries()
    assert hashes.tolist() == [sketch.hasher.item(item) for item in items]


def test_text_beyond_unicode_is_refused():
    sketch = SpaceSaving(5)
    with pytest.raises(ValueError, match="code point 0x110000"):
        sketch.update(np.array([0x110000, 97], np.uint32).view("U1"))
    assert sketch == SpaceSaving(5)


@both
def test_counts_of_zero_and_nulls_leave_no_entry(make):
    sketch = make()
    sketch.add("a", 0)
    sketch.add(None)
    sketch.add(1.5, 0)
    sketch.update(["b", None, "c"], [0, 5, 2])
    assert (len(sketch), sketch.total, sketch.nulls) == (1, 2, 2)
    sketch.update([])
    assert len(sketch) == 1


@both
def test_bad_counts_change_nothing(make):
    sketch = make()
    sketch.add("a", 2**62)
    before = sketch.to_bytes()
    for count, error in ((-1, ValueError), (1.5, TypeError), (2**62, OverflowError), (2**64, OverflowError)):
        with pytest.raises(error, match="count"):
            sketch.add("b", count)
    with pytest.raises(OverflowError, match="total count"):
        sketch.update(["b", "c"], [2**61, 2**61])
    with pytest.raises(ValueError, match="counts hold -1"):
        sketch.update(["b", "c"], [1, -1])
    with pytest.raises(TypeError, match="item has type dict"):
        sketch.add({})
    assert sketch.to_bytes() == before


@both
def test_bounds_hold_and_tell_presence(make):
    sketch = make()
    sketch.update(SKEWED)
    truth = Counter(SKEWED.tolist())
    check_bounds(sketch, truth)
    never = sketch["never"]
    assert (never, never.lower, never.upper, never.confidence) == (sketch.max_error, 0, sketch.max_error, 1)
    commonest, count = truth.most_common(1)[0]
    assert sketch[commonest].lower <= count <= sketch[commonest] == sketch.estimate([commonest])[0]


@both
def test_items_above_misses_nothing_and_invents_nothing(make):
    sketch = make()
    sketch.update(SKEWED)
    truth = Counter(SKEWED.tolist())
    for support in (0.024, 0.05, 0.2):
        rows = sketch.items_above(support)
        found = set(rows["item"].tolist())
        assert rows.dtype.names == ("item", "count", "error")
        assert (np.diff(rows["count"]) <= 0).all()
        assert found >= {item for item, count in truth.items() if count >= support * sketch.total}
        assert all(truth[row["item"]] >= support * sketch.total - row["error"] for row in rows)
        assert all(row["count"] - row["error"] <= truth[row["item"]] <= row["count"] for row in rows)
    assert len(make().items_above(0.5)) == 0


def test_items_above_takes_shares_as_they_are_written():
    # 0.07 * 100 is 7.000000000000001 in floating point, but an item with 7 of 100 does make up 0.07.
    sketch = SpaceSaving(100)
    sketch.update(["a"] * 7 + ["b"] * 93)
    assert sketch.items_above(0.07)["item"].tolist() == ["b", "a"]


def test_items_above_misses_nothing_where_counts_are_no_floats():
    for support in (0.1, 0.3, 0.7):
        for total in range(2**60, 2**63, 3**37 + 1):  # 18 totals
            sketch = SpaceSaving(8)
            count = math.ceil(Fraction(support) * total)
            sketch.update(["a", "b"], [count, total - count])
            assert "a" in sketch.items_above(support)["item"]


@both
def test_support_must_exceed_the_error(make):
    sketch = make()
    sketch.update(np.arange(10_000))
    with pytest.raises(ValueError, match=r"support is 0.015; more than"):
        sketch.items_above(0.015)
    for support, error in ((0, ValueError), (1, ValueError), ("a", TypeError)):
        with pytest.raises(error, match="support is"):
            sketch.items_above(support)


@both
def test_merge_trees_keep_every_promise(make):
    random = np.random.default_rng(3)
    parts = [(random.zipf(1.1, n) % 900 + shift).tolist() for n, shift in ((9000, 0), (10, 5), (4000, 300), (0, 0))]
    sketches = []
    for part in parts * 2:
        sketches.append(make())
        sketches[-1].update(part)
    for _ in range(len(sketches) - 1):
        i, j = random.permutation(len(sketches))[:2]
        merged = sketches[i] | sketches[j]
        sketches = [sketch for place, sketch in enumerate(sketches) if place not in (i, j)] + [merged]
    check_bounds(sketches[0], Counter([item for part in parts for item in part] * 2))
    assert from_bytes(sketches[0].to_bytes()) == sketches[0]


@both
def test_merge_with_itself_doubles(make):
    sketch = make()
    sketch.update(["a"] * 30 + ["b"] * 10 + [(1, 2)])
    sketch |= sketch
    check_bounds(sketch, Counter({"a": 60, "b": 20, (1, 2): 2}))


@both
def test_merge_refuses_overflow_and_changes_nothing(make):
    sketch, other = make(), make()
    sketch.add(1, 2**62)
    other.add(2, 2**62)
    before = sketch.to_bytes(), other.to_bytes()
    with pytest.raises(OverflowError, match="merging"):
        sketch.merge(other)
    assert (sketch.to_bytes(), other.to_bytes()) == before


@both
@pytest.mark.parametrize("options", [{}, {"seed": 5}, {"key": bytes(16)}])
def test_bytes_of_all_kinds_of_items(make, options):
    sketch = make(**options)
    kinds = [0, -7, 2**63, 2**70 + 1, 0.1, float("nan"), float("inf"), "é", "\ud800", b"\xff", (), (1, ("x", None))]
    sketch.update([*kinds, np.datetime64("2020-01-01T00:00:00.123456789")])
    again = type(sketch).from_bytes(sketch.to_bytes(), key=options.get("key"))
    assert again.to_bytes() == sketch.to_bytes()
    sketch.update(SKEWED)
    again.update(SKEWED)
    assert again.to_bytes() == sketch.to_bytes()


def altered(sketch, total=None, **changes):
    """Give well-formed bytes of a state that need not exist."""
    _, envelope, fields = wire.decode(sketch.to_bytes())
    total = envelope.total if total is None else total
    return wire.encode(type(sketch).__name__, envelope._replace(total=total, weight=total), {**fields, **changes})


@both
def test_bytes_that_no_stream_can_have_left(make):
    sketch = make()
    sketch.update(SKEWED)
    _, counts, errors, items = sketch._entries()
    top = int(counts.argmax())
    one = np.arange(len(counts)) == top
    error = sketch.max_error
    for message, change in (
        ("counts but", {"errors": errors[:-1]}),
        ("does not exceed the maximum error", {"counts": np.where(one, error, counts)}),
        ("exceeds the maximum error", {"errors": np.where(one, error + 1, errors)}),
        ("exceeds the total count", {"counts": np.where(one, sketch.total + 1, counts)}),
        ("exceed the total count", {"counts": np.where(one, sketch.total - 1, counts)}),
        ("counts is 0 to", {"counts": counts * ~one}),
        ("errors is -1 to", {"errors": np.where(one, -1, 0)}),
        ("not in order", {"items": encode_items([items[1], items[0], *items[2:]])}),
        ("not in order", {"items": encode_items([items[0], items[0], *items[2:]])}),
        ("is null", {"items": encode_items([*items[:-1], None])}),
        ("truncated", {"items": encode_items(items)[:-1]}),
        ("follow the last item", {"items": encode_items([*items, 1])}),
        ("canonical", {"items": encode_items([*items[:-1], 1.0])}),
    ):
        if "items" in change:
            change["items"] = np.frombuffer(change["items"], np.uint8)
        with pytest.raises(FormatError, match=message):
            from_bytes(altered(sketch, **change))
    name, envelope, fields = wire.decode(sketch.to_bytes())
    with pytest.raises(FormatError, match="total"):
        from_bytes(wire.encode(name, envelope._replace(total=1), fields))


@both
def test_flipped_bytes_never_crash(make):
    sketch = make()
    sketch.update([1, 2**70, 0.5, "text", b"\xff", (1, ("x", None)), np.datetime64("2020-01-01")] * 3)
    data = sketch.to_bytes()
    for place in range(48, len(data) - 4):
        for bit in (0, 3, 7):
            hostile = bytearray(data)
            hostile[place] ^= 1 << bit
            hostile[-4:] = zlib.crc32(hostile[:-4]).to_bytes(4, "little")
            try:
                again = from_bytes(hostile)
            except FormatError:
                continue
            again.update(SKEWED[:200])
            assert again.to_bytes() == from_bytes(again.to_bytes()).to_bytes()


def test_reading_allocates_little():
    for items in (np.arange(20_000) * 10**6, (np.arange(20_000) * 10**6).astype("U")):
        sketch = SpaceSaving(2**31)  # the parameter must not decide
        sketch.update(items)
        data = sketch.to_bytes()
        tracemalloc.start()
        from_bytes(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * len(data)


@both
def test_interrupted_batch_gets_its_items_later(make):
    sketch, whole = make(), make()
    whole.update(SKEWED)
    block = SKEWED[:1000]
    hashes = np.empty(len(block), np.uint64)
    Hasher().integers(block, hashes)
    calls = []

    def fetch(places):
        calls.append(len(places))
        if len(calls) == 1:
            raise KeyboardInterrupt
        if len(calls) == 2:
            check = threading.Thread(target=sketch.to_bytes)  # does the work while this call waits
            check.start()
            check.join()
        return block[places].tolist()

    with pytest.raises(KeyboardInterrupt):
        sketch._insert(hashes, None, fetch)
    assert sketch.total == len(block)
    sketch.update(SKEWED[1000:])
    assert len(calls) == 3
    assert sketch.to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("make", [partial(SpaceSaving, 1000), partial(LossyCounting, 0.001)])
def test_failure_to_grow_loses_nothing(make, monkeypatch):
    sketch, counted = make(), np.full(100, 3)
    with monkeypatch.context() as patched:
        patched.setattr(np, "zeros", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            sketch.update(np.arange(100), counted)
        assert sketch.total == 3 * 64
        with pytest.raises(MemoryError):
            sketch.add("one")
    assert sketch.total == 3 * 64
    check_bounds(sketch, Counter(dict.fromkeys(range(64), 3)))
    sketch.update(np.arange(64, 100))
    assert len(sketch) == 100


@both
def test_threads_take_turns(make):
    sketch = make()
    errors = []

    def work(shift):
        try:
            for _ in range(3):
                sketch.update(SKEWED + shift)
                sketch.add((shift, "x"))
                sketch.to_bytes()
                assert all(item is not None for item in sketch._entries()[3])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(shift,)) for shift in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    truth = Counter(np.concatenate([SKEWED + shift for shift in range(4)] * 3).tolist())
    truth.update([(shift, "x") for shift in range(4)] * 3)
    check_bounds(sketch, truth)


def unmix64(x):
    """Give the integer whose hash (seed 0, before the salt) is x."""
    for factor in (0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD):
        x ^= x >> 33
        x = x * pow(factor, -1, 2**64) % 2**64
    return x ^ x >> 33


@pytest.mark.parametrize("shift", [0, 20, 44])
def test_nobody_can_aim_items_at_one_place(shift):
    # 20,000 integers whose hashes differ in 20 bits only. At one place of the index, each search would pass over all
    # that came before: 10,000 steps on average, instead of about one.
    salt = Hasher().item(0) and plain.hashing.Hash().salts[1]
    aimed = np.array([unmix64(i << shift) ^ salt for i in range(20_000)], np.uint64).view(np.int64)
    assert Hasher().item(int(aimed[5])) == 5 << shift

    def seconds(items):
        sketch = SpaceSaving(20_000)
        start = time.process_time()
        sketch.update(items)
        return time.process_time() - start

    ordinary = min(seconds(RANDOM.integers(0, 2**63, 20_000)) for _ in range(5))
    assert min(seconds(aimed) for _ in range(5)) < 20 * ordinary


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_sums_are_exact(values):
    array = np.array(values, np.int64)
    assert exact_weight(array) == sum(map(abs, values))
