"""Work is shared with the threads that PyTorch has, or with one more, and in a child of fork too."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from sketches.nn import SharedCSR, SharedWeights, StreamingStatistics, team


class Store:
    """Numbers to take, and who took them; each is held until another thread has come too, or a while has passed."""

    def __init__(self, size):
        self.left, self.taken, self.threads = iter(range(size)), [], set()
        self.both = threading.Barrier(2)

    def take(self):
        for number in self.left:
            self.taken.append(number)
            if threading.get_ident() not in self.threads:
                self.threads.add(threading.get_ident())
                try:
                    self.both.wait(5)
                except threading.BrokenBarrierError:
                    continue


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(team, "CORES", 2)


@pytest.fixture(params=["PyTorch's", "another"])
def threads(request, two_cores, monkeypatch):
    if request.param == "another":
        monkeypatch.setattr(team, "_torch_team", lambda: 0)
        yield 2
        return
    torch = pytest.importorskip("torch")
    if not team._torch_team():
        pytest.skip("PyTorch's threads are not those of GCC's OpenMP")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


@pytest.fixture
def fresh_helpers(monkeypatch):
    monkeypatch.setattr(team, "_torch_team", lambda: 0)
    team._helpers.cache_clear()
    yield
    team._helpers.cache_clear()


def test_all_work_is_done_once_by_two_threads(threads):
    store = Store(50)
    team.share_work(store.take, 4)
    assert sorted(store.taken) == list(range(50))
    assert len(store.threads) == threads


def test_no_more_members_than_wanted(threads):
    store = Store(50)
    store.both = threading.Barrier(1)
    team.share_work(store.take, 1)
    assert store.threads == {threading.get_ident()}
    assert sorted(store.taken) == list(range(50))


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_errors_are_raised(threads, kind):
    def fail():
        raise kind("a part")

    with pytest.raises(kind, match="a part"):
        team.share_work(fail, 2)


def test_who_fails_is_waited_for_with_the_others(fresh_helpers, monkeypatch):
    monkeypatch.setattr(team, "CORES", 3)
    numbers, done = iter(range(3)), []
    all_here = threading.Barrier(3)

    def work():
        number = next(numbers)
        all_here.wait(60)
        if number == 0:
            raise ValueError("the first")
        time.sleep(0.2)
        done.append(number)

    with pytest.raises(ValueError, match="the first"):
        team.share_work(work, 3)
    assert sorted(done) == [1, 2]


def test_nobody_waits_for_threads_that_are_busy_elsewhere(two_cores, fresh_helpers):
    end = threading.Event()
    busy = team._helpers().submit(end.wait, 60)  # the only one
    store = Store(10)
    store.both = threading.Barrier(1)
    try:
        team.share_work(store.take, 2)
        assert sorted(store.taken) == list(range(10))
        assert not busy.done()
    finally:
        end.set()


def product(threads, weight=2.0, rows=4000):
    """Give a matrix of one weight, everywhere, whose products take milliseconds."""
    return SharedCSR(SharedWeights(np.zeros((rows, 1000), np.uint8), np.float32([weight]), False), threads=threads)


PRODUCTS = """
import sys
import time
import numpy as np
from sketches.nn import SharedCSR, SharedWeights, team

team.CORES = 2
if sys.argv[1:] == ["PyTorch's"]:
    import torch
    torch.set_num_threads(2)
    assert team._torch_team()
shared = SharedWeights(np.zeros((4000, 1000), np.uint8), np.float32([2]), False)
single, double = SharedCSR(shared), SharedCSR(shared, threads=2)
vector, wide = np.arange(1000), np.ones((1000, 40))
lesser = 0.0
for _ in range(100):  # both come, but not always in time
    everyone, this = time.process_time(), time.thread_time()
    found = double @ wide
    everyone, this = time.process_time() - everyone, time.thread_time() - this
    assert found.tobytes() == (single @ wide).tobytes()
    assert (double @ vector).tobytes() == (single @ vector).tobytes()
    lesser = max(lesser, min(this, everyone - this) / everyone)
    if lesser > 0.2:
        break
print(lesser)
"""


@pytest.mark.parametrize("which", ["PyTorch's", "another"])
def test_threads_share_a_product_which_stays_the_same(which):
    if which == "PyTorch's":
        pytest.importorskip("torch")
        if not team._torch_team():
            pytest.skip("PyTorch's threads are not those of GCC's OpenMP")
    waiting = {"OMP_WAIT_POLICY": "passive"}  # or their waiting would look like work
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTS, which],
        timeout=120,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | waiting,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.2  # the smaller part of the processors' time


def test_all_threads_of_a_product_take_the_smallest_numbers_for_zeros_or_none(threads):
    torch = pytest.importorskip("torch")
    matrix, x = product(2, 1e-30), np.full(1000, 1e-9)
    kept = matrix @ x
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no such mode")
    try:
        flushed = [matrix @ x for _ in range(20)]
    finally:
        torch.set_flush_denormal(False)
    assert kept.all()
    assert not np.any(flushed)


def test_all_threads_take_the_smallest_numbers_for_zeros_or_none(threads):
    torch = pytest.importorskip("torch")
    values, statistics = np.full((4000, 100), 1e-40, np.float32), StreamingStatistics()
    statistics.observe("as they are", values)  # makes the threads, before the calling one changes its mode
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no such mode")
    try:
        statistics.observe("flushed", values)
    finally:
        torch.set_flush_denormal(False)
    read = StreamingStatistics.from_bytes(statistics.to_bytes())
    assert not read.summary("as they are").zeros.any()
    assert (read.summary("flushed").zeros == 1).all()


LAST = """
import atexit
import numpy as np
from sketches.nn import StreamingStatistics
from sketches.nn import team

team.CORES = 2
statistics = StreamingStatistics()

@atexit.register
def observe():
    statistics.observe("x", np.ones((2000, 300), np.float32))
    print(statistics.summary("x").samples)
"""


def test_while_the_interpreter_ends_one_thread_does_all():
    done = subprocess.run([sys.executable, "-c", LAST], timeout=120, check=False, capture_output=True, text=True)
    assert done.stdout == "2000\n", done.stderr


SCRIPT = """
import os, sys, threading
import numpy as np
import torch
from sketches.nn import StreamingStatistics
from sketches.nn import team

team.CORES = 2
torch.set_num_threads(2)
values = np.ones((2000, 300), np.float32)
statistics = StreamingStatistics()
statistics.observe("x", values)
child = os.fork()
if not child:
    statistics.observe("x", values)
    os._exit(0 if statistics.summary("x").samples == 4000 else 1)
_, status = os.waitpid(child, 0)
sys.exit(status != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_goes_on():
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], timeout=120, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def half_imported():
    module = type(sys)("torch")
    module.__file__ = "torch/__init__.py"
    return module


@pytest.mark.parametrize("module", [None, type(sys)("torch"), half_imported()])
def test_pytorch_that_is_not_imported_yet_or_cannot_be(two_cores, monkeypatch, module):
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setattr(team, "_torch_team", lambda: pytest.fail("it would remember that there are no threads"))
    store = Store(10)
    team.share_work(store.take, 2)
    assert sorted(store.taken) == list(range(10))
