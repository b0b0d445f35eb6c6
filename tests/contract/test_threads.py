"""One sketch in several threads at once: nothing is lost, nothing is half done, nothing waits for ever."""

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cases import GROWING

import sketches

all_cases = pytest.mark.parametrize("case", GROWING, ids=lambda case: case.name)
RANDOM = np.random.default_rng(13)
BATCH = RANDOM.zipf(1.3, 20_000) % 1000 - 300
SINGLES = [np.int64(i) for i in BATCH[:2000]]  # hashing these runs Python code, and so perhaps other threads


@pytest.fixture(autouse=True)
def switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def run(*tasks):
    """Run all tasks at once, and raise what any of them raised."""
    failures = []

    def guarded(task):
        try:
            task()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failures:
        raise error


@all_cases
def test_everything_at_once(case):
    sketch, part = case.make(), case.make()
    part.update(BATCH[:500])

    def update():
        for _ in range(10):
            sketch.update(BATCH)

    def add():
        for item in SINGLES:
            sketch.add(item)

    def merge():
        for _ in range(20):
            sketch.merge(part)

    def snapshot():  # each is one moment's state: it satisfies all that `from_bytes` checks
        for _ in range(20):
            again = sketches.from_bytes(sketch.to_bytes())
            assert again.total == again.copy().total <= sketch.total

    run(update, add, add, merge, snapshot)
    expected = case.make()
    expected.update(np.concatenate([BATCH] * 10 + [BATCH[:2000]] * 2 + [BATCH[:500]] * 20))
    assert sketch.total == expected.total
    if case.exact_merge:
        assert sketch == expected


@all_cases
def test_growing_while_others_add(case):
    """Numbers of ever more magnitudes and ever more distinct items: the memory moves while others write to it."""
    sketch = case.make()
    parts = [[np.float64(2.0 ** (i // 4)) for i in range(start, 4000, 4)] for start in range(4)]

    def add(part):
        for item in part:
            sketch.add(item)

    run(*(lambda part=part: add(part) for part in parts), lambda: sketch.update(BATCH))
    assert sketch.total == 4000 + len(BATCH)
    assert sketches.from_bytes(sketch.to_bytes()) == sketch
    expected = case.make()
    expected.update(BATCH)
    for part in parts:
        expected.update(part)
    if case.exact_merge:
        assert sketch == expected


@all_cases
def test_merging_both_ways_at_once(case):
    first, second = case.make(), case.make()
    first.update([1, 2])
    second.update([3])

    def merge(one, other):
        for _ in range(15):
            one.merge(other)

    run(lambda: merge(first, second), lambda: merge(second, first))
    assert first.total > 16
    assert second.total > 16


@all_cases
def test_merging_many_in_a_circle_while_others_add(case):
    ring = [case.make() for _ in range(3)]
    for i, sketch in enumerate(ring):
        sketch.update([i])

    def merge(start):
        first, *others = ring[start:] + ring[:start]
        for _ in range(6):
            first.merge(*others, *others)

    def add(sketch):
        for item in range(300):
            sketch.add(item)

    run(*(partial(merge, i) for i in range(3)), *(partial(add, sketch) for sketch in ring))
    for sketch in ring:
        assert sketch.total > 300
        assert sketches.from_bytes(sketch.to_bytes()) == sketch


@all_cases
def test_a_source_may_use_the_sketch_that_it_feeds(case):
    sketch = case.make()

    def source():
        for i in range(40_000):
            if i % 4000 == 0:
                sketch.add(i)
                sketch.update([1, 2])
                assert sketch.copy() == sketch
            yield i

    sketch.update(source())
    assert sketch.total == 40_000 + 10 * 3

    class Count:
        def __index__(self):
            sketch.update([4] * 30_000)
            return 2

    sketch.add(5, Count())
    assert sketch.total == 40_000 + 10 * 3 + 30_000 + 2
    assert sketches.from_bytes(sketch.to_bytes()) == sketch


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_an_interrupted_call_leaves_a_sketch_that_works():
    """In a process of its own, without coverage: an exception there would leave the lock of coverage itself taken."""
    script = Path(__file__).with_name("interrupts.py")
    path = os.pathsep.join([str(script.parents[1]), str(script.parents[2])])
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, script],
        env={**plain, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == [case.name for case in GROWING]


def streams(case):
    """Long streams of several kinds, with counts where there are some."""
    values = np.tile(BATCH, 20)
    counts = np.arange(len(values)) % 4 - case.signed
    yield values, None
    yield values, counts
    yield values[::-1].astype(np.int16), None
    yield values / 7, None
    yield [None if value == 3 else value for value in values[:50_000].tolist()], None
    yield (value for value in values[:50_000].tolist()), (count for count in counts[:50_000].tolist())
    if not case.numbers:
        yield pa.array([None if value == 3 else f"item {value}" for value in values[:50_000].tolist()]), None


@all_cases
@pytest.mark.parametrize("threads", [2, 5, None])
def test_update_with_threads(case, threads):
    for (items, counts), (same, same_counts) in zip(streams(case), streams(case), strict=True):
        shared, alone = case.make(), case.make()
        for sketch in (shared, alone):
            sketch.update(BATCH[:999])
        shared.update(items, counts, threads=threads)
        alone.update(same, same_counts)
        assert (shared.total, shared.weight, shared.nulls) == (alone.total, alone.weight, alone.nulls)
        if case.exact_merge:
            assert shared == alone


@all_cases
def test_update_with_threads_fails_as_a_whole(case):
    sketch = case.make()
    sketch.update(BATCH)
    before = sketch.to_bytes()

    def source():
        yield from BATCH.tolist() * 20
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        sketch.update(source(), threads=3)
    with pytest.raises(TypeError):
        sketch.update([*BATCH.tolist() * 9, object()], threads=3)
    with pytest.raises(OverflowError, match="beyond"):
        sketch.update(BATCH[:3], [2**62, 2**62, 2**62], threads=3)
    with pytest.raises(OverflowError, match="would take the total count"):
        sketch.update(BATCH[:1], [2**63 - 1], threads=3)
    for threads, message in ((0, "threads is 0"), (1.5, "threads is 1.5"), (2000, "threads is 2000")):
        with pytest.raises((ValueError, TypeError), match=message):
            sketch.update(BATCH, threads=threads)
    assert sketch.to_bytes() == before


def test_threads_keep_keys_and_serve_subclasses():
    class Mine(sketches.CountMin):
        pass

    for make in (partial(Mine, width=50, key=b"k" * 16), partial(sketches.BloomFilter, 900, 0.1, "classic", seed=5)):
        shared, alone = make(), make()
        shared.update(np.tile(BATCH, 20), threads=4)
        alone.update(np.tile(BATCH, 20))
        assert shared == alone
        assert type(shared) is type(alone)


def test_threads_serve_filters_of_foreign_sizes():
    fields = {"capacity": 10, "error": 0.01, "layout": 0, "probes": 8, "words": np.zeros(8000, np.uint64)}
    envelope = sketches.BloomFilter(10)._envelope()
    shared, alone = (sketches.BloomFilter._from_fields(fields, envelope, sketches.Hasher()) for _ in range(2))
    shared.update(BATCH, threads=4)
    alone.update(BATCH)
    assert shared == alone
