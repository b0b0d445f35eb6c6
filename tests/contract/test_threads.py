"""One sketch in several threads at once: nothing is lost, nothing is half done, nothing waits for ever."""

import signal
import sys
import threading
from functools import partial

import numpy as np
import pytest
from cases import CASES

import sketches

all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
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


def repeat_until_interrupted(call, seconds):
    signal.setitimer(signal.ITIMER_REAL, seconds)
    while True:
        call()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@all_cases
def test_an_interrupted_call_leaves_a_sketch_that_works(case):
    """A signal may come between any two steps of Python: a merge happens or not, an update stops between blocks."""

    class InterruptError(Exception):
        pass

    def interrupt(*_):
        assert sketch.total >= 0  # a handler may use the sketch
        sketch.add(5)
        raise InterruptError

    source = np.tile(BATCH, 5)
    part = case.make()
    part.update(BATCH[:5001])
    random = np.random.default_rng(7)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for turn in range(30):
            sketch = case.make()
            sketch.update(BATCH[:3001])
            call = (partial(sketch.update, source), partial(sketch.merge, part), sketch.copy, sketch.to_bytes)[turn % 4]
            with pytest.raises(InterruptError):
                repeat_until_interrupted(call, random.uniform(2e-5, 2e-3))
            again = sketches.from_bytes(sketch.to_bytes())
            assert again == sketch
            again.update([1, 2])
            again.merge(sketch)
            assert again.total == 2 * sketch.total + 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
