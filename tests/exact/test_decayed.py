"""Decayed counts: weights and their rounding, forgetting, merging, and what is refused."""

import copy
import math
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from contract.test_fuzz import damage, seal

from sketches import AMS, CountMin, Decayed, FlajoletMartin, FormatError, plain
from sketches.core import wire
from sketches.core.forward_decay import PANE, ROUNDING, TICKS, UNIT, halved, weights_of

KEY = bytes(range(16))
RANDOM = np.random.default_rng(8)
ITEMS = RANDOM.integers(0, 50, 2000)
TIMES = np.cumsum(RANDOM.random(2000)) * 0.5  # 500 in all
COUNTS = RANDOM.integers(0, 5, 2000)
HALF_LIFE = 12.5  # so that there are 40 of them, in 3 panes
KINDS = {"CountMin": (CountMin, plain.CountMin), "AMS": (AMS, plain.AMS)}
both = pytest.mark.parametrize("kind", KINDS)


def decayed(kind="CountMin", half_life=HALF_LIFE, items=ITEMS, counts=COUNTS, times=TIMES, **options):
    found = Decayed(KINDS[kind][0](width=97, depth=3, **options), half_life)
    found.update(items, counts, time=times)
    return found


def truth(t, items=ITEMS, counts=COUNTS, times=TIMES):
    """The decayed count of each item below 50."""
    return np.bincount(items, counts * 2.0 ** ((times - t) / HALF_LIFE), minlength=50)


def test_weights_are_rounded_up_to_integers():
    ticks = np.arange(PANE)
    exact = 2.0 ** (UNIT + ticks / TICKS)
    weights = weights_of(ticks)
    assert (weights >= exact * (1 - 1e-15)).all()
    assert (weights < exact * (1 + 1e-15) + 1).all()
    assert (weights[::TICKS] == 2 ** (UNIT + np.arange(16))).all()
    assert (np.diff(weights) >= 0).all()
    # The factor that the class states: two roundings of time, one to an integer.
    assert 2 ** (2 / TICKS) * (1 + 2.0**-UNIT) < 1 + ROUNDING
    assert [halved(weight, 3) for weight in (0, 1, 8, 9, 2**70)] == [0, 1, 1, 2, 2**67]
    assert halved(5, 10**9) == 1


@both
def test_the_state_is_the_plain_twins(kind):
    ours = decayed(kind)
    twin = plain.Decayed(partial(KINDS[kind][1], width=97, depth=3), HALF_LIFE)
    one = Decayed(KINDS[kind][0](width=97, depth=3), HALF_LIFE)
    for item, count, time in zip(ITEMS.tolist(), COUNTS.tolist(), TIMES.tolist(), strict=True):
        twin.add(item, count, time=time)
        one.add(item, count, time=time)
    assert {n: sketch.counters.tolist() for n, sketch in ours._sketches.items()} == {
        n: sketch.rows for n, sketch in twin.sketches.items()
    }
    assert one == ours
    later = TIMES[-1] + 3
    if kind == "CountMin":
        assert ours.estimate([7, 8], later) == pytest.approx([twin.estimate(7, later), twin.estimate(8, later)], 1e-12)


def test_counts_decay_and_bounds_hold():
    found = decayed()
    for later in (0, 0.01, 1, HALF_LIFE, 100, 1000):
        t = TIMES[-1] + later
        f = truth(t)
        lower, upper = found.bounds(range(50), t, confidence=0.999)
        assert (f <= upper).all()
        assert (lower <= f).all()
        estimate = found.estimate(range(50), t)
        assert (f - found.forgotten(t) <= estimate).all()
        total = found.total(t)
        assert total.lower <= f.sum() <= total.upper <= f.sum() * (1 + ROUNDING) + 2 * found.forgotten(t)
        # What is forgotten weighed less than 2**-16 each, at the time of the newest pane's start.
        assert 0 < found.forgotten(t) < COUNTS.sum() * 2.0**-16
    halves = [found.estimate(range(50), TIMES[-1] + HALF_LIFE * n) for n in (1, 2, 3)]
    assert (halves[0] == 2 * halves[1]).all()
    assert (halves[0] == 4 * halves[2]).all()
    assert found.estimate(iter([1, 2])).shape == (2,)


def test_a_table_without_collisions_is_exact_but_for_rounding():
    found = Decayed(CountMin(width=100_000), HALF_LIFE)
    found.update(ITEMS, COUNTS, time=TIMES)
    t = TIMES[-1] + 0.3
    f, estimate = truth(t), found.estimate(range(50), t)
    assert (estimate >= f - found.forgotten(t)).all()
    assert (estimate <= f * (1 + ROUNDING)).all()


