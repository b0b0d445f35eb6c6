"""SpaceSaving: its own rule for making room, against the plain twin on hostile counts; sizes and arguments."""

import numpy as np
import pytest

from sketches import FormatError, SpaceSaving, from_bytes, plain
from sketches.core import bounds, wire


@pytest.mark.parametrize("k", [1, 2, 7, 8, 9, 64, 65, 130])
@pytest.mark.parametrize("spread", [1, 12, 30, 45])
def test_any_counts_drop_what_the_twin_drops(k, spread):
    # Counts from 1 to 2**spread: the threshold's search must widen and narrow its histograms.
    random = np.random.default_rng(k * 100 + spread)
    items = random.integers(0, 3 * k, 1500)
    counts = np.exp2(random.uniform(0, spread, 1500)).astype(np.int64)
    sketch, twin = SpaceSaving(k), plain.SpaceSaving(k)
    sketch.update(items, counts)
    for item, count in zip(items.tolist(), counts.tolist(), strict=True):
        twin.add(item, count)
    hashes, found, errors, kept = sketch._entries()
    state = dict(zip(hashes.tolist(), zip(kept, found.tolist(), errors.tolist(), strict=True), strict=True))
    assert (sketch.max_error, state) == (twin.offset, twin.entries)
    assert all(sketch[item] == twin[item] for item in range(3 * k))


RANDOM = np.random.default_rng(6)
STREAMS = {
    "skewed": RANDOM.zipf(1.2, 40_000) % 30_000,
    "distinct": np.arange(20_000),
    "full, all known": RANDOM.permutation(np.arange(5000).repeat(3)),  # no free slot, and none is needed
    "skewed, then distinct, then known": np.concatenate(
        [RANDOM.zipf(1.5, 9000), np.arange(10**6, 10**6 + 9000), np.full(9000, 7)]
    ),
}


@pytest.mark.parametrize("k", [3, 700, 5000])  # the last one is so large that entries are prefetched
@pytest.mark.parametrize("stream", STREAMS)
def test_batches_drop_what_the_twin_drops(k, stream):
    sketch, twin = SpaceSaving(k), plain.SpaceSaving(k)
    items = STREAMS[stream] if k > 3 else STREAMS[stream][:3000]
    sketch.update(items)
    for item in items.tolist():
        twin.add(item)
    hashes, counts, errors, kept = sketch._entries()
    state = dict(zip(hashes.tolist(), zip(kept, counts.tolist(), errors.tolist(), strict=True), strict=True))
    assert (sketch.max_error, state) == (twin.offset, twin.entries)


