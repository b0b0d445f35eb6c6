"""What every sketch keeps, whatever it computes: one suite over all of them."""

import copy
import pickle
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from cases import CASES, GROWING, Case

import sketches
from sketches import Sketch

KEY = bytes(range(16))
RANDOM = np.random.default_rng(11)
INTEGERS = RANDOM.zipf(1.3, 40_000) % 1000 - 300
all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
growing = pytest.mark.parametrize("case", GROWING, ids=lambda case: case.name)
fixed = pytest.mark.parametrize("case", [case for case in CASES if case.fixed], ids=lambda case: case.name)
hashing = pytest.mark.parametrize("case", [case for case in CASES if not case.numbers], ids=lambda case: case.name)


def built(case: Case, items, **options) -> Sketch:
    return case.built(items, **options)


def added(case: Case, items, **options) -> Sketch:
    if case.fixed:
        return case.make((item for item in items), **options)
    sketch = case.make(**options)
    for item in items:
        sketch.add(item)
    return sketch


def unaligned(array):
    """The same numbers, one byte away from where numbers should lie."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    memory[1:] = array.view(np.uint8)
    return memory[1:].view(array.dtype)


class OnlyDLPack:
    """A tensor of some other framework."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@all_cases
def test_every_way_of_feeding_integers_gives_the_same_bytes(case):
    values = INTEGERS.tolist()
    expected = added(case, values).to_bytes()
    ways = {
        "list": values,
        "tuple": tuple(values),
        "generator": (value for value in values),
        "int16": INTEGERS.astype(np.int16),
        "big-endian": INTEGERS.astype(">i4"),
        "strided": np.repeat(INTEGERS, 3)[::3],
        "backwards": INTEGERS[::-1].copy()[::-1],
        "unaligned": unaligned(INTEGERS),
        "read-only": np.frombuffer(INTEGERS.tobytes(), np.int64),
        "float32": INTEGERS.astype(np.float32),
        "object": INTEGERS.astype(object),
        "arrow": pa.array(INTEGERS),
        "arrow chunks": pa.chunked_array([INTEGERS[:7], INTEGERS[7:]]),
        "arrow dictionary": pa.array(INTEGERS).dictionary_encode(),
        "polars": pl.Series(INTEGERS),
        "pandas": pd.Series(INTEGERS),
        "pandas Int64": pd.Series(INTEGERS, dtype="Int64"),
        "dlpack": OnlyDLPack(INTEGERS),
    }
    for name, items in ways.items():
        assert built(case, items).to_bytes() == expected, name


@growing
@pytest.mark.parametrize("size", [0, 1, 7, 1023, 1025, 16_385, 131_073, 300_001])
def test_blocks_and_chunks_leave_no_trace(case, size):
    values = np.resize(INTEGERS, size)
    counts = np.arange(size) % 3
    for given in (None, counts):
        whole, pieces = case.make(), case.make()
        whole.update(values, given)
        for start in range(0, size, 999 if case.exact_merge else 2**14):  # counters may drop between two blocks
            stop = start + (999 if case.exact_merge else 2**14)
            pieces.update(values[start:stop], None if given is None else given[start:stop])
        assert whole == pieces


@all_cases
def test_questions_do_not_depend_on_how_they_are_asked(case):
    sketch = built(case, INTEGERS)
    ask = getattr(sketch, "estimate", None) or getattr(sketch, "contains", None) or getattr(sketch, "cdf", None)
    if ask is None:
        assert case.name.startswith(("Entropy", "FlajoletMartin"))  # they know nothing of single items
        return
    values = np.resize(INTEGERS, 140_003)
    expected = np.concatenate([ask(values[start : start + 1]) for start in range(50)]), ask(values)
    assert (expected[0] == expected[1][:50]).all()
    for same in (np.repeat(values, 2)[::2], unaligned(values), values.astype(">i8"), values.astype(np.int32)):
        assert (ask(same) == expected[1]).all()
    if not case.numbers:
        for same in (values.tolist(), iter(values.tolist()), pa.array(values), values.astype(object)):
            assert (ask(same) == expected[1]).all()
    assert len(ask(values[:0])) == 0


