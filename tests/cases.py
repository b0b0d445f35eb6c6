"""Every sketch as the shared suites see it: how to make one, its plain twin, and how to compare their states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sketches import (
    AMS,
    BinaryFuseFilter,
    BloomFilter,
    CountMin,
    Entropy,
    FlajoletMartin,
    LossyCounting,
    Quantiles,
    Sketch,
    SpaceSaving,
    SubsetSum,
    plain,
)


@dataclass(frozen=True)
class Case:
    """One sketch with one set of parameters.

    `make(**options)` and `twin(**options)` take seed= and key= (unless `numbers`); `state` gives comparable states of
    a sketch, `twin_state` of a twin; `other` makes a sketch that must refuse to merge with `make()`'s. A `fixed` sketch
    is made of all its items, `make(items, **options)`, so is its twin, and it refuses to change.
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
    fixed: bool = False  # takes all items when it is made, and none later

    def built(self, items: Any, **options: Any) -> Sketch:
        """Give a sketch of some items."""
        if self.fixed:
            return self.make(items, **options)
        sketch = self.make(**options)
        sketch.update(items)
        return sketch


def _plain_lists(sketch: Any) -> tuple[list[Any], ...]:
    hashes, counts, errors, items = sketch._entries()
    return hashes.tolist(), counts.tolist(), errors.tolist(), list(map(repr, items))


def _sampled(threshold: int, *entries: Any) -> tuple[int, list[Any]]:
    *numbers, items = entries
    return threshold, list(zip(*(part.tolist() for part in numbers), map(repr, items), strict=True))


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
            f"FlajoletMartin-{kind}",
            partial(FlajoletMartin, precision=6, kind=kind),
            partial(plain.FlajoletMartin, precision=6, kind=kind),
            lambda sketch: ([(t >> 6, t & 63) for t in sketch.tokens.tolist()], sketch.registers.tolist()),
            lambda twin: (sorted(twin.tokens or ()), twin.registers() if twin.tokens is None else []),
            partial(FlajoletMartin, precision=5, kind=kind),
        )
        for kind in ("pcsa", "hll", "ull", "ell")
    ),
    Case(
        "Quantiles",
        Quantiles,
        plain.Quantiles,
        lambda sketch: (dict(zip(*(part.tolist() for part in sketch.bins()), strict=True)), sketch.nans),
        lambda twin: ({number: twin.bins[number] for number in sorted(twin.bins)}, twin.nans),
        lambda: Quantiles(2**-9),
        numbers=True,
    ),
    Case(
        "SpaceSaving",
        partial(SpaceSaving, 40),
        partial(plain.SpaceSaving, 40),
        lambda sketch: (sketch.max_error, list(zip(*_plain_lists(sketch), strict=True))),
        lambda twin: (twin.offset, [(h, c, e, repr(i)) for h, (i, c, e) in sorted(twin.entries.items())]),
        lambda: SpaceSaving(41),
        exact_merge=False,
    ),
    Case(
        "SpaceSaving-deletions",
        partial(SpaceSaving, 40, deletions=True),
        partial(plain.SpaceSaving, 40),
        lambda sketch: (sketch.max_error, list(zip(*_plain_lists(sketch), strict=True))),
        lambda twin: (twin.offset, [(h, c, e, repr(i)) for h, (i, c, e) in sorted(twin.entries.items())]),
        lambda: SpaceSaving(40),
        signed=True,
        exact_merge=False,
    ),
    Case(
        "SubsetSum",
        partial(SubsetSum, 40),
        partial(plain.SubsetSum, 40),
        lambda sketch: _sampled(*sketch._sampled_entries()),
        lambda twin: (twin.threshold, [(h, c, e, v, repr(i)) for h, (i, c, e, v) in sorted(twin.entries.items())]),
        lambda: SubsetSum(41),
        exact_merge=False,
    ),
    Case(
        "LossyCounting",
        partial(LossyCounting, 0.03),
        partial(plain.LossyCounting, 0.03),
        lambda sketch: (sketch.max_error, list(zip(*_plain_lists(sketch), strict=True))),
        lambda twin: (twin.offset, [(h, c, e, repr(i)) for h, (i, c, e) in sorted(twin.entries.items())]),
        lambda: LossyCounting(0.02),
        exact_merge=False,
    ),
    *(
        Case(
            f"BloomFilter-{name}",
            partial(BloomFilter, capacity=500, error=error, layout=layout),
            partial(plain.BloomFilter, capacity=500, error=error, layout=layout),
            lambda sketch: sketch.words.tolist(),
            lambda twin: twin.words,
            partial(BloomFilter, capacity=501, error=error, layout=layout),
        )
        for name, error, layout in (
            ("block", 0.05, "block"),
            ("two-lines", 1e-4, "block"),
            ("classic", 0.05, "classic"),
        )
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
    Case(
        "Entropy",
        partial(Entropy, 17),
        partial(plain.Entropy, 17),
        lambda sketch: sketch.sums(),
        lambda twin: twin.sums,
        lambda: Entropy(18),
        signed=True,
    ),
    *(
        Case(
            f"BinaryFuseFilter-{bits}",
            lambda items=(), bits=bits, **options: BinaryFuseFilter(items, bits, **options),
            lambda items=(), bits=bits, **options: plain.BinaryFuseFilter(items, bits, **options),
            lambda sketch: (sketch.fingerprints.tolist(), sketch.attempt),
            lambda twin: (twin.fingerprints, twin.attempt),
            lambda bits=bits: BinaryFuseFilter([1], 24 - bits),
            fixed=True,
        )
        for bits in (8, 16)
    ),
]
GROWING = [case for case in CASES if not case.fixed]
