"""SubsetSum: the kernel's samples are the twin's, totals are exact, what is certain holds; sizes, bytes, arguments."""

from collections import Counter

import numpy as np
import pytest

from sketches import FormatError, SpaceSaving, SubsetSum, from_bytes, plain
from sketches.core import bounds, wire

RANDOM = np.random.default_rng(8)
SKEWED = RANDOM.zipf(1.2, 20_000) % 5000


def state(sketch):
    threshold, *entries, items = sketch._sampled_entries()
    return threshold, list(zip(*(part.tolist() for part in entries), items, strict=True))


def twin_state(twin):
    return twin.threshold, [(h, c, e, v, i) for h, (i, c, e, v) in sorted(twin.entries.items())]


@pytest.mark.parametrize("k", [2, 3, 4, 5, 64, 65, 500])
@pytest.mark.parametrize("spread", [0, 3, 45])
def test_samples_are_those_of_the_twin(k, spread):
    items = RANDOM.integers(0, 5 * k, 3000)
    counts = np.exp2(RANDOM.uniform(0, spread, 3000)).astype(np.int64)
    sketch, singles, twin = SubsetSum(k), SubsetSum(k), plain.SubsetSum(k)
    sketch.update(items, counts)
    for item, count in zip(items.tolist(), counts.tolist(), strict=True):
        singles.add(item, count)
        twin.add(item, count)
    assert state(sketch) == state(singles) == twin_state(twin)
    assert sketch.subset_sum(lambda item: item % 2) == twin.subset_sum(lambda item: item % 2)


@pytest.mark.parametrize("k", [2, 7, 300])
def test_state_depends_on_the_order_of_the_stream_only(k):
    whole, pieces, listed, text = SubsetSum(k), SubsetSum(k), SubsetSum(k), SubsetSum(k)
    whole.update(SKEWED)
    for piece in np.split(SKEWED, np.sort(RANDOM.integers(0, len(SKEWED), 20))):
        pieces.update(piece)
        pieces = from_bytes(pieces.to_bytes())  # slots are renumbered, and the sample must not notice
    listed.update(iter(SKEWED.tolist()))
    assert whole == pieces == listed == whole.copy()
    text.update(SKEWED.astype("U"))
    assert len(text) <= k


def test_few_items_are_counted_exactly():
    sketch = SubsetSum(300)
    sketch.update(np.arange(300).repeat(np.arange(1, 301)))
    found = sketch.subset_sum(lambda item: item < 100)
    assert (found, found.lower, found.upper, found.confidence, found.standard_error) == (5050, 5050, 5050, 1, 0)
    assert sketch.threshold == 0
    assert sketch.top(2).tolist() == [(299, 300, 0), (298, 299, 0)]
    assert sketch.estimate([5, 299, 1000, "x"]).tolist() == [6, 300, 0, 0]
    assert (sketch[7], sketch.subset_sum([7, 7, 8, "x"]), SubsetSum(5).subset_sum([])) == (8, 17, 0)