@hashing
def test_every_way_of_feeding_strings_gives_the_same_bytes(case):
    words = [None if i % 50 == 7 else f"user-{i}" * (1 + i % 3) for i in INTEGERS[:3000] % 300]
    expected = added(case, words).to_bytes()
    ways = {
        "list": words,
        "object": np.array(words, object),
        "string": pa.array(words),
        "sliced": pa.array(["gone", None, *words])[2:],
        "large_string": pa.array(words, pa.large_string()),
        "string_view": pa.array(words, pa.string_view()),
        "dictionary": pa.array(words).dictionary_encode(),
        "polars": pl.Series(words),
        "polars categorical": pl.Series(words, dtype=pl.Categorical),
        "pandas": pd.Series(words),
        "pandas object": pd.Series(words, dtype=object),
        "pandas category": pd.Series(words, dtype="category"),
    }
    for name, items in ways.items():
        assert built(case, items).to_bytes() == expected, name
    assert built(case, words).nulls == sum(word is None for word in words)
    there = [word for word in words if word is not None]
    expected = added(case, there).to_bytes()
    for items in (np.array(there), np.array(there, np.dtypes.StringDType()), np.array(there).astype(">U60")):
        assert built(case, items).to_bytes() == expected
    binary = [word.encode() for word in there]
    expected = added(case, binary).to_bytes()
    for items in (np.array(binary), pa.array(binary), pa.array(binary, pa.binary_view())):
        assert built(case, items).to_bytes() == expected


@growing
def test_counts_are_repetitions(case):
    values, counts = [1, 2, 3, 2], [2, 0, 1, 5]
    repeated = case.make()
    for value, count in zip(values, counts, strict=True):
        for _ in range(count):
            repeated.add(value)
    for given in (counts, tuple(counts), iter(counts), np.array(counts, np.uint8), pa.array(counts)):
        sketch = case.make()
        sketch.update(values, given)
        assert sketch.total == repeated.total == 8
        assert case.state(sketch) == case.state(repeated)
    single = case.make()
    for value, count in zip(values, counts, strict=True):
        single.add(value, count)
    assert single == sketch


@all_cases
def test_empty_input_is_fine(case):
    fresh = case.make()
    for nothing in (
        [],
        (),
        iter([]),
        np.array([], np.int64),
        np.array([]),
        pa.array([], pa.int64()),
        pl.Series([], dtype=pl.Int8),
    ):
        sketch = built(case, nothing)
        assert sketch == fresh
        assert sketch.total == sketch.nulls == 0
    if not case.fixed:
        assert fresh | fresh == fresh
    assert "total 0" in repr(fresh)


@growing
def test_nulls_are_skipped_and_counted(case):
    sketch = case.make()
    for null in (None, pd.NA, pd.NaT):
        sketch.add(null)
    sketch.update([None, 1])
    sketch.update(pa.array([None, None], pa.int32()))
    sketch.update(pa.nulls(3))
    sketch.update(np.ma.masked_equal([1, 5], 5))
    sketch.update(pd.Series([float("nan"), 1.0]))
    assert sketch.nulls == 3 + 1 + 2 + 3 + 1 + 1
    reference = added(case, [1, 1, 1])
    assert case.state(sketch) == case.state(reference)


@growing
def test_merge_is_the_sketch_of_both_streams(case):
    left, right, whole = built(case, INTEGERS[:9000]), built(case, INTEGERS[9000:]), built(case, INTEGERS)
    before = right.to_bytes()
    either = left | right
    assert right.to_bytes() == before
    assert either.total == whole.total
    assert either == right | left
    left |= right
    assert left == either
    if case.exact_merge:
        assert either == whole
    twice = whole | whole
    whole.merge(whole)
    assert whole == twice


@growing
def test_merge_refuses_what_differs_and_changes_nothing(case):
    sketch, other = built(case, [1, 2, 3]), case.other()
    before, others = sketch.to_bytes(), other.to_bytes()
    with pytest.raises(ValueError, match=r"cannot merge: \w+ is .* here and .* there"):
        sketch.merge(other)
    with pytest.raises(TypeError, match="cannot merge a"):
        sketch.merge({1})
    with pytest.raises(TypeError):
        sketch | 5
    assert (sketch.to_bytes(), other.to_bytes()) == (before, others)
    if not case.numbers:
        for options in ({"seed": 1}, {"key": KEY}):
            with pytest.raises(ValueError, match="hashes differ, Hasher"):
                sketch.merge(case.make(**options))
    assert sketch.to_bytes() == before


def several(case: Case, **options) -> list[Sketch]:
    """Sketches of few and of many items, with nulls, of a count, and an empty one."""
    parts = [built(case, part, **options) for part in np.split(INTEGERS, [3, 40, 40, 5000, 5900])]
    parts[1].update([None, 1], None)
    parts[2].add(77, 5)
    return [*parts, case.make(**options)]