def test_the_second_moment_is_that_of_decayed_counts():
    # A row's standard error is sqrt(2 / 4096) = 2.2 % at most, that of the median of five 1.2 %: five of them.
    found = Decayed(AMS(width=4096, depth=5), HALF_LIFE)
    found.update(ITEMS, COUNTS, time=TIMES)
    t = TIMES[-1] + 2
    moment, f2 = found.second_moment(t, confidence=0.99), (truth(t) ** 2).sum()
    assert moment.lower <= f2 <= moment.upper
    assert moment == pytest.approx(f2, rel=0.06)
    assert found.estimate(range(50), t) == pytest.approx(truth(t), abs=5 * math.sqrt(f2 / 4096))
    with pytest.raises(TypeError, match="the second moment is an AMS's"):
        decayed().second_moment()
    with pytest.raises(TypeError, match="bounds of single counts are a CountMin's"):
        found.bounds([1])


@both
def test_order_does_not_matter_within_two_panes(kind):
    recent = TIMES[-1] - TIMES < 15 * HALF_LIFE
    items, counts, times = ITEMS[recent], COUNTS[recent], TIMES[recent]
    shuffled = RANDOM.permutation(len(items))
    assert decayed(kind, items=items, counts=counts, times=times) == decayed(
        kind, items=items[shuffled], counts=counts[shuffled], times=times[shuffled]
    )


@both
def test_sketches_of_different_times_merge(kind):
    whole = decayed(kind)
    early, late = (
        decayed(kind, items=ITEMS[part], counts=COUNTS[part], times=TIMES[part])
        for part in (slice(0, 1000), slice(1000, 2000))
    )
    before = early.to_bytes()
    merged = early | late
    assert early.to_bytes() == before
    assert merged == late | early
    # Both forgot the same; whoever did it later, or in two steps, rounded up once more.
    assert {n: sketch.to_bytes() for n, sketch in merged._sketches.items()} == {
        n: sketch.to_bytes() for n, sketch in whole._sketches.items()
    }
    assert whole._latest == merged._latest
    assert abs(whole._forgotten - merged._forgotten) <= 4
    early |= late
    assert early == merged
    twice = merged | merged
    merged.merge(merged)
    assert merged == twice
    assert (merged.estimate(range(50)) == 2 * whole.estimate(range(50))).all()


def test_time_goes_on_without_items():
    found = decayed()
    now = TIMES[-1] + 100 * HALF_LIFE
    found.update([], time=now)
    assert found._sketches == {}
    assert found.estimate([1]).tolist() == [0]
    assert truth(now).sum() <= found.total().upper <= 4 * 2.0**-UNIT  # each time that something was dropped, rounded up
    found.add(1, 3, time=now)
    assert 3 <= found.estimate([1])[0] <= 3 * (1 + ROUNDING)


@both
def test_every_way_of_giving_items(kind):
    expected = decayed(kind, items=ITEMS[:100], counts=None, times=np.full(100, 7))
    for items in (ITEMS[:100].tolist(), iter(ITEMS[:100].tolist()), pa.array(ITEMS[:100]), pd.Series(ITEMS[:100])):
        found = Decayed(KINDS[kind][0](width=97, depth=3), HALF_LIFE)
        found.update(items, time=7)
        assert found == expected
    found = Decayed(KINDS[kind][0](width=97, depth=3), HALF_LIFE)
    found.update(set(ITEMS[:100].tolist()), time=7)
    assert found.total(7).upper >= len(set(ITEMS[:100].tolist()))


def test_bad_arguments():
    for sketch in (CountMin, FlajoletMartin(), 3, None):
        with pytest.raises(TypeError, match="an empty CountMin or AMS is accepted"):
            Decayed(sketch, 1)
    with pytest.raises(ValueError, match="conservative"):
        Decayed(CountMin(width=9, conservative=True), 1)
    full = CountMin(width=9)
    full.add(1)
    with pytest.raises(ValueError, match="an empty one is accepted"):
        Decayed(full, 1)
    for half_life in (0, -1, math.nan, math.inf, 2**50, 1e-310):
        with pytest.raises(ValueError, match="half_life is"):
            Decayed(CountMin(width=9), half_life)
    with pytest.raises(TypeError, match="half_life is"):
        Decayed(CountMin(width=9), "1 h")


