"""Interrupt calls of every sketch at random moments: what is left must be a sketch that works.

A signal may come between any two steps of Python: a merge happens or not, an update stops between blocks.
"""

import signal
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from cases import GROWING, Case

import sketches

RANDOM = np.random.default_rng(7)
BATCH = RANDOM.zipf(1.3, 20_000) % 1000 - 300
SOURCE = np.tile(BATCH, 5)


class InterruptError(Exception):
    """What the handler raises."""


def interrupted(call: Callable[[], object], seconds: float) -> bool:
    """Repeat a call until the handler's exception ends it."""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            call()
    except InterruptError:
        return True


def check(case: Case) -> None:
    """Interrupt each of five calls several times."""
    part = case.make()
    part.update(BATCH[:5001])
    for turn in range(30):
        sketch = case.make()
        sketch.update(BATCH[:3001])

        def interrupt(*_: object, sketch: sketches.Sketch = sketch) -> None:
            assert sketch.total >= 0  # a handler may use the sketch
            sketch.add(5)
            raise InterruptError

        signal.signal(signal.SIGALRM, interrupt)
        one, many = partial(sketch.merge, part), partial(sketch.merge, part, part, part)
        call = (partial(sketch.update, SOURCE), one, many, sketch.copy, sketch.to_bytes)[turn % 5]
        assert interrupted(call, RANDOM.uniform(2e-5, 2e-3))
        if call is many:  # all three or none; and the handler has counted one item
            assert (sketch.total - 3001 - 1) % (3 * part.total) == 0
        again = sketches.from_bytes(sketch.to_bytes())
        assert again == sketch
        again.update([1, 2])
        again.merge(sketch)
        assert again.total == 2 * sketch.total + 2


if __name__ == "__main__":
    for case in GROWING:
        check(case)
        sys.stdout.write(f"{case.name}\n")