@growing
def test_merging_many_equals_merging_one_by_one(case):
    for options in [{}] if case.numbers else [{}, {"seed": 3}, {"key": KEY}]:
        parts = several(case, **options)
        before = [part.to_bytes() for part in parts]
        for first in (0, 3, 5):  # few items, many, none
            at_once, one_by_one = parts[first].copy(), parts[first].copy()
            others = [*parts[:first], *parts[first + 1 :], parts[4]]  # one of them twice
            at_once.merge(*others)
            for other in others:
                one_by_one.merge(other)
            assert at_once == one_by_one
            assert at_once.nulls == 1
            assert [part.to_bytes() for part in parts] == before
            at_once.merge()
            assert at_once == one_by_one
            at_once.add(7)
            one_by_one.add(7)
            assert at_once == one_by_one


@growing
def test_a_sketch_among_the_others_is_as_it_was(case):
    sketch, other = built(case, INTEGERS[:700]), built(case, INTEGERS[600:900])
    expected, before = sketch.copy(), sketch.copy()
    for one in (other, before, before):
        expected.merge(one)
    sketch.merge(other, sketch, sketch)
    assert sketch == expected


@growing
def test_if_one_of_many_is_refused_nothing_changes(case):
    sketch, good, blank = built(case, [1, 2, 3]), built(case, [4]), type(case.make()).__new__(type(case.make()))
    large = case.make()
    large.add(1, 2**62)
    refused = [
        (case.other(), ValueError, "cannot merge: .* is .* here and .* there"),
        ([good], TypeError, "cannot merge a .* with a list"),
        (blank, RuntimeError, "made without __init__"),
    ]
    if not case.numbers:
        refused.append((case.make(key=KEY), ValueError, "hashes differ, Hasher"))
    every = (sketch, good, large)
    before = [one.to_bytes() for one in every]
    for bad, error, message in refused:
        for others in ((good, large, bad), (bad, good), (good, bad, sketch)):
            with pytest.raises(error, match=message):
                sketch.merge(*others)
    with pytest.raises(OverflowError, match=rf"total count from 3 \+ {2**63 + 1} beyond {2**63 - 1}"):
        sketch.merge(good, large, large)  # each alone would fit, and the total of all is no int64
    with pytest.raises(OverflowError, match="total count from 3 "):
        sketch.merge(large, large, large, large, large, good)
    assert [one.to_bytes() for one in every] == before
    sketch.merge(good)  # nothing is left held
    assert sketch.total == 4


@growing
def test_totals_never_wrap(case):
    sketch = case.make()
    sketch.add(1, 2**62)
    before = sketch.to_bytes()
    with pytest.raises(OverflowError, match="total"):
        sketch.add(1, 2**62)
    with pytest.raises(OverflowError, match="total"):
        sketch.update([1, 2], [2**61, 2**61])
    with pytest.raises(OverflowError, match="total"):
        sketch.merge(sketch)
    with pytest.raises((OverflowError, ValueError), match="at most"):
        sketch.add(1, 2**63)
    assert sketch.to_bytes() == before


BAD_ITEMS = [
    ("word", "items is one str"),
    (b"word", "items is one bytes"),
    (7, "items is of type int"),
    ({"a": 1}, "items is a dict"),
    ([1, {2}], "set"),
    (np.zeros((2, 2)), r"items have shape \(2, 2\)"),
    (np.array(7), r"items have shape \(\)"),
    (np.zeros(2, complex), "dtype complex128"),
    (np.zeros(2, "m8[s]"), "dtype timedelta64"),
    (np.zeros(2, [("a", int)]), "dtype"),
    (pa.array([[1]]), r"format '\+l'"),
    (pa.array([1], pa.duration("s")), "format 'tDs'"),
]


@growing
def test_bad_input_changes_nothing(case):
    sketch = built(case, [1, 2, 3])
    before = sketch.to_bytes()
    for items, message in BAD_ITEMS:
        with pytest.raises((TypeError, ValueError), match=message):
            sketch.update(items)
    counts = [
        ([1], "counts have length 1, items have length 3"),
        ([1, 1, 1, 1], "counts have length 4, items have length 3"),
        ([1.5, 1, 1], "integers are accepted"),
        ("abc", "counts is of type str"),
        (5, "counts is of type int"),
        (np.ones((3, 1), int), "counts have shape"),
        ([2**64, 1, 1], "counts"),
    ]
    if not case.signed:
        counts.append(([1, -1, 1], "counts hold -1"))
    for given, message in counts:
        with pytest.raises((TypeError, ValueError), match=message):
            sketch.update([1, 2, 3], given)
    for item in ({1}, object(), [1], 1j):
        with pytest.raises(TypeError, match="type"):
            sketch.add(item)
    for count in (1.5, "1", None):
        with pytest.raises(TypeError, match="count is of type"):
            sketch.add(1, count)
    if not case.signed:
        with pytest.raises(ValueError, match="count is -1"):
            sketch.add(1, -1)
    assert sketch.to_bytes() == before


