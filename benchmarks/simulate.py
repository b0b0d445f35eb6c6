"""FlajoletMartin sketches of streams far longer than anyone could feed them.

A state only tells which values each register has seen. Of r further items, one falls into a given register and has a
given value with probability q / m, so the time until that happens first is exponential with mean m / q, and has no
memory: after `exact` items that are really drawn, one random number a register and value says when it is first seen,
whether or not it was seen before (then the sketch ignores it). This is how O. Ertl, "ExaLogLog: Space-efficient and
practical approximate distinct counting up to the exa-scale" (EDBT 2025), section 5, simulates 10**21 items.

The times are taken as independent, as if the number of the r items were Poisson's. That adds r / n**2 to an estimate's
relative variance: where `exact` items a register are e, at most 1 / (4 e m), a part of 1 / (4 e c**2) of the c**2 / m
that it has anyway; with the 1,024 that are the default and c = 0.34, 0.2 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from sketches import FlajoletMartin
from sketches.flajolet_martin import KINDS

__all__ = ["first_times", "states"]

EXACT = 1024  # items a register that are really drawn
PART = 1 << 20


def states(
    make: Callable[[], FlajoletMartin], sizes: Iterable[int], random: np.random.Generator, exact: int | None = None
) -> Iterator[tuple[int, FlajoletMartin]]:
    """Give one sketch as it is after so many distinct items, for ascending sizes; it goes on growing afterwards.

    Parameters
    ----------
    make
        Makes the empty sketch; all it must have is `precision`, `kind` and `_insert`.
    sizes
        Numbers of distinct items, ascending.
    random
        Where the hashes come from.
    exact
        Up to how many items hashes are drawn one by one (default: 1,024 a register).
    """
    sketch = make()
    drawn = (EXACT << sketch.precision) if exact is None else exact
    times, hashes = None, None
    done = 0
    for n in sizes:
        while done < min(n, drawn):
            part = min(PART, min(n, drawn) - done)
            sketch._insert(random.integers(0, 2**64, part, np.uint64), None)
            done += part
        if n > drawn:
            if times is None:
                times, hashes = first_times(sketch.precision, KINDS[sketch.kind].resolution, random)
                order = np.argsort(times)  # in order, for those whose answer depends on it
                times, hashes = times[order] + drawn, hashes[order]
            start, stop = np.searchsorted(times, (done, n), side="right")
            sketch._insert(hashes[start:stop], None)
            done = n
        yield n, sketch


def first_times(
    precision: int, resolution: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint64]]:
    """Give, for every register and value, after how many items it is first seen, and a hash that has them."""
    bits = 64 - precision - resolution
    zeros, low = (part.ravel() for part in np.indices((bits + 1, 1 << resolution)))
    rates = 2.0 ** -(np.minimum(zeros + 1, bits) + resolution + precision)
    # The hash: `zeros` zeros and, unless all its bits are zeros, a one; then the register's number; then `low`.
    ones = np.where(zeros < bits, np.uint64(1) << (63 - zeros).astype(np.uint64), np.uint64(0))
    registers = np.arange(1 << precision, dtype=np.uint64) << np.uint64(resolution)
    hashes = (ones | low.astype(np.uint64))[:, np.newaxis] | registers
    times = random.standard_exponential(hashes.shape) / rates[:, np.newaxis]
    return times.ravel(), hashes.ravel()