@pytest.mark.parametrize("k", [1, 8, 100])
def test_the_stated_error_is_reached_and_not_exceeded(k):
    # The hardest stream for the eighth part: the counters below the threshold hold 1, the others H; one more comes.
    low, height = max(1, k // 8) - 1, 1000
    sketch = SpaceSaving(k)
    sketch.update(np.arange(k + 1), [1] * low + [height] * (k - low) + [1])
    before = sketch.total - 1
    assert sketch.max_error == height
    assert height <= bounds.space_saving_share(k) * before
    assert height + 1 > bounds.space_saving_share(k) * (before - low)
    assert len(sketch) == 1


@pytest.mark.parametrize("k", [1, 8, 65, 500])
@pytest.mark.parametrize("spread", [1, 30])
def test_deletions_drop_what_the_twin_drops(k, spread):
    # Half of the counts are negative, whether the item has an entry or not, so that slots come free in the middle.
    random = np.random.default_rng(k + spread)
    items = random.integers(0, 2 * k + 3, 6000)
    counts = np.exp2(random.uniform(0, spread, 6000)).astype(np.int64) * random.choice([-1, 1], 6000)
    sketch, single, twin = SpaceSaving(k, deletions=True), SpaceSaving(k, deletions=True), plain.SpaceSaving(k)
    sketch.update(items, counts)
    for item, count in zip(items.tolist(), counts.tolist(), strict=True):
        single.add(item, count)
        twin.add(item, count)
    hashes, found, errors, kept = sketch._entries()
    state = dict(zip(hashes.tolist(), zip(kept, found.tolist(), errors.tolist(), strict=True), strict=True))
    assert (sketch.max_error, state) == (twin.offset, twin.entries)
    assert single.to_bytes() == sketch.to_bytes()
    assert (sketch.total, sketch.weight) == (counts.sum(), np.abs(counts).sum())
    again = from_bytes(sketch.to_bytes())
    for each in (sketch, again):
        each.update(items[::-1], counts)
    assert again.to_bytes() == sketch.to_bytes()


def test_a_deletion_without_an_entry_keeps_the_bounds():
    sketch = SpaceSaving(1, deletions=True)
    sketch.update(["a", "b"], [3, 5])  # a goes, and may have had 3
    sketch.add("a", -3)
    assert sketch.bounds(["a", "b"])[0].tolist() == [0, 5]
    assert sketch.bounds(["a", "b"])[1].tolist() == [3, 8]
    sketch.add("b", -5)  # of 8 at most, 3 are left: no more than without an entry
    assert (len(sketch), sketch["b"].lower, sketch["b"], sketch.total) == (0, 0, 3, 0)


def test_threads_do_not_divide_what_is_deleted():
    items = np.arange(200_000) % 1000
    sketch, one = SpaceSaving(100, deletions=True), SpaceSaving(100, deletions=True)
    counts = np.where(np.arange(200_000) < 100_000, 1, -1)
    sketch.update(items, counts, threads=3)
    one.update(items, counts)
    assert sketch == one
    assert sketch.bounds(np.arange(1000))[0].tolist() == [0] * 1000


def test_what_is_deleted_is_refused_without_the_option():
    sketch = SpaceSaving(5)
    with pytest.raises(ValueError, match="counts of 0 and more"):
        sketch.add("a", -1)
    with pytest.raises(TypeError, match="deletions is 1;"):
        SpaceSaving(5, deletions=1)
    with pytest.raises(ValueError, match="deletions is False here and True there"):
        sketch.merge(SpaceSaving(5, deletions=True))
    sketch = SpaceSaving(5, deletions=True)
    sketch.update([1, 2], [5, -2])
    name, envelope, fields = wire.decode(sketch.to_bytes())
    with pytest.raises(FormatError, match="the total 3 is not the weight 7"):
        from_bytes(wire.encode(name, envelope._replace(layout=5), fields))
    with pytest.raises(FormatError, match="no counts have the total 3 and the weight 8"):
        from_bytes(wire.encode(name, envelope._replace(weight=8), fields))


def test_few_items_are_counted_exactly():
    sketch = SpaceSaving(300)
    sketch.update(np.arange(300).repeat(np.arange(1, 301)))
    assert sketch.max_error == 0
    assert sketch.top(3).tolist() == [(299, 300, 0), (298, 299, 0), (297, 298, 0)]
    assert len(sketch.top()) == len(sketch) == 300


def test_equal_counts_are_ordered_by_hash():
    sketch = SpaceSaving(10)
    sketch.update(list("abcdef"))
    assert sketch.top()["item"].tolist() == sorted("abcdef", key=sketch.hasher.item)
    assert len(sketch.top(0)) == 0


def test_a_subclass_may_have_a_length_of_its_own():
    class Counted(SpaceSaving):
        def __len__(self):
            return 0  # must not be what room is made for

    own, other, plain_one = Counted(5000), Counted(5000), SpaceSaving(5000)
    own.update(range(4000))
    other.update(range(2000, 5000))
    plain_one.update(range(4000))
    assert own.to_bytes() == plain_one.to_bytes()
    own.merge(other)
    assert sorted(own.top(5000)["item"]) == list(range(5000))


def test_table_grows_with_the_items_up_to_k():
    sketch = SpaceSaving(1000)
    sizes = {sketch.nbytes}
    for i in range(3000):
        sketch.add(i)
        sizes.add(sketch.nbytes)
    assert sorted(sizes) == [bounds.counter_table_bytes(size) for size in (64, 128, 256, 512, 1000)]


@pytest.mark.parametrize("nbytes", [bounds.counter_table_bytes(1), 999, 10_000, 123_456])
def test_for_memory_takes_all_that_fits(nbytes):
    sketch = SpaceSaving.for_memory(nbytes, seed=3)
    sketch.update(np.arange(5000))
    assert sketch.nbytes <= nbytes < bounds.counter_table_bytes(sketch.k + 1)


def test_more_entries_than_k_are_refused():
    sketch = SpaceSaving(10)
    sketch.update(np.arange(10))
    name, envelope, fields = wire.decode(sketch.to_bytes())
    with pytest.raises(FormatError, match="10 entries, but at most 9"):
        from_bytes(wire.encode(name, envelope, {**fields, "k": 9}))


def test_an_error_beyond_the_bound_is_refused():
    # With 10 counters, 40 items cannot have raised the error beyond 40 // 9 = 4, nor as earlier versions counted.
    sketch = SpaceSaving(10)
    sketch.update(np.arange(4).repeat(10))
    name, envelope, fields = wire.decode(sketch.to_bytes())
    assert from_bytes(wire.encode(name, envelope, {**fields, "max_error": 0})) == sketch
    with pytest.raises(FormatError, match="maximum error is too large"):
        from_bytes(wire.encode(name, envelope, {**fields, "max_error": 5}))


def test_arguments():
    for k in (0, 2**31 + 1, -1):
        with pytest.raises(ValueError, match=rf"k is {k}; an integer in \[1, 2147483648\]"):
            SpaceSaving(k)
    for k in (1.5, "9", None, True):
        with pytest.raises(TypeError, match="k is"):
            SpaceSaving(k)
    with pytest.raises(ValueError, match="nbytes is 10;"):
        SpaceSaving.for_memory(10)
    with pytest.raises(ValueError, match="n is -1"):
        SpaceSaving(3).top(-1)
    with pytest.raises(ValueError, match="k is 3 here and 4 there"):
        SpaceSaving(3).merge(SpaceSaving(4))
    with pytest.raises(ValueError, match="not accepted"):
        SpaceSaving(3)._setup(1, 1)
    with pytest.raises(ValueError, match="entries are not accepted"):
        SpaceSaving(3)._load(0, 0, np.empty(4, np.uint64), np.ones(4, np.int64), np.ones(4, np.int64), [1] * 4)


def test_repr_says_how_far_off():
    sketch = SpaceSaving(5)
    sketch.update(["a"] * 4)
    assert repr(sketch) == "<SpaceSaving(k=5, deletions=False): 244 bytes, counts exceed the truth by ≤ 0, total 4>"
