"""LossyCounting: buckets and counts that cross many of them, against the plain twin; sizes and arguments."""

import numpy as np
import pytest

from sketches import LossyCounting, plain
from sketches.core import bounds


def state(sketch):
    hashes, counts, errors, items = sketch._entries()
    return dict(zip(hashes.tolist(), zip(items, counts.tolist(), errors.tolist(), strict=True), strict=True))


@pytest.mark.parametrize("epsilon", [0.9, 0.5, 0.3, 0.1, 0.01])
@pytest.mark.parametrize("spread", [0, 3, 30])
def test_any_counts_drop_what_the_twin_drops(epsilon, spread):
    random = np.random.default_rng(spread)
    items = random.zipf(1.3, 3000) % 700
    counts = np.exp2(random.uniform(0, spread, 3000)).astype(np.int64)
    sketch, twin = LossyCounting(epsilon), plain.LossyCounting(epsilon)
    for start in range(0, 3000, 500):
        piece = slice(start, start + 500)
        sketch.update(items[piece], counts[piece])
        for item, count in zip(items[piece].tolist(), counts[piece].tolist(), strict=True):
            twin.add(item, count)
        assert (sketch.max_error, state(sketch)) == (twin.offset, twin.entries)
    assert all(sketch[item] == twin[item] for item in range(700))


@pytest.mark.parametrize("epsilon", [0.3, 0.01, 0.0002])
@pytest.mark.parametrize("items", [np.arange(9000), np.random.default_rng(4).zipf(1.3, 20_000) % 9000])
def test_batches_drop_what_the_twin_drops(epsilon, items):
    sketch, twin = LossyCounting(epsilon), plain.LossyCounting(epsilon)
    sketch.update(items)
    for item in items.tolist():
        twin.add(item)
    assert (sketch.max_error, state(sketch)) == (twin.offset, twin.entries)


def test_a_dropped_item_starts_anew_with_the_item_that_came_last():
    # Width 2. "a" is dropped after the first bucket; its slot is not cleared, and b"a" comes next.
    sketch = LossyCounting(0.5)
    for item in ("a", "b", b"a"):
        sketch.add(item)
    assert state(sketch) == {sketch.hasher.item("a"): (b"a", 2, 1)}


@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 12_345])
def test_maximum_error_is_the_number_of_buckets(total):
    sketch = LossyCounting(0.01)
    sketch.update(np.arange(total))
    assert sketch.max_error == total // 100
    assert sketch.max_error <= 0.01 * total


def worst_stream(width, buckets):
    """Items that all survive: those of j occurrences are met in the last j buckets, once in each (Manku, Motwani)."""
    fresh = iter(range(10**9))
    groups = [[next(fresh) for _ in range(width // (j * (j + 1)) + 1)] for j in range(1, buckets + 1)]
    for bucket in range(buckets, 0, -1):
        items = [item for group in groups[bucket - 1 :] for item in group][:width]
        yield items + [next(fresh) for _ in range(width - len(items))]


def test_memory_stays_within_the_stated_worst_case():
    width, buckets = 1000, 60
    sketch = LossyCounting(1 / width)
    most = 0
    for items in worst_stream(width, buckets):
        sketch.update(items)
        most = max(most, sketch.nbytes)
        assert len(sketch) <= bounds.lossy_counting_entries(1 / width, sketch.total)
    assert most > bounds.counter_table_bytes(width)
    budget = LossyCounting.for_memory(most, total=width * buckets)
    assert budget.epsilon >= 1 / width  # the guarantee may be stricter than this stream, never laxer


@pytest.mark.parametrize("nbytes", [10_000, 10**6, 10**8])
def test_for_memory_holds_the_worst_case(nbytes):
    sketch = LossyCounting.for_memory(nbytes, seed=1)
    entries = bounds.lossy_counting_entries(sketch.epsilon, 10**12)
    assert bounds.counter_table_bytes(int(2 * entries)) <= nbytes
    sketch.update(np.arange(200_000) % 150_000)
    assert sketch.nbytes <= nbytes


@pytest.mark.parametrize("width", [2, 3, 5, 10, 49, 98, 103, 107, 1000, 2**30 - 1])
def test_width_is_the_least_that_keeps_epsilon(width):
    assert bounds.lossy_counting_width(1 / width) == width  # 1 / (1 / 49) is 49.00000000000001
    assert LossyCounting(1 / width).epsilon == 1 / width
    assert LossyCounting(np.nextafter(1 / width, 0)).epsilon < 1 / width


def test_arguments():
    for epsilon in (0, 1, -0.1, 2.0**-41):
        with pytest.raises(ValueError, match=r"epsilon is .*; a number in \[2\*\*-40, 1\) is accepted"):
            LossyCounting(epsilon)
    for epsilon in ("0.1", None, True):
        with pytest.raises(TypeError, match=r"epsilon is .*; a number in \[2\*\*-40, 1\) is accepted"):
            LossyCounting(epsilon)
    with pytest.raises(ValueError, match="nbytes is 100;"):
        LossyCounting.for_memory(100)
    with pytest.raises(ValueError, match="total is 0;"):
        LossyCounting.for_memory(10**6, total=0)
    with pytest.raises(ValueError, match=r"epsilon is 0.1 here and 0.2 there"):
        LossyCounting(0.1).merge(LossyCounting(0.2))
