"""Work that several threads share: those that PyTorch has, or else others.

PyTorch's threads, of GCC's OpenMP, go on waiting for work without rest for some milliseconds after each of its
operations. A thread beside them would get half a processor, and slow them down in turn: on two processors the
statistics of a layer that is watched took longer with one than without. So they are given the work themselves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from pathlib import Path

from sketches._ext import team

__all__ = ["CORES", "share_work"]

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

_is_child = False


def share_work(work: Callable[[], None], members: int) -> None:
    """Call a function in this thread, and in others at the same time, `members` in all at most.

    It must take what it does from a common store, and return when nothing is left; no other thread need come. Returns
    when all have returned, and raises what one of them has raised; if it is interrupted, others may still be at work.
    """
    if members < 2 or CORES < 2:
        work()
        return
    torch = sys.modules.get("torch")  # None, a stand-in where an import of it is to fail, or still without its threads
    start = _torch_team() if hasattr(torch, "get_num_threads") and not _is_child else 0
    if start:
        team.run(start, work, members)
        return
    others: list[Future[None]] = []
    with suppress(RuntimeError):  # no thread starts any more: the interpreter ends, or the system refuses
        others.extend(_helpers().submit(work) for _ in range(min(members, CORES) - 1))
    try:
        work()
    finally:
        others = [other for other in others if not other.cancel()]  # who has not come yet has nothing to do any more
        wait(others)
    for other in others:
        other.result()


@cache
def _torch_team() -> int:
    """Give what starts PyTorch's threads, or 0."""
    folder = Path(sys.modules["torch"].__file__ or "").parent
    for library in sorted((folder / "lib").glob("libgomp*")) or sorted(folder.parent.glob("torch.libs/libgomp*")):
        if start := team.find(os.fsencode(library)):
            return start
    return team.find(b"libgomp.so.1") if sys.platform == "linux" else 0


@cache
def _helpers() -> ThreadPoolExecutor:
    """Give the other threads, which are kept."""
    return ThreadPoolExecutor(CORES - 1, "sketches")


def _forget_threads() -> None:
    global _is_child
    _is_child = True  # OpenMP's regions do not return in a child of a process that had some
    _helpers.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # a child has no threads