@fixed
def test_bad_input_makes_no_fixed_sketch(case):
    for items, message in [*BAD_ITEMS, (np.array(7), r"items have shape \(\)")]:
        with pytest.raises((TypeError, ValueError), match=message):
            case.make(items)

    def stream():
        yield from range(50_000)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        case.make(stream())


@fixed
def test_fixed_sketches_refuse_to_change(case):
    sketch, other = built(case, INTEGERS), built(case, [1])
    before = sketch.to_bytes()
    for call in (
        lambda: sketch.add(1),
        lambda: sketch.add(1, 2),
        lambda: sketch.update([1]),
        lambda: sketch.update([1], [2], threads=2),
        lambda: sketch.merge(other),
        lambda: sketch.merge(other, other),
        lambda: sketch | other,
        lambda: sketch.__ior__(other),
    ):
        with pytest.raises(TypeError, match=r"is a fixed set: make a new one of all items, \w+\(items\), or use a"):
            call()
    assert sketch.to_bytes() == before


@fixed
def test_fixed_sketches_depend_on_the_set_alone(case):
    expected = built(case, INTEGERS).to_bytes()
    shuffled = RANDOM.permutation(INTEGERS)
    for same in (shuffled, np.unique(INTEGERS), np.tile(INTEGERS, 9), set(INTEGERS.tolist())):
        assert built(case, same).to_bytes() == expected
    for size in (0, 1, 2, 7, 1023, 1025, 131_073):
        items = np.resize(RANDOM.permutation(size), 2 * size)
        assert built(case, items) == built(case, items[::-1].tolist())


@fixed
def test_nulls_are_skipped_and_counted_in_fixed_sketches(case):
    nulls = [None, pd.NA, pd.NaT, 1, None]
    for items, number in ((nulls, 4), (pa.array([None, 1], pa.int32()), 1), (np.ma.masked_equal([1, 5], 5), 1)):
        sketch = built(case, items)
        assert sketch.nulls == number
        assert case.state(sketch) == case.state(built(case, [1]))
        assert sketch.total == 1


@all_cases
def test_a_sketch_is_no_sequence(case):
    sketch = built(case, [1, 2, 3])  # without a refusal, sketch[0], sketch[1], … are asked for, for ever
    with pytest.raises(TypeError, match="not iterable"):
        iter(sketch)
    if not hasattr(sketch, "contains"):
        with pytest.raises(TypeError, match="not iterable"):
            "x" in sketch  # noqa: B015


@all_cases
def test_an_array_without_dimension_is_refused_everywhere(case):
    sketch = built(case, [1, 2, 3])
    before = sketch.to_bytes()
    if not case.fixed:
        with pytest.raises(ValueError, match=r"items have shape \(\)"):
            sketch.update(np.array(7), [1])
    for ask in ("contains", "estimate"):
        if hasattr(sketch, ask):
            with pytest.raises(ValueError, match=r"items have shape \(\)"):
                getattr(sketch, ask)(np.array(7))
    assert sketch.to_bytes() == before


@growing
def test_counts_that_change_on_the_way_are_checked_again(case):
    counts = np.ones(100_000, np.int64)

    def stream():
        yield from range(50_000)
        counts[:] = -1
        yield from range(50_000)

    sketch = case.make()
    if case.signed:
        sketch.update(stream(), counts)
    else:
        with pytest.raises(ValueError, match="counts hold -1; this sketch accepts counts of 0 and more"):
            sketch.update(stream(), counts)
        assert sketch.total == sketch.weight
    assert sketches.from_bytes(sketch.to_bytes()) == sketch


@growing
def test_a_failure_half_way_says_how_much_was_added(case):
    def stream():
        yield from range(50_000)
        raise RuntimeError("the source broke")

    sketch = case.make()
    with pytest.raises(RuntimeError, match="the source broke") as caught:
        sketch.update(stream())
    assert caught.value.__notes__ == [f"{sketch.total} items (by count) had been added before this error"]
    assert sketch == built(case, range(sketch.total))


