"""The hash is a public contract: golden vectors, mmh3 and the SipHash paper say what it is."""

import datetime
import json
from itertools import pairwise
from pathlib import Path

import mmh3
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketches import Hasher
from sketches.core.scalars import canonical
from sketches.plain.hashing import Hash, mix64, siphash

KEY = bytes(range(16))
OPTIONS = [{}, {"seed": 2**32 - 1}, {"key": KEY}]
GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "hashes.json").read_text())

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(st.characters(exclude_categories=[])),  # lone surrogates too
    st.binary(),
    st.datetimes(),
    st.dates(),
)
any_items = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["item"])
def test_golden_vectors(entry):
    names = {"nan": float("nan"), "inf": float("inf"), "datetime64": np.datetime64}
    item = eval(entry["item"], {"__builtins__": {}}, names)  # noqa: S307  # the vectors are our own
    assert Hasher().item(item) == int(entry["seed 0"], 16)
    assert Hasher(7).item(item) == int(entry["seed 7"], 16)
    assert Hasher(key=KEY).item(item) == int(entry["key 00…0f"], 16)


@given(any_items)
def test_kernel_equals_plain_hash(item):
    for options in OPTIONS:
        assert Hasher(**options).item(item) == Hash(**options)(item)


def test_bytes_are_mmh3_for_every_tail_and_high_bytes():
    for length in range(70):
        data = bytes((7 * i + 200) % 256 for i in range(length))
        for seed in (0, 1, 2**31, 2**32 - 1):
            assert Hasher(seed).item(data) == mmh3.hash64(data, seed, x64arch=True, signed=False)[0]


def test_siphash_is_the_papers():
    # Aumasson and Bernstein (2012), appendix A.
    k0, k1 = 0x0706050403020100, 0x0F0E0D0C0B0A0908
    assert siphash(bytes(range(15)), k0, k1) == 0xA129CA6149BE45E5
    assert Hasher(key=KEY).item(bytes(range(15))) == 0xA129CA6149BE45E5


def test_mix64_is_murmurs_finaliser_and_loses_nothing():
    assert mix64(1) == 0xB456BCFC34C2CB2C
    inverse_1, inverse_2 = pow(0xFF51AFD7ED558CCD, -1, 2**64), pow(0xC4CEB9FE1A85EC53, -1, 2**64)
    for x in (0, 1, 2**63, 0x123456789ABCDEF):
        y = mix64(x)
        y ^= y >> 33
        y = y * inverse_2 % 2**64
        y ^= y >> 33
        y = y * inverse_1 % 2**64
        assert y ^ y >> 33 == x


@pytest.mark.parametrize(
    "same",
    [
        [1, 1.0, True, np.int8(1), np.uint64(1), np.float16(1), np.bool_(True), np.array(1)],
        [0, -0.0, False],
        [float("nan"), -float("nan"), np.float32("nan")],
        [2**63, float(2**63), np.uint64(2**63)],
        [2**64 - 1, np.uint64(2**64 - 1)],
        [1e300, int(1e300)],
        ["é", "é".encode(), bytearray("é".encode()), memoryview("é".encode()), np.str_("é")],
        [(1, "a"), (True, b"a"), (1.0, np.str_("a"))],
        [datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), np.datetime64("2020-01"), pd.Timestamp(2020, 1, 1)],
        [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), np.datetime64("2020-01-01T00:00:00.000000")],
        [pd.Timestamp(1), np.datetime64(1, "ns"), np.datetime64(1000, "ps")],
    ],
    ids=lambda same: repr(same[0]),
)
def test_equal_items_have_one_hash(same):
    for options in OPTIONS:
        assert len({Hasher(**options).item(item) for item in same}) == 1
        assert len({Hash(**options)(item) for item in same}) == 1
    assert len({repr(canonical(item)) for item in same}) <= 2  # a str and its bytes keep their looks


def test_different_items_have_different_hashes():
    different = [
        *(0, 1, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 2**128 - 1, -(2**128)),
        *(0.5, -0.5, float("inf"), -float("inf"), float("nan"), 5e-324),
        *("", "0", "1", "1.0", "nan", "None", "é", "e"),
        *((), (0,), (1,), ("1",), (None,), (None, None), ((),), (1, 2), (2, 1), ((1, 2),), (0.5,)),
        *(np.datetime64(0, "s"), np.datetime64(1, "s"), np.datetime64(1, "as"), np.datetime64(-1, "as")),
    ]
    for options in OPTIONS:
        assert len({Hasher(**options).item(item) for item in different}) == len(different)


@pytest.mark.parametrize("null", [None, np.datetime64("NaT", "s"), pd.NaT, pd.NA])
def test_nulls_have_no_hash(null):
    assert Hasher().item(null) is None
    assert Hash()(null) is None
    assert canonical(null) is None


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ({1}, TypeError, "type set"),
        (1j, TypeError, "type complex"),
        (object(), TypeError, "type object"),
        (np.timedelta64(1, "s"), TypeError, "timedelta64"),
        (np.longdouble(1), TypeError, "longdouble"),
        (np.zeros(1, [("a", int)])[0], TypeError, "structured scalar"),
        (np.datetime64(2**62, "W"), ValueError, "outside the 64-bit range"),
        ((1, (2, {3})), TypeError, "type set"),
    ],
)
def test_what_is_no_item(item, error, message):
    with pytest.raises(error, match=message):
        Hasher().item(item)


