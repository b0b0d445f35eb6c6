"""Windows of time: what they cover, pane by pane, and what they refuse."""

import copy
import math
import pickle
import threading
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from cases import GROWING
from contract.test_fuzz import damage, seal

import sketches
from sketches import (
    BinaryFuseFilter,
    BloomFilter,
    CountMin,
    FlajoletMartin,
    FormatError,
    SlidingWindow,
    SpaceSaving,
    plain,
)
from sketches.core import wire

KEY = bytes(range(16))
RANDOM = np.random.default_rng(7)
ITEMS = RANDOM.integers(0, 300, 2000)
TIMES = np.cumsum(RANDOM.random(2000))  # 1,000 in all
NARROW = partial(CountMin, width=50)
all_cases = pytest.mark.parametrize("case", GROWING, ids=lambda case: case.name)


def window(make=NARROW, pane=10, panes=6, items=ITEMS, times=TIMES, **options):
    found = SlidingWindow(make(**options), pane, panes)
    found.update(items, time=times)
    return found


@all_cases
def test_the_window_is_that_of_the_plain_twin(case):
    ours, twin = SlidingWindow(case.make(), 10, 6), plain.SlidingWindow(case.twin, 10, 6)
    for step, (item, time) in enumerate(zip(ITEMS.tolist(), (TIMES + RANDOM.random(2000) * 30).tolist(), strict=True)):
        ours.add(item, time=time)
        twin.add(item, time=time)
        if step % 50 == 0:
            assert sorted(ours._sketches) == sorted(twin.sketches)
            if case.exact_merge:
                assert case.state(ours.merged()) == case.twin_state(twin.merged())
    for number, sketch in ours._sketches.items():
        assert case.state(sketch) == case.twin_state(twin.sketches[number])


