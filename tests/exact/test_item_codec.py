"""Items come back from bytes as they were, and hostile bytes are refused before anything large is made."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketches import FormatError
from sketches.core.item_codec import decode_items, encode_items
from sketches.core.scalars import canonical

SCALARS = (
    st.none()
    | st.integers()
    | st.integers(-(2**300), 2**300)
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.builds(np.datetime64, st.integers(-(2**62), 2**62), st.sampled_from(["s", "ms", "us", "ns", "ps", "fs", "as"]))
)
ITEMS = st.recursive(SCALARS, lambda members: st.lists(members, max_size=4).map(tuple), max_leaves=10)


@given(st.lists(ITEMS, max_size=8))
def test_round_trip(items):
    items = [canonical(item) for item in items]
    data = encode_items(items)
    again = decode_items(memoryview(data), len(items))
    assert list(map(repr, again)) == list(map(repr, items))
    assert [type(item) for item in again] == [type(item) for item in items]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_written_as_among_others(items):
    alone = encode_items(items)
    assert encode_items([*items, ""])[: len(alone)] == alone
    assert decode_items(memoryview(alone), len(items)) == items


@pytest.mark.parametrize("item", [2**63, -(2**63) - 1, 0.5, "x", (1,)])
def test_one_other_item_among_integers(item):
    for items in ([item, 1, 2], [1, item, 2], [1, 2, item]):
        assert decode_items(memoryview(encode_items(items)), 3) == items


@given(st.binary(max_size=40), st.integers(0, 3))
def test_any_bytes_decode_or_are_refused(data, count):
    try:
        items = decode_items(memoryview(data), count)
    except FormatError:
        return
    assert encode_items(items) == data


def word(kind, size, data=b""):
    return struct.pack("<Q", kind + 256 * size) + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "8 bytes is truncated"),
        (word(4, 2**50), "truncated"),
        (word(6, 2**50), "announces 1125899906842624 members"),
        (word(6, 2, word(0, 0)), "announces 2 members, but there is room for 1"),
        (word(1, 7, bytes(7)), "7 bytes, not 8"),
        (word(4, 2, b"\xff\xff"), "no UTF-8"),
        (word(14, 8, bytes(8)), "unknown kind of item 14"),
        (word(255, 8, bytes(8)), "unknown kind"),
        (word(0, 1, b"x"), "canonical"),
        (word(2, 8, bytes(8)), "canonical"),  # a small integer as a large one
        (word(3, 8, struct.pack("<d", 1.0)), "canonical"),
        (word(3, 8, struct.pack("<Q", 0xFFF8000000000000)), "canonical"),  # another NaN
        (word(8, 8, struct.pack("<q", 1000)), "canonical"),  # 1000 ms is 1 s
        (word(7, 8, struct.pack("<q", -(2**63))), "canonical"),  # NaT
        (word(6, 1) * 40 + word(0, 0), "nested deeper than 32"),
        (word(0, 0) + b"x", "1 bytes follow"),
    ],
)
def test_hostile_bytes(data, message):
    with pytest.raises(FormatError, match=message):
        decode_items(memoryview(data), 1)


def test_tuples_of_nulls_stay_small():
    data = memoryview(word(6, 50_000) + word(0, 0) * 50_000)
    tracemalloc.start()
    decode_items(data, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * len(data)


def test_runs_of_integers_are_written_like_single_ones():
    integers = [0, 1, -1, 2**63 - 1, -(2**63), 7]
    for items in (integers, [*integers, 2**63], [*integers, "text"], [*integers, 0.5], [0.5] * 3, []):
        data = encode_items(items)
        assert data == b"".join(encode_items([item, None])[:-8] for item in items)
        assert decode_items(memoryview(bytes(data)), len(items)) == items
    with pytest.raises(FormatError, match="canonical"):  # 1.0 is the integer 1
        decode_items(memoryview(struct.pack("<QdQq", 3 + 256 * 8, 1.0, 1 + 256 * 8, 5)), 2)