@all_cases
def test_bytes_files_pickles_and_copies(case, tmp_path):
    for options in [{}] if case.numbers else [{}, {"seed": 3}, {"key": KEY}]:
        sketch = built(case, INTEGERS, **options)
        key = options.get("key")
        data = sketch.to_bytes()
        sketch.save(tmp_path / "a.sketch")
        again = [
            type(sketch).from_bytes(data, key=key),
            sketches.from_bytes(bytearray(data), key=key),
            sketches.load(tmp_path / "a.sketch", key=key),
            copy.copy(sketch),
            copy.deepcopy(sketch),
            *(pickle.loads(pickle.dumps(sketch, protocol)) for protocol in range(6)),
        ]
        for other in again:
            assert other == sketch
            assert other is not sketch
            assert other.hasher == sketch.hasher
            if case.fixed:
                continue
            other.add(5)
            assert other != sketch
            assert case.state(other) == case.state(added_to(case, sketch, 5))
        buffers = []
        small = pickle.dumps(sketch, 5, buffer_callback=buffers.append)
        assert pickle.loads(small, buffers=buffers) == sketch
        assert len(small) < 600
    assert list(tmp_path.iterdir()) == [tmp_path / "a.sketch"]


def added_to(case, sketch, item):
    twin = sketch.copy()
    twin.update([item])
    return twin


@hashing
def test_keys_are_not_written_and_are_checked(case):
    sketch = built(case, [1, 2], key=KEY)
    data = sketch.to_bytes()
    assert KEY not in data
    assert KEY.hex() not in repr(sketch.hasher)
    with pytest.raises(ValueError, match="pass key="):
        sketches.from_bytes(data)
    with pytest.raises(ValueError, match="key has fingerprint"):
        sketches.from_bytes(data, key=bytes(16))
    with pytest.raises(ValueError, match="made without one"):
        sketches.from_bytes(built(case, [1]).to_bytes(), key=KEY)


@hashing
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"seed": "1"}, "seed is '1'"),
        ({"seed": True}, "seed is True"),
        ({"key": b"short"}, "key has 5 bytes"),
        ({"key": 16 * "k"}, "key is of type str"),
        ({"key": KEY, "seed": 1}, "seed is 1 beside a key"),
    ],
)
def test_seeds_and_keys_out_of_range(case, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        case.make(**options)


@all_cases
def test_without_init_nothing_crashes(case):
    kind = type(case.make())
    blank = kind.__new__(kind)
    changes = () if case.fixed else (lambda: blank.add(1), lambda: blank.update([1]), lambda: case.make().merge(blank))
    asks = (lambda: 1 in blank, lambda: blank.contains([1])) if hasattr(kind, "contains") else ()
    for call in (*changes, *asks, blank.to_bytes, blank.copy):
        with pytest.raises((RuntimeError, AttributeError, ValueError)):
            call()


@growing
def test_threads_wait_for_each_other(case):
    sketch = case.make()
    parts = np.array_split(INTEGERS, 8)
    threads = [threading.Thread(target=sketch.update, args=(np.tile(part, 20),)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sketch.total == 20 * len(INTEGERS)
    if case.exact_merge:
        assert case.state(sketch) == case.state(built(case, np.tile(INTEGERS, 20)))


@all_cases
def test_memory_is_stated_and_asked_for(case):
    sketch = built(case, INTEGERS)
    assert 0 < sketch.nbytes < 2**20
    assert f"{sketch.nbytes:,} bytes" in repr(sketch)
    with pytest.raises(TypeError):
        hash(sketch)
    assert sketch != 5


@all_cases
def test_a_users_subclass_does_all_that_its_class_does(case):
    kind = type(case.make())
    own = type("Own", (kind,), {"__module__": __name__})
    globals()["Own"] = own  # where pickle looks for it
    sketch = own.from_bytes(built(case, INTEGERS).to_bytes())
    sketch.note = "mine"
    for other in (sketch.copy(), copy.deepcopy(sketch), *(pickle.loads(pickle.dumps(sketch, p)) for p in range(6))):
        assert type(other) is own
        assert other == sketch
        assert other.note == "mine"
    assert case.fixed or type(sketch | sketch) is own
    assert type(sketches.from_bytes(sketch.to_bytes())) is kind  # bytes name the class whose layout they have
    assert sketch != kind.from_bytes(sketch.to_bytes())
