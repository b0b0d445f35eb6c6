"""Blocks of items for several threads, each with a sketch of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Protocol, TypeVar

from sketches.core import bounds
from sketches.core.items import Block

__all__ = ["add_in_parallel"]

MOST_THREADS = 1024


class _Sketch(Protocol):
    def _add_block(self, block: Block) -> None: ...


S = TypeVar("S", bound=_Sketch)


def add_in_parallel(source: Iterator[Block], make: Callable[[], S], threads: int | None) -> list[S]:
    """Add all blocks to one or another of as many sketches as there are threads, and give these.

    An error in any thread ends them all, and is raised here.
    """
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = bounds.check_integer("threads", threads, 1, MOST_THREADS)
    lock = Lock()
    failed = False

    def take() -> Block | None:
        with lock:
            return None if failed else next(source, None)

    def work(part: S) -> S:
        nonlocal failed
        try:
            while (block := take()) is not None:
                part._add_block(block)
        except BaseException:
            failed = True
            raise
        return part

    parts = [make() for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, part) for part in parts]
        try:
            return [future.result() for future in futures]
        except BaseException:  # as when the user interrupts
            failed = True
            raise
