"""Every sketch as the shared suites see it: how to make one, its plain twin, and how to compare their states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sketches import AMS, BloomFilter, CountMin, Sketch, plain


@dataclass(frozen=True)
class Case:
    """One sketch with one set of parameters.

    `make(**options)` and `twin(**options)` take seed= and key= (unless `numbers`); `state` gives comparable states of
    a sketch, `twin_state` of a twin; `other` makes a sketch that must refuse to merge with `make()`'s.
    """

    name: str
    make: Callable[..., Sketch]
    twin: Callable[..., Any]
    state: Callable[[Any], Any]
    twin_state: Callable[[Any], Any]
    other: Callable[[], Sketch]
    numbers: bool = False  # takes numbers, not items
    signed: bool = False  # takes negative counts
    exact_merge: bool = True  # merged == built from all
    counted: bool = True  # counts matter beyond zero or not


CASES = [
    Case(
        "CountMin",
        partial(CountMin, width=97, depth=3),
        partial(plain.CountMin, width=97, depth=3),
        lambda sketch: sketch.counters.tolist(),
        lambda twin: twin.rows,
        lambda: CountMin(width=98, depth=3),
        signed=True,
    ),
    Case(
        "CountMin-conservative",
        partial(CountMin, width=97, depth=3, conservative=True),
        partial(plain.CountMin, width=97, depth=3, conservative=True),
        lambda sketch: sketch.counters.tolist(),
        lambda twin: twin.rows,
        lambda: CountMin(width=97, depth=3),
        exact_merge=False,
    ),
    *(
        Case(
            f"BloomFilter-{layout}",
            partial(BloomFilter, capacity=500, error=0.05, layout=layout),
            partial(plain.BloomFilter, capacity=500, error=0.05, layout=layout),
            lambda sketch: sketch.words.tolist(),
            lambda twin: twin.words,
            partial(BloomFilter, capacity=501, error=0.05, layout=layout),
            counted=False,
        )
        for layout in ("block", "classic")
    ),
    Case(
        "AMS",
        partial(AMS, width=97, depth=3),
        partial(plain.AMS, width=97, depth=3),
        lambda sketch: sketch.counters.tolist(),
        lambda twin: twin.rows,
        lambda: AMS(width=97, depth=5),
        signed=True,
    ),
]