@both
def test_bad_input_changes_nothing(kind):
    found = decayed(kind)
    before = found.to_bytes()
    for time in (math.nan, math.inf, 1e300, 10**400):
        with pytest.raises(ValueError, match="time is"):
            found.add(1, time=time)
        with pytest.raises(ValueError, match="time is"):
            found.estimate([1], time)
    with pytest.raises(ValueError, match="time is 3, before"):
        found.add(1, time=3)
    with pytest.raises(ValueError, match=r"time is 400, before .*, the latest time there was"):
        found.estimate([1], 400)
    for counts in ([-1], [1.5], [1, 2], [[1]], "a"):
        with pytest.raises((TypeError, ValueError), match="counts"):
            found.update([1], counts, time=1000)
    with pytest.raises(ValueError, match="time has length 1"):
        found.update([1, 2], time=[1000])
    with pytest.raises(TypeError):
        found.update([{1}], time=1000)
    for items in (5, "word", {"a": 1}, np.zeros((2, 2))):
        with pytest.raises((TypeError, ValueError), match="items"):
            found.update(items, time=1000)
        with pytest.raises((TypeError, ValueError), match="items"):
            found.estimate(items)
    with pytest.raises(OverflowError, match="weighted"):
        found.add(1, 2**62, time=1000)
    assert found.to_bytes() == before
    with pytest.raises(TypeError) as failure:
        found.update([1, {2}], time=[1000, 2000])
    assert "the 1 items before these had been added" in failure.value.__notes__
    assert found.total(1000) >= 1


def test_merge_refuses_what_differs():
    found = decayed()
    before = found.to_bytes()
    with pytest.raises(ValueError, match=r"half_life is 12\.5 here and 13 there"):
        found.merge(decayed(half_life=13))
    with pytest.raises(ValueError, match="hashes differ"):
        found.merge(decayed(seed=3))
    with pytest.raises(TypeError, match="cannot merge a CountMin with a AMS"):
        found.merge(decayed("AMS"))
    assert found.to_bytes() == before


@both
@pytest.mark.parametrize("options", [{}, {"key": KEY}], ids=["seed", "key"])
def test_bytes_copies_and_pickles(kind, options):
    found = decayed(kind, **options)
    for other in (
        Decayed.from_bytes(found.to_bytes(), **options),
        found.copy(),
        copy.deepcopy(found),
        *(pickle.loads(pickle.dumps(found, protocol)) for protocol in range(6)),
    ):
        assert other == found
        assert (other.estimate(range(50)) == found.estimate(range(50))).all()
        assert other.forgotten() == found.forgotten() > 0
        other.add(1, time=TIMES[-1])
        assert other != found
    empty = Decayed(KINDS[kind][0](width=5, depth=3), 7)
    assert Decayed.from_bytes(empty.to_bytes()) == empty
    assert empty.total() == empty.forgotten() == 0
    assert "half_life=7" in repr(empty)


def golden():
    """Three panes, of which the first is forgotten."""
    found = Decayed(CountMin(width=5, depth=2, seed=9), 0.5)
    found.update(["a", "é", None, (1, "x"), "a"], [3, 1, 1, 2, 1], time=[-0.3, 8.1, 9, 16.5, 17])
    return found


def test_bytes_are_frozen():
    frozen = (Path(__file__).parents[1] / "golden" / "v1-Decayed.bytes").read_bytes()
    found = Decayed.from_bytes(frozen)
    assert found == golden()
    assert found.forgotten(17) > 0


def test_bytes_with_wrong_fields_are_refused():
    name, envelope, fields = wire.decode(decayed().to_bytes())
    good = {key: value.tolist() if key in ("newest", "numbers", "sizes") else value for key, value in fields.items()}
    signed = CountMin(width=97, depth=3)
    signed.add(1, -1)
    signed = np.frombuffer(signed.to_bytes(), np.uint8)
    for change in (
        {"latest": good["latest"] - PANE},
        {"newest": [good["newest"][0] + 1]},
        {"newest": [], "numbers": [], "sizes": [], "sketches": []},
        {"half_life": math.nan},
        {"half_life": 2.0**-1001},
        {"forgotten": 2**63},
        {"sketch": np.frombuffer(FlajoletMartin().to_bytes(), np.uint8)},
        {"sketch": np.frombuffer(CountMin(width=97, depth=3, conservative=True).to_bytes(), np.uint8)},
        {"numbers": good["newest"], "sizes": [len(signed)], "sketches": signed},
    ):
        with pytest.raises(FormatError):
            Decayed.from_bytes(wire.encode(name, envelope, good | change))


def test_hostile_bytes():
    seeds = [decayed(kind).to_bytes() for kind in KINDS]
    random = np.random.default_rng(5)
    for turn in range(2000):
        data = damage(seeds[turn % 2], seeds, random)
        try:
            found = Decayed.from_bytes(seal(data) if turn % 2 else data)
        except (FormatError, ValueError, OverflowError):
            continue
        found.estimate([1])
        found.forgotten()
        assert Decayed.from_bytes(found.to_bytes()) == found
