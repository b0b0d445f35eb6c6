"""How often does x occur, of late?

Every item fades: after a half-life it counts half, after two a quarter. Nothing in the sketch is ever made smaller for
that. Instead, new items weigh more, 2**(t / half_life), and answers are divided by what one weighs now.

G. Cormode, V. Shkapenyuk, D. Srivastava and B. Xu, "Forward decay: a practical time decay model for streaming systems",
ICDE 2009. Here weights are integers, and start again every 16 half-lives with a new sketch beside the last one.
"""

from __future__ import annotations

import math
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from sketches.ams import AMS
from sketches.core import bounds, times, wire
from sketches.core.estimate import Estimate
from sketches.core.forward_decay import HALVES, PANE, ROUNDING, TICKS, UNIT, halved, product, weights_of
from sketches.core.panes import Panes, check_columns, cut, read_template
from sketches.count_min import CountMin

__all__ = ["Decayed"]

S = TypeVar("S", bound=CountMin | AMS)
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Decayed(Panes[S]):
    """Counts that halve with every half-life, from a sketch that is linear: `CountMin` (not conservative) or `AMS`.

    At time t, an item that occurred at time s counts ``2 ** ((s - t) / half_life)`` times its count. With f(x) the sum
    of these over the occurrences of x, and N that over all items:

    - of a `CountMin`, ``f - forgotten <= estimate``, always, and ``estimate <= (1 + 2**-11) * (f + epsilon * N)`` with
      probability ``1 - delta``; see `bounds`;
    - of an `AMS`, what it promises holds with F2 that of f, but for the same factor and for `forgotten`.

    The factor comes from times and weights that are rounded, always to larger weights; the state is made of integers
    alone, the same on every platform. Items are forgotten when they are between 16 and 32 half-lives old and weigh less
    than 2**-16 each; what all of them weigh together is known, `forgotten`.

    Parameters
    ----------
    sketch
        An empty CountMin or AMS; its parameters and its seed or key are used.
    half_life
        The time in which weights halve, above 0 and at most 2**49.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the sketch is not empty, or conservative.

    Notes
    -----
    Memory: two sketches, of 16 half-lives each. Times need not ascend, but those before the older of both are refused.
    Counts are not negative. Two merge if their half-lives agree, whatever their latest times are. At least 2**33 items
    within a half-life fit.

    Read them with ``Decayed.from_bytes``: it is no `Sketch`, since its `update` needs a time.

    Examples
    --------
    Of 800 visits three hours ago, 100 count now, and 50 in an hour. Of N = 100 items, 2,000 columns and 4 rows add 0.16
    or less with a confidence of 99 %, and roundings 0.05 more:

    >>> from sketches import CountMin
    >>> visits = Decayed(CountMin(width=2000), half_life=3600)
    >>> visits.update(["home"] * 800, time=0)
    >>> now, later = (visits.estimate(["home"], time=hours * 3600)[0] for hours in (3, 4))
    >>> bool(100 <= now <= 100.21 and 50 <= later <= 50.11)
    True
    """

    _class = "Decayed"
    _parameters = ("half_life",)
    _kept = 1

    def __init__(self, sketch: S, half_life: float) -> None:
        if type(sketch) not in (CountMin, AMS):
            raise TypeError(f"sketch is {sketch!r}; an empty CountMin or AMS is accepted, for only these are linear")
        if getattr(sketch, "conservative", False):
            raise ValueError("sketch is conservative; such counters are not linear")
        super().__init__(sketch)
        self._half_life = times.check_length("half_life", half_life)
        if not 2.0**-1000 <= self._half_life <= 2**49:
            raise ValueError(f"half_life is {half_life}; a number in [2**-1000, 2**49] is accepted")
        self._tick = times.check_length("half_life", self._half_life / TICKS)  # exact: only the exponent changes
        self._length = self._half_life * HALVES
        self._latest: int | None = None  # in ticks
        self._feeding = 0  # the latest of those that are being added
        self._forgotten = 0  # in 2**-UNIT at the start of the newest pane

    @property
    def half_life(self) -> float:
        """The time in which weights halve."""
        return self._half_life

    def add(self, item: Any, count: int = 1, *, time: float) -> None:
        """Add one item that occurred at a time."""
        self.update([item], [count], time=time)

    def update(self, items: Any, counts: Any = None, *, time: Any) -> None:
        """Add many items.

        Parameters
        ----------
        items
            A list, an array or a column, as for the sketch. No items: only time goes on.
        counts
            One integer an item, 0 or more; by default each item counts once.
        time
            When they occurred: one number for all, or one for each item.

        Raises
        ------
        TypeError, ValueError
            As the sketch does; and if a time is no number, is NaN or infinite, or lies before the oldest pane.
        OverflowError
            If the weights would exceed 2**63 - 1. Where items had been added before, the error says how many.
        """
        items = _sized(items)
        if np.ndim(time) == 0:
            ticks, time = np.array([times.slot_of(time, self._tick, up=True)]), np.array([time])
            cuts = [(0, len(items), int(ticks[0]) // PANE)]
        else:
            time = np.asarray(time)
            ticks = times.slots_of(time, self._tick, up=True)
            check_columns(ticks, items, counts)
            cuts = times.runs(ticks // PANE)
        counted = _checked(counts, len(items))
        with self._lock:
            self._check_late(ticks // PANE, time)
            for start, stop, pane in cuts:
                part = ticks[start:stop] if len(ticks) > 1 else ticks
                self._feeding = int(part.max())
                weights = weights_of(part % PANE) * np.ones(stop - start, np.int64)
                if counted is not None:
                    weights = product(weights, counted[start:stop])
                part_items = items if len(cuts) == 1 else cut(items, start, stop)
                try:
                    self._feed(pane, time[start], "update", part_items, weights)
                except BaseException as error:
                    if start:
                        error.add_note(f"the {start} items before these had been added")
                    raise

    def _change(self, number: int) -> None:
        self._latest = self._feeding if self._latest is None else max(self._latest, self._feeding)

    def _drop(self, numbers: list[int], newest: int) -> None:
        if self._newest is not None:
            self._forgotten = halved(self._forgotten, HALVES * (newest - self._newest)) + sum(
                halved(self._sketches[number].weight, HALVES * (newest - number)) for number in numbers
            )

    def estimate(self, items: Any, time: Any = None) -> Floats:
        """Estimate the decayed count of each item: a float64 array.

        Parameters
        ----------
        items
            As for the sketch, without nulls.
        time
            When; by default, at the latest time there was. An earlier one is refused.
        """
        items = _sized(items)
        with self._lock:
            found = np.zeros(len(items))
            for sketch, scale in self._scaled(time):
                found += sketch.estimate(items) * scale
            return found

    def bounds(self, items: Any, time: Any = None, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """Give ``(lower, upper)`` arrays of a CountMin: ``f <= upper`` always, ``lower <= f`` with the confidence."""
        delta = 1 - bounds.check_fraction("confidence", confidence)
        if isinstance(self._template, AMS):
            raise TypeError("bounds of single counts are a CountMin's; the sketch is an AMS")
        items = _sized(items)
        with self._lock:
            lower, upper = np.zeros((2, len(items)))
            sketch: Any
            for sketch, scale in self._scaled(time):
                least, most = sketch.bounds(items, 1 - delta / len(self._sketches))  # each may fail with its part
                lower += least * (scale / (1 + ROUNDING))
                upper += most * scale
            return lower, upper * (1 + 2.0**-50) + self.forgotten(time)  # the sum is rounded, too

    def total(self, time: Any = None) -> Estimate:
        """Give N, the decayed count of all items, with bounds that always hold; the upper one counts the forgotten."""
        with self._lock:
            value = sum(sketch.weight * scale for sketch, scale in self._scaled(time))
            upper = value * (1 + 2.0**-50) + self.forgotten(time)
            return Estimate(value, lower=value / (1 + ROUNDING), upper=upper)

    def forgotten(self, time: Any = None) -> float:
        """Give what all items that were dropped weigh at most: each is 16 half-lives old or older."""
        with self._lock:
            return 0.0 if self._newest is None else self._forgotten * self._scale(self._newest, self._tick_of(time))

    def second_moment(self, time: Any = None, confidence: float = 0.95) -> Estimate:
        """Estimate the sum of the squares of all decayed counts; the sketch must be an AMS."""
        delta = 1 - bounds.check_fraction("confidence", confidence)
        if not isinstance(self._template, AMS):
            raise TypeError("the second moment is an AMS's; the sketch is a CountMin")
        width, depth = self._template.width, self._template.depth
        with self._lock:
            table = np.zeros((depth, width))
            for sketch, scale in self._scaled(time):
                table += sketch.counters * scale
            value, forgotten = float(np.median((table * table).sum(axis=1))), self.forgotten(time)
        epsilon = bounds.ams_error(width, depth, delta)
        upper = (math.sqrt(value / (1 - epsilon)) + forgotten) ** 2 if epsilon < 1 else math.inf
        return Estimate(value, lower=value / (1 + epsilon) / (1 + ROUNDING) ** 2, upper=upper, confidence=confidence)

    def _tick_of(self, time: Any) -> int:
        if time is None:
            return self._latest or 0
        if self._latest is not None and times.slot_of(time, self._tick, up=True) < self._latest:
            raise ValueError(f"time is {time}, before {self._latest * self._tick}, the latest time there was")
        return times.slot_of(time, self._tick)

    def _scale(self, pane: int, tick: int) -> float:
        """Give what the units of a pane are worth at a time."""
        return math.ldexp(2.0 ** ((pane * PANE - tick) % TICKS / TICKS), (pane * PANE - tick) // TICKS - UNIT)

    def _scaled(self, time: Any) -> list[tuple[S, float]]:
        tick = self._tick_of(time)
        return [(sketch, self._scale(pane, tick)) for pane, sketch in sorted(self._sketches.items())]

    def _like(self) -> Self:
        return type(self)(self._template, self._half_life)

    def _take_over(self, other: Self) -> None:
        self._forgotten += other._forgotten
        known = [latest for latest in (self._latest, other._latest) if latest is not None]
        self._latest = max(known, default=None)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}(half_life={self.half_life}): {self.nbytes:,} bytes, total {self.total():,.6g},"
            f" {len(self._sketches)} panes with items, each a {self._template!r}>"
        )

    def _fields(self) -> dict[str, Any]:
        latest = 0 if self._latest is None else self._latest
        return {
            "half_life": float(self.half_life),
            "latest": latest,
            "forgotten": self._forgotten,
            **super()._fields(),
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope, key: bytes | None = None) -> Self:
        template = read_template(fields, envelope, key)
        try:
            decayed = cls(template, fields["half_life"])
        except (TypeError, ValueError) as error:
            raise wire.FormatError(str(error)) from None
        decayed._read(fields, key)
        newest, latest, forgotten = decayed._newest, fields["latest"], fields["forgotten"]
        for sketch in decayed._sketches.values():
            wire.require(sketch.total == sketch.weight, f"the total {sketch.total} is not the weight {sketch.weight}")
        if newest is None:
            wire.require(latest == forgotten == 0, f"latest is {latest}, forgotten {forgotten} before the first item")
        else:
            wire.require(latest // PANE == newest, f"the latest time, {latest}, is not in the newest pane, {newest}")
            decayed._latest, decayed._forgotten = latest, forgotten
        return decayed


def _sized(items: Any) -> Any:
    """Give items that know how many they are, since each gets a weight."""
    if hasattr(items, "__len__"):
        return items
    if not hasattr(items, "__iter__"):
        raise TypeError(
            f"items is of type {type(items).__name__}; a list, an array, a column or an iterable is accepted"
        )
    return list(items)


def _checked(counts: Any, size: int) -> Integers | None:
    if counts is None:
        return None
    array = np.asarray(counts)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"counts have dtype {array.dtype}; integers are accepted")
    if array.shape != (size,):
        raise ValueError(f"counts have shape {array.shape}, items have length {size}")
    if array.size and not 0 <= array.min() <= array.max() <= 2**63 - 1:
        raise ValueError(f"counts lie in [{array.min()}, {array.max()}]; 0 to 2**63 - 1 is accepted")
    return array.astype(np.int64)