@all_cases
def test_it_covers_between_w_and_w_and_a_pane(case):
    if not case.exact_merge:
        return
    for stop in range(1, 2000, 37):
        found = SlidingWindow(case.make(), 10, 6)
        found.update(ITEMS[:stop], time=TIMES[:stop])
        t = TIMES[stop - 1]
        first = int(np.searchsorted(TIMES, (t // 10 - 6) * 10))  # the oldest pane begins there
        assert TIMES[first] > t - 70
        assert (TIMES[:first] <= t - 60).all()
        expected = case.make()
        expected.update(ITEMS[first:stop])
        assert found.merged() == expected
        assert found.merged(time=t + 10) == SlidingWindow.from_bytes(found.to_bytes()).merged(time=t + 10)


def test_a_later_time_slides_on_and_changes_nothing():
    found = window()
    before, last = found.to_bytes(), float(TIMES[-1])
    totals = [found.merged(time=last + later).total for later in range(0, 100, 5)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] == found.merged().total > totals[8] > totals[-1] == 0
    assert found.to_bytes() == before
    found.update([], time=last + 40)  # no items, but time goes on
    assert found.merged().total == totals[8]
    assert found.latest[0] <= last + 40 < found.latest[1]


def test_every_way_of_giving_items_and_times():
    expected = window()
    counts = np.ones(2000, int)
    for items, times in (
        (ITEMS.tolist(), TIMES.tolist()),
        (pa.array(ITEMS), pa.array(TIMES)),
        (pl.Series(ITEMS), pl.Series(TIMES)),
        (pd.Series(ITEMS, index=np.arange(2000) * -1.5), pd.Series(TIMES, index=np.arange(2000)[::-1])),
        (tuple(ITEMS), tuple(TIMES)),
    ):
        assert window(items=items, times=times) == expected
        found = SlidingWindow(CountMin(width=50), 10, 6)
        found.update(items, counts, time=times, threads=2)
        assert found == expected
    one = SlidingWindow(CountMin(width=50), 10, 6)
    for item, time in zip(ITEMS, TIMES, strict=True):
        one.add(item, time=time)
    assert one == expected
    batch = SlidingWindow(CountMin(width=50), 10, 6)
    batch.update(iter(ITEMS[:100].tolist()), time=5)
    batch.update(ITEMS[100:], time=np.full(1900, 25.0))
    assert batch.merged().total == 2000


@pytest.mark.parametrize("pane", [10, 0.1, 2.5e-300, 60_000_000_000, np.float32(0.25)])
@pytest.mark.parametrize("first", [-1000, 0, 2**26])
def test_panes_begin_at_whole_multiples(pane, first):
    found = SlidingWindow(CountMin(width=9), pane, 3)
    exact = int(pane) if float(pane).is_integer() else float(pane)
    for step in range(5):
        for time in (math.nextafter((first + step + 1) * exact, -math.inf), (first + step) * exact):
            number = int(time // exact)
            found.add(1, time=time)
            assert number in found._sketches
            assert number * Fraction(exact) <= Fraction(time) < (number + 1) * Fraction(exact)
    times = np.array([(first + step) * exact for step in range(5)])
    array = SlidingWindow(CountMin(width=9), pane, 3)
    array.update([1] * 5, time=times)
    numbers = [Fraction(time) // Fraction(exact) for time in times.tolist()]
    assert sorted(array._sketches) == [n for n in dict.fromkeys(numbers) if n >= numbers[-1] - 3]


def test_nanoseconds_keep_their_precision():
    found = SlidingWindow(CountMin(width=9), 10**9, 3)
    now = np.int64(1_700_000_000_000_000_000)
    found.update([1, 2, 3], time=np.array([now - 1, now, now + 1]))
    assert [sketch.total for _, sketch in sorted(found._sketches.items())] == [1, 2]
    found.add(4, time=now + 10**9 - 1)
    assert len(found._sketches) == 2


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64, np.float16, np.float32])
def test_times_of_every_width(kind):
    times = np.array([0, 1, 99, 100, 101], kind)
    for pane in (3, 1000, 10**12, 0.5):  # 1,000 is beyond an int8, 10**12 beyond an int32
        one, many = (SlidingWindow(CountMin(width=9), pane, 300) for _ in "ab")
        for time in times:
            one.add(1, time=time)
        many.update([1] * 5, time=times)
        assert one == many


def test_a_failed_answer_leaves_nothing_behind():
    found = SlidingWindow(CountMin(width=9), 10, 3)
    for time, count in ((1, 2**62), (11, 1), (21, 2**62), (31, 1)):
        found.add(time, count, time=time)
    for _ in range(3):
        with pytest.raises(OverflowError):
            found.merged()
    found.add(41, 1, time=41)
    assert found.merged().total == 2**62 + 3


def test_a_new_pane_takes_no_look_at_all_others():
    class Unlisted(dict):
        def __iter__(self):
            raise AssertionError("all panes are looked at")

    found = SlidingWindow(CountMin(width=9), 1, 100)
    found.update([1] * 100, time=np.arange(100))
    found._sketches = Unlisted(found._sketches)
    for time in range(100, 300, 3):
        found.add(1, time=time)
    assert sum(time in found._sketches for time in range(300)) == len(found._sketches) == 34
    for time in (1000, 2000):  # all others go
        found._sketches = dict(found._sketches)
        found.add(1, time=time)
        assert list(found._sketches) == [time]


@pytest.mark.parametrize(
    "kind", [list, np.array, pa.array, lambda x: pa.chunked_array([x[:9], x[9:]]), pd.Series, pl.Series]
)
def test_items_of_a_batch_may_come_in_any_order(kind):
    random = np.random.default_rng(11)
    order = np.argsort(TIMES + random.random(2000) * 60, kind="stable")
    names, counts = [f"user {item}" for item in ITEMS[order]], random.integers(1, 9, 2000)
    given = kind(names)
    if isinstance(given, pd.Series):
        given = given.set_axis(range(5, 2005))
    one_by_one, at_once = SlidingWindow(CountMin(width=50), 10, 6), SlidingWindow(CountMin(width=50), 10, 6)
    for name, count, time in zip(names, counts.tolist(), TIMES[order].tolist(), strict=True):
        one_by_one.add(name, count, time=time)
    at_once.update(given, counts, time=TIMES[order])
    assert at_once == one_by_one


def test_a_batch_in_no_order_feeds_each_pane_once(monkeypatch):
    window, fed = SlidingWindow(CountMin(width=50), 10, 6), []
    monkeypatch.setattr(window, "_feed", lambda pane, *feed, **options: fed.append(pane))
    window.update(np.arange(3000), time=np.random.default_rng(12).random(3000) * 60)
    assert fed == [0, 1, 2, 3, 4, 5]


def test_items_may_be_late_within_the_window():
    late = SlidingWindow(CountMin(width=50), 10, 6)
    order = np.argsort(TIMES + RANDOM.random(2000) * 60, kind="stable")  # each within 60 of the latest before it
    for item, time in zip(ITEMS[order].tolist(), TIMES[order].tolist(), strict=True):
        late.add(item, time=time)
        late.merged()
    assert late == window()
    assert late.merged() == window().merged()


def test_late_items_beyond_the_window_are_refused():
    found = window()
    before = found.to_bytes()
    oldest = (TIMES[-1] // 10 - 6) * 10
    with pytest.raises(ValueError, match=r"time is 3, before \d+, where the oldest pane that is kept begins"):
        found.add(1, time=3)
    with pytest.raises(ValueError, match="before"):
        found.update([1, 2], time=math.nextafter(oldest, 0))
    with pytest.raises(ValueError, match="time is 5"):  # after the time of the one before it
        SlidingWindow(CountMin(width=9), 10, 6).update([1, 2], time=[200, 5])
    found.update([], time=oldest)
    assert found.to_bytes() == before
    with pytest.raises(ValueError, match="before"):
        found.update([1, 2, 3], time=[TIMES[-1], TIMES[-1] + 1000, TIMES[-1]])
    assert found.to_bytes() == before
    found.update([1, 2, 3], time=[oldest, TIMES[-1] + 1000, TIMES[-1] + 1000])  # each was in time when it came
    assert found.merged().total == 2
    with pytest.raises(ValueError, match=r"before .*, where the newest pane begins"):
        found.merged(time=TIMES[-1])


def test_bad_arguments():
    for pane in (0, -1, 0.0, math.nan, math.inf, 2**54, 10**400):
        with pytest.raises(ValueError, match=r"pane is .*; a number above 0"):
            SlidingWindow(CountMin(width=9), pane, 6)
    for pane in (None, "1", True, 1j):
        with pytest.raises(TypeError, match="pane is"):
            SlidingWindow(CountMin(width=9), pane, 6)
    for panes in (0, 2**20 + 1):
        with pytest.raises(ValueError, match="panes is"):
            SlidingWindow(CountMin(width=9), 1, panes)
    with pytest.raises(TypeError, match=r"sketch is .*; an empty sketch is accepted"):
        SlidingWindow(CountMin, 1, 1)
    with pytest.raises(TypeError, match=r"sketch is .*, which does not merge"):
        SlidingWindow(BinaryFuseFilter([]), 1, 1)
    with pytest.raises(ValueError, match=r"sketch is .*, which does not merge"):
        SlidingWindow(FlajoletMartin(martingale=True), 1, 1)
    full = CountMin(width=9)
    full.add(1)
    with pytest.raises(ValueError, match="an empty one is accepted"):
        SlidingWindow(full, 1, 1)


def test_bad_times_and_items_change_nothing():
    found = window()
    before = found.to_bytes()
    for time in (math.nan, math.inf, -math.inf, 1e300, 10**400, np.float64("nan")):
        with pytest.raises(ValueError, match="time is"):
            found.add(1, time=time)
        with pytest.raises(ValueError, match="time is"):
            found.merged(time=time)
    for time in (None, "now", True, np.datetime64("2020-01-01")):
        with pytest.raises(TypeError, match="time is"):
            found.update([1], time=time)
    with pytest.raises(ValueError, match=r"time\[1\] is nan"):
        found.update([1, 2], time=[TIMES[-1], math.nan])
    with pytest.raises(TypeError, match="time has dtype"):
        found.update([1, 2], time=["a", "b"])
    with pytest.raises(TypeError, match="time has dtype"):
        found.update([1, 2], time=np.array(["2020-01-01"] * 2, "M8[s]"))
    with pytest.raises(ValueError, match="time has length 3, but items length 2"):
        found.update([1, 2], time=[2000, 2000, 2000])
    with pytest.raises(ValueError, match="time has length 2, but counts length 1"):
        found.update([1, 2], [1], time=[2000, 2000])
    for items in (iter([1, 2]), "ab", {1, 2}):
        with pytest.raises(TypeError, match="items is of type"):
            found.update(items, time=[2000, 2000])
    with pytest.raises(TypeError):
        found.update([1, {2}], time=5000)
    with pytest.raises(TypeError):
        found.add(object(), time=5000)
    assert found.to_bytes() == before
    with pytest.raises(TypeError) as failure:
        found.update([1, 2, {3}], time=[5000, 5000, 6000])
    assert "the 2 items before these, by pane, had been added" in failure.value.__notes__
    assert found.merged().total == 2


@all_cases
def test_windows_merge_pane_by_pane(case):
    whole = window(case.make)
    parts = [SlidingWindow(case.make(), 10, 6) for _ in range(3)]
    for place, part in enumerate(parts):
        part.update(ITEMS[place::3], time=TIMES[place::3])
    parts[0].update([], time=TIMES[-1])
    before = parts[1].to_bytes()
    merged = parts[0] | parts[1] | parts[2]
    assert parts[1].to_bytes() == before
    assert sorted(merged._sketches) == sorted(whole._sketches)
    assert merged.merged().total == whole.merged().total
    if case.exact_merge:
        assert merged == whole == parts[2] | parts[0] | parts[1]
    old = SlidingWindow(case.make(), 10, 6)
    old.update([1, 2], time=0)
    either = old | whole
    assert either == whole == whole | old
    parts[1] |= whole
    parts[1].merge(SlidingWindow(case.make(), 10, 6))
    twice = whole | whole
    whole.merge(whole)
    assert whole == twice
    assert whole.merged().total == 2 * merged.merged().total


def test_merge_refuses_what_differs():
    found = window()
    before = found.to_bytes()
    for other, message in (
        (SlidingWindow(CountMin(width=50), 11, 6), "pane is 10 here and 11 there"),
        (SlidingWindow(CountMin(width=50), 10, 7), "panes is 6 here and 7 there"),
        (SlidingWindow(CountMin(width=51), 10, 6), "width is 50 here and 51 there"),
        (SlidingWindow(CountMin(width=50, seed=1), 10, 6), "hashes differ"),
    ):
        with pytest.raises(ValueError, match=message):
            found.merge(other)
    with pytest.raises(TypeError, match="cannot merge a CountMin with a FlajoletMartin"):
        found.merge(SlidingWindow(FlajoletMartin(), 10, 6))
    with pytest.raises(TypeError, match="cannot merge a SlidingWindow with a CountMin"):
        found.merge(CountMin(width=50))
    with pytest.raises(TypeError):
        found | 3
    huge = SlidingWindow(CountMin(width=50), 10, 6)
    huge.add(1, 2**63 - 1, time=TIMES[-1])
    with pytest.raises(OverflowError):
        found.merge(huge)
    assert found.to_bytes() == before


def test_answers_take_few_merges(monkeypatch):
    panes, merges = 50, 0
    merge = CountMin.merge

    def counting(self, *others):
        nonlocal merges
        merges += len(others)
        merge(self, *others)

    monkeypatch.setattr(CountMin, "merge", counting)
    found = SlidingWindow(CountMin(width=9), 1, panes)
    steps = 1000
    for step in range(steps):
        found.add(step, time=step)
        found.merged()
    # Two for each answer; each pane enters the back once and the front once.
    assert merges <= 4 * steps
    assert found.nbytes <= (2 * panes + 2) * CountMin(width=9).nbytes


@all_cases
def test_bytes_copies_and_pickles(case, tmp_path):
    for options in ({}, {"key": KEY}):
        if case.numbers and options:
            continue
        found = window(case.make, **options)
        found.merged()
        for other in (
            SlidingWindow.from_bytes(found.to_bytes(), **options),
            found.copy(),
            copy.copy(found),
            copy.deepcopy(found),
            *(pickle.loads(pickle.dumps(found, protocol)) for protocol in range(6)),
        ):
            assert other == found
            assert other.merged() == found.merged()
            other.add(1, time=TIMES[-1])
            assert other != found
            assert other.merged().total == found.merged().total + 1
        found.save(tmp_path / "window.sketch")
        assert SlidingWindow.from_bytes((tmp_path / "window.sketch").read_bytes(), **options) == found
    empty = SlidingWindow(case.make(), 0.5, 6)
    assert SlidingWindow.from_bytes(empty.to_bytes()) == empty == empty | empty
    assert empty.merged() == case.make()
    assert empty.latest is None
    assert empty != 3
    assert "pane=0.5, panes=6" in repr(empty)
    with pytest.raises(TypeError):
        hash(empty)


def golden():
    """A window that has dropped a pane, and holds every kind of item."""
    found = SlidingWindow(FlajoletMartin(6, seed=9), 0.5, 3)
    found.update(["gone"], time=-1)
    found.update(["é", None, (1, ("x", None)), 2**70], time=[0.5, 0.5, 1.25, 2.0])
    return found


def test_bytes_are_frozen():
    frozen = (Path(__file__).parents[1] / "golden" / "v1-SlidingWindow.bytes").read_bytes()
    window = SlidingWindow.from_bytes(frozen)
    assert window == golden()
    assert round(window.merged().count()) == 3
    sketch = SlidingWindow(CountMin(width=3, depth=2), 60, 24)
    sketch.update([1, 2, 2], time=[0, 59, 60])
    frozen = (Path(__file__).parents[1] / "golden" / "v1-SlidingWindow-CountMin.bytes").read_bytes()
    assert SlidingWindow.from_bytes(frozen) == sketch


def test_foreign_bytes():
    data = window().to_bytes()
    with pytest.raises(FormatError, match=r"read them with SlidingWindow.from_bytes"):
        sketches.from_bytes(data)
    with pytest.raises(FormatError, match="hold a CountMin"):
        SlidingWindow.from_bytes(CountMin(width=4).to_bytes())
    keyed = window(key=KEY).to_bytes()
    with pytest.raises(ValueError, match="key"):
        SlidingWindow.from_bytes(keyed)
    with pytest.raises(ValueError, match="key"):
        SlidingWindow.from_bytes(data, key=KEY)


def test_bytes_with_a_sketch_that_does_not_merge_are_refused():
    name, envelope, fields = wire.decode(SlidingWindow(FlajoletMartin(), 10, 6).to_bytes())
    alone = np.frombuffer(FlajoletMartin(martingale=True).to_bytes(), np.uint8)
    newest = {field: fields[field].tolist() for field in ("newest", "numbers", "sizes")}
    with pytest.raises(FormatError, match="does not merge"):
        SlidingWindow.from_bytes(wire.encode(name, envelope, {**fields, **newest, "sketch": alone}))


def test_bytes_with_wrong_fields_are_refused():
    name, envelope, fields = wire.decode(window().to_bytes())
    good = {key: value.tolist() if key in ("newest", "numbers", "sizes") else value for key, value in fields.items()}
    other = np.frombuffer(BloomFilter(10).to_bytes(), np.uint8)
    one = CountMin(width=50)
    one.add(1)
    for change in (
        {"newest": []},
        {"newest": [1, 2]},
        {"newest": [good["newest"][0] - 1]},
        {"newest": [good["newest"][0] + 1]},
        {"numbers": good["numbers"][::-1]},
        {"numbers": [good["numbers"][0]] * len(good["numbers"])},
        {"numbers": good["numbers"][1:]},
        {"sizes": [size + 1 for size in good["sizes"]]},
        {"sizes": [2**63, *good["sizes"][1:]]},
        {"sketches": good["sketches"][:-1]},
        {"sketch": other},
        {"sketch": np.frombuffer(BinaryFuseFilter([]).to_bytes(), np.uint8)},
        {"sketch": np.frombuffer(one.to_bytes(), np.uint8)},
        {"numbers": [5], "newest": [5], "sizes": [len(other)], "sketches": other},
        {"numbers": [5], "newest": [5], "sizes": [len(good["sketch"])], "sketches": good["sketch"]},
        {"pane": 0.0},
        {"pane": math.nan},
        {"panes": 0},
    ):
        with pytest.raises(FormatError):
            SlidingWindow.from_bytes(wire.encode(name, envelope, good | change))
    with pytest.raises(FormatError, match="hash"):
        SlidingWindow.from_bytes(wire.encode(name, envelope._replace(total=1, weight=1), good))


def test_hostile_bytes():
    seeds = [
        window(make, times=np.linspace(0, 60, 2000)).to_bytes()
        for make in (lambda: CountMin(width=5), FlajoletMartin, lambda: SpaceSaving(5))
    ]
    random = np.random.default_rng(5)
    for turn in range(3000):
        data = damage(seeds[turn % 3], seeds, random)
        try:
            found = SlidingWindow.from_bytes(seal(data) if turn % 2 else data)
        except (FormatError, ValueError, OverflowError):
            continue
        try:
            found.add(1, time=found.latest[0] if found.latest else 0)
            found.merged()
        except OverflowError:
            pass
        assert SlidingWindow.from_bytes(found.to_bytes()) == found


def test_threads_share_a_window():
    found = SlidingWindow(CountMin(width=50), 10, 6)

    def feed(part):
        for start in range(part * 500, part * 500 + 500, 50):
            found.update(ITEMS[start : start + 50], time=np.full(50, 5.0 + start % 40))
            found.merged()

    threads = [threading.Thread(target=feed, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = CountMin(width=50)
    expected.update(ITEMS)
    assert found.merged() == expected