def check_certainties(sketch, truth):
    rows = sketch.top()
    total = sum(truth.values())
    assert sketch.total == rows["count"].sum() == total == sketch.subset_sum(lambda item: True)
    assert all(row["count"] - row["error"] <= truth[row["item"]] for row in rows)
    assert sketch.threshold <= -(-total // (sketch.k - max(1, sketch.k // 4)))
    assert len(rows) <= sketch.k


@pytest.mark.parametrize("k", [2, 30, 400])
def test_what_is_certain_holds_through_merges(k):
    parts, truth = [], Counter(SKEWED.tolist())
    for items in np.array_split(SKEWED, 9):
        parts.append(SubsetSum(k))
        parts[-1].update(items)
        check_certainties(parts[-1], Counter(items.tolist()))
    while len(parts) > 1:
        i, j = RANDOM.permutation(len(parts))[:2]
        both = parts[i] | parts[j]
        parts = [part for place, part in enumerate(parts) if place not in (i, j)] + [both]
    check_certainties(parts[0], truth)
    assert from_bytes(parts[0].to_bytes()) == parts[0]


def test_merging_is_symmetric():
    one, other = SubsetSum(50), SubsetSum(50)
    one.update(SKEWED[:9000])
    other.update(SKEWED[9000:])
    assert one | other == other | one
    assert one | SubsetSum(50) == one


def test_counts_near_the_largest_integer():
    sketch = SubsetSum(10)
    counts = np.exp2(RANDOM.uniform(0, 55, 200)).astype(np.int64)
    sketch.update(np.arange(200), counts)
    sketch.add("rest", 2**63 - 1 - sketch.total)
    sketch.update([])
    assert sum(sketch.top()["count"].tolist()) == sketch.total == 2**63 - 1
    found = sketch.subset_sum(["rest"])
    assert found.lower <= found <= found.upper
    with pytest.raises(OverflowError, match="total count"):
        sketch.add("more")


def test_bounds_are_wider_for_a_higher_confidence():
    sketch = SubsetSum(100)
    sketch.update(SKEWED)
    found = [sketch.subset_sum(lambda item: item % 3 == 0, confidence=confidence) for confidence in (0.5, 0.95, 0.999)]
    assert found[0] == found[1] == found[2]
    assert found[2].lower < found[1].lower < found[0].lower < found[0].upper < found[1].upper < found[2].upper
    assert (found[1].confidence, found[1].standard_error) == (0.95, found[0].standard_error)


def test_table_grows_with_the_items_up_to_k():
    sketch = SubsetSum(1000)
    sizes = {sketch.nbytes}
    for i in range(3000):
        sketch.add(i)
        sizes.add(sketch.nbytes)
    assert sorted(sizes) == [bounds.subset_sum_bytes(size) for size in (64, 128, 256, 512, 1000)]
    sketch = SubsetSum.for_memory(50_000, seed=3)
    sketch.update(np.arange(5000))
    assert sketch.nbytes <= 50_000 < bounds.subset_sum_bytes(sketch.k + 1)


def test_bytes_that_no_stream_can_have_left():
    sketch = SubsetSum(50)
    sketch.update(SKEWED)
    name, envelope, fields = wire.decode(sketch.to_bytes())
    counts, variances = fields["counts"], fields["variances"]
    for message, change in (
        ("but at most 20 are allowed", {"k": 20}),
        ("counts but 3 errors", {"errors": fields["errors"][:3]}),
        ("counts but 3 variances", {"variances": variances[:3]}),
        ("do not add up", {"counts": counts + 1}),
        ("an error exceeds", {"errors": counts + 1}),
        ("variances is nan", {"variances": variances * np.nan}),
        ("without a threshold", {"threshold": 0}),
        ("threshold exceeds", {"threshold": sketch.total + 1}),
        ("exceeds the total", {"counts": np.append(counts[:-1], 2**62)}),
    ):
        with pytest.raises(FormatError, match=message):
            from_bytes(wire.encode(name, envelope, {**fields, **change}))
    with pytest.raises(FormatError, match="is not the weight"):
        from_bytes(wire.encode(name, envelope._replace(total=5), fields))


def test_arguments():
    for k in (1, 2**31 + 1):
        with pytest.raises(ValueError, match=rf"k is {k}; an integer in \[2, 2147483648\]"):
            SubsetSum(k)
    for confidence in (0, 1, 1.5, -1):
        with pytest.raises(ValueError, match=rf"confidence is {confidence}; a number in \(0, 1\)"):
            SubsetSum(5).subset_sum([1], confidence=confidence)
    with pytest.raises(TypeError, match="confidence is 'x'"):
        SubsetSum(5).subset_sum([1], confidence="x")
    with pytest.raises(ValueError, match="nulls"):
        SubsetSum(5).subset_sum([None])
    with pytest.raises(TypeError, match="items is one str"):
        SubsetSum(5).subset_sum("abc")
    with pytest.raises(ValueError, match="count is -1"):
        SubsetSum(5).add(1, -1)
    with pytest.raises(TypeError, match="cannot merge a SubsetSum with a SpaceSaving"):
        SubsetSum(5).merge(SpaceSaving(5))
    with pytest.raises(ValueError, match="nbytes is 5;"):
        SubsetSum.for_memory(5)
    with pytest.raises(ValueError, match="entries are not accepted"):
        SubsetSum(5)._setup(1)
    empty = np.empty(0, np.int64)
    with pytest.raises(ValueError, match="0 entries are not accepted"):
        SubsetSum(5)._sample(empty.view(np.uint64), empty, empty, empty.view(float))
    with pytest.raises(ValueError, match="1 variances, but 0 counts"):
        SubsetSum(5)._load_sampled(0, empty.view(np.uint64), empty, empty, np.zeros(1), [])


def test_a_predicate_that_fails_leaves_the_sketch_as_it_is():
    sketch = SubsetSum(5)
    sketch.update(["a", "b"])
    with pytest.raises(ZeroDivisionError):
        sketch.subset_sum(lambda item: 1 / 0)
    assert sketch.subset_sum(lambda item: item == "a") == 1
    assert repr(sketch) == "<SubsetSum(k=5): 284 bytes, a sum T within √(0·T) (one standard error), total 2>"