def test_deep_nesting_is_refused():
    item = ()
    for _ in range(31):
        item = (item,)
    assert Hasher().item(item) is not None
    for depth in (1, 100_000):
        deep = item
        for _ in range(depth):
            deep = (deep,)
        with pytest.raises(ValueError, match="nested deeper than 32"):
            Hasher().item(deep)


def test_hasher_equality_pickle_and_repr():
    import pickle

    for options in OPTIONS:
        hasher = Hasher(**options)
        assert pickle.loads(pickle.dumps(hasher)) == hasher == Hasher(**options)
        assert hash(hasher) == hash(Hasher(**options))
    assert Hasher() != Hasher(1)
    assert Hasher(key=KEY) != Hasher(key=KEY[::-1])
    assert repr(Hasher(3)) == "Hasher(seed=3)"
    assert "secret" in repr(Hasher(key=KEY))


def test_blocks_do_not_write_beyond_their_output():
    hasher, small = Hasher(), np.zeros(1, np.uint64)
    rows = np.zeros((2, 3), np.uint32)
    calls = [
        lambda: hasher.integers(np.arange(2), small),
        lambda: hasher.unsigned(np.arange(2, dtype=np.uint64), small),
        lambda: hasher.doubles(np.arange(2.0), small),
        lambda: hasher.instants(np.arange(2), np.arange(2), small),
        lambda: hasher.instants(np.arange(1), np.arange(0), small),
        lambda: hasher.slices(np.zeros(9, np.uint8), np.array([0, 1, 2]), small),
        lambda: hasher.views(np.zeros((2, 4), np.int32), np.zeros(0, np.uint64), small),
        lambda: hasher.fixed_bytes(rows.view(np.uint8), True, small),
        lambda: hasher.fixed_text(rows, small),
        lambda: hasher.tuples(rows.astype(np.uint64), small),
        lambda: hasher.objects([1, 2], 0, 2, small, np.zeros(2, np.uint8)),
        lambda: hasher.objects([1], 0, 1, small, np.zeros(0, np.uint8)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"\d items do not fit into an array of \d"):
            call()


@pytest.mark.parametrize("offsets", [[0, 10], [-1, 3], [0, 5, 4, 9], [0, 9, 3], [3, 2], [0, 2**62, 9]])
def test_offsets_that_leave_their_bytes(offsets):
    with pytest.raises(ValueError, match="offsets"):
        Hasher().slices(np.zeros(9, np.uint8), np.array(offsets), np.zeros(len(offsets), np.uint64))


INTEGERS = [sign * (2**power + step) for power in range(67) for step in (-1, 0, 1) for sign in (1, -1)]
TEXTS = [kind("é" * (n % 3 == 2) + "x" * n + "\x7f") for n in range(40) for kind in (str, str.encode)]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("mixed", [False, True])
def test_lists_hash_like_their_items(options, mixed):
    items = [*INTEGERS, *TEXTS] * 3
    if mixed:  # short runs, and what ends them
        others = [None, 1.5, True, (1, "a"), np.int8(3), "\ud800", 2**70, bytearray(b"x"), datetime.date(2020, 2, 2)]
        shuffled = np.random.default_rng(3).permutation(np.array(items, object)).tolist()
        items = [others[i % 9] if i % 7 == 3 else item for i, item in enumerate(shuffled)]
    hasher, n = Hasher(**options), len(items)
    out, valid = np.zeros(n, np.uint64), np.zeros(n, np.uint8)
    hasher.objects(items, 0, n, out, valid)
    expected = [hasher.item(item) if canonical(item) is not None else None for item in items]
    assert [int(h) if known else None for h, known in zip(out, valid, strict=True)] == expected
    again = np.zeros(n, np.uint64)
    hasher.objects(items, 5, n - 3, again, valid)
    assert (again[: n - 8] == out[5 : n - 3]).all()


def test_slices_hash_like_their_bytes():
    random = np.random.default_rng(4)
    data = random.integers(0, 256, 9000).astype(np.uint8)
    for first in (0, 1, 7, 15, 16, 4000):  # how many bytes come before the first slice
        lengths = np.minimum(random.geometric(0.08, 300) - 1, 200)
        offsets = np.concatenate([[first], first + np.cumsum(lengths)])
        out = np.zeros(len(lengths), np.uint64)
        Hasher(7).slices(data[: offsets[-1]].copy(), offsets, out)
        strings = [data[start:stop].tobytes() for start, stop in pairwise(offsets.tolist())]
        assert out.tolist() == [mmh3.hash64(string, 7, signed=False)[0] for string in strings]
