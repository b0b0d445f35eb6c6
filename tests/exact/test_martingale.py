"""FlajoletMartin with a martingale: beside the plain twin, on every path, in bytes, and what it refuses."""

import pickle

import numpy as np
import pytest

from sketches import FlajoletMartin, FormatError, from_bytes, plain
from sketches.core import bounds, wire
from sketches.flajolet_martin import KINDS

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
ITEMS = np.random.default_rng(2).integers(0, 2**62, 30_000)


def counting(n: int, precision: int = 6, kind: str = "ell") -> FlajoletMartin:
    sketch = FlajoletMartin(precision, kind, martingale=True)
    sketch.update(ITEMS[:n])
    return sketch


@EVERY_KIND
@pytest.mark.parametrize("n", [0, 5, 12, 13, 50, 300, 1500])
def test_counts_equal_the_twins(kind, n):
    sketch, twin = counting(n, 4, kind), plain.FlajoletMartin(4, kind, martingale=True)
    for item in ITEMS[:n].tolist():
        twin.add(item)
    assert sketch._martingale == (twin.estimate, twin.variance)
    assert sketch.count() == twin.count()
    plainer = FlajoletMartin(4, kind)
    plainer.update(ITEMS[:n])
    assert sketch.without_martingale() == plainer
    assert not sketch.without_martingale().martingale


@EVERY_KIND
@pytest.mark.parametrize("precision", [4, 10])
def test_every_path_gives_the_same_bytes(kind, precision):
    expected = counting(20_000, precision, kind)
    one_by_one = FlajoletMartin(precision, kind, martingale=True)
    for item in ITEMS[:20_000].tolist():
        one_by_one.add(item)
    pieces, lists = (FlajoletMartin(precision, kind, martingale=True) for _ in range(2))
    for start in range(0, 20_000, 777):
        pieces.update(ITEMS[start : min(start + 777, 20_000)], np.ones(min(777, 20_000 - start), np.int64))
    lists.update(ITEMS[:20_000].tolist())
    stored = counting(3000, precision, kind)
    stored = pickle.loads(pickle.dumps(from_bytes(stored.copy().to_bytes())))
    stored.update(ITEMS[3000:20_000])
    for sketch in (one_by_one, pieces, lists, stored):
        assert sketch.to_bytes() == expected.to_bytes()
        assert sketch.count() == expected.count()
    lists.update(ITEMS[:20_000])  # nothing new
    assert lists.count() == expected.count()


@EVERY_KIND
def test_bounds(kind):
    for n in (0, 1, 10, 30_000):
        sketch = counting(n, 8, kind)
        count, wide = sketch.count(), sketch.count(0.9999)
        assert wide.lower <= count.lower <= count <= count.upper <= wide.upper
        assert wide.lower <= n <= wide.upper
    assert sketch.relative_error == bounds.martingale_error(8, *KINDS[kind][1:3])
    assert sketch.relative_error < FlajoletMartin(8, kind).relative_error
    assert count.standard_error == pytest.approx(count * sketch.relative_error, rel=0.2)
    assert "martingale=True" in repr(sketch)


def test_constants():
    # Ertl 2025, section 3: ln b (1 + b**-d / (b - 1)) / 2 is 0.0939 for ell; HyperLogLog's is ln 2, its error 0.833.
    known = {"ell": 0.3063, "ull": 0.6582, "hll": 0.8326, "pcsa": 0.5887}
    for kind, c in known.items():
        assert counting(0, 10, kind).relative_error * 32 == pytest.approx(c, abs=1e-4)


@EVERY_KIND
def test_merges_and_threads_are_refused(kind):
    sketch, other = counting(1000, 6, kind), FlajoletMartin(6, kind)
    other.update(ITEMS[500:2000])
    before = sketch.to_bytes()
    for call in (lambda: sketch.merge(other), lambda: other.merge(sketch), lambda: sketch | sketch):
        with pytest.raises(ValueError, match="a martingale counts a single stream; merge without_martingale"):
            call()
    with pytest.raises(ValueError, match="threads must be 1"):
        sketch.update(ITEMS, threads=2)
    with pytest.raises(ValueError, match="take without_martingale"):
        sketch.downsize(5)
    assert sketch.to_bytes() == before
    assert (sketch.without_martingale() | other).total == 2500
    assert sketch.overlap(other) == sketch.without_martingale().overlap(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ((np.nan, 0.0), "a martingale of"),
        ((np.inf, 0.0), "a martingale of"),
        ((10.0, -1.0), "a martingale of"),
        ((10.0, -0.0), "-0"),
        ((4.0, 0.0), "items of which 5 were told apart"),
    ],
)
def test_impossible_changes_are_refused(changes, message):
    _, envelope, fields = wire.decode(counting(5).to_bytes())
    fields["state"] = np.concatenate([np.array(changes).view(np.uint8), fields["state"][16:]])
    with pytest.raises(FormatError, match=message):
        from_bytes(wire.encode("FlajoletMartin", envelope, fields))
    fields["state"] = fields["state"][:15]
    with pytest.raises(FormatError, match="a martingale of 15 bytes"):
        from_bytes(wire.encode("FlajoletMartin", envelope, fields))


def test_a_martingale_without_items_is_refused():
    _, envelope, fields = wire.decode(counting(0).to_bytes())
    fields["state"] = np.array([5.0, 0.0]).view(np.uint8)
    with pytest.raises(FormatError, match="no item was seen"):
        from_bytes(wire.encode("FlajoletMartin", envelope, fields))


def test_bounds_of_a_martingale_from_anywhere_may_be_infinite():
    # exp of its relative error overflows: bytes may hold any variance.
    _, envelope, fields = wire.decode(counting(3000).to_bytes())
    fields["state"] = np.concatenate([np.array([3000.0, 1e300]).view(np.uint8), fields["state"][16:]])
    count = from_bytes(wire.encode("FlajoletMartin", envelope, fields)).count()
    assert (count, count.upper) == (3000, np.inf)
    assert 0 < count.lower < 3000


def test_a_subclass_keeps_its_attributes():
    class Named(FlajoletMartin):
        pass

    sketch = Named(8, martingale=True)
    sketch.name = "visitors"
    found = sketch.without_martingale()
    assert (type(found), found.name) == (Named, "visitors")
