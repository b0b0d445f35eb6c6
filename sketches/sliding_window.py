"""What of the last hour?

Cut time into panes and keep a sketch of each. The sketch of the last hour is that of its panes, merged; when a pane has
become too old, its sketch is dropped as a whole. So nothing need ever be taken out of a sketch, and whatever merges can
be asked about a window of time.

Panes: J. Li, D. Maier, K. Tufte, V. Papadimos and P. A. Tucker, "No pane, no gain: efficient evaluation of
sliding-window aggregates over data streams", SIGMOD Record 34 (2005). Their sums kept at hand, by two stacks that make
a queue: K. Tangwongsan, M. Hirzel and S. Schneider, "Low-latency sliding-window aggregation in worst-case constant
time", DEBS 2017, section 2.
"""

from __future__ import annotations

from typing import Any, Self, TypeVar

import numpy as np

from sketches.core import bounds, times, wire
from sketches.core.contract import Sketch
from sketches.core.pane_queue import PaneQueue
from sketches.core.panes import Panes, by_pane, check_columns, cut, read_template

__all__ = ["SlidingWindow"]

S = TypeVar("S", bound=Sketch)


class SlidingWindow(Panes[S]):
    """The sketch of the last part of a stream, for any sketch that merges.

    The window is ``W = panes * pane`` long. For the time t that is asked about (by default, the latest there was), the
    answer is the sketch of

    - every item with ``t - W < time <= t``, always;
    - no item with ``time <= t - W - pane``: it covers between W and ``W + pane`` of the stream before t, and what came
      in t's own pane after it.

    What the sketch promises about its stream, it promises about that part.

    Time is what `update` is told, in any unit; no clock is read. It need not ascend: an item may be as old as the
    oldest pane that is kept, which begins between W and ``W + pane`` before the latest time. Older ones are refused.

    A negative count, where the sketch takes one, must have the time of what it takes back, or lie in its pane: a window
    that begins between the two has only the negative one, and no count below 0 is within a sketch's promise.

    Parameters
    ----------
    sketch
        An empty sketch of the kind wanted; the panes get its parameters and its seed or key.
    pane
        The length of a pane, above 0. Panes begin at whole multiples of it, so that windows made anywhere merge.
    panes
        How many panes the window has, 1 to 2**20: the more, the less old items linger, and the more memory.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the sketch is not empty.

    Notes
    -----
    Memory: at most ``panes + 1`` sketches; panes without items take none. The first question about a window adds what
    makes the following ones cheap: at most as many sketches again, each of several panes merged, and so larger than a
    pane's where sketches grow with their items. With them an answer takes two merges and a copy, wherever items come in
    the order of their panes; one after a pane that was merged before has changed takes up to `panes` merges once.

    Read them with ``SlidingWindow.from_bytes``: a window is no `Sketch`, since its `update` needs a time.

    Examples
    --------
    A minute in panes of 10 seconds. At 75 it began at 15, so that bob's visit at 5 does not count (nor could it after
    5 + 60 + 10); at 130 it began at 70, so that only eve's does:

    >>> from sketches import FlajoletMartin
    >>> visitors = SlidingWindow(FlajoletMartin(), pane=10, panes=6)
    >>> visitors.update(["ann", "bob"], time=5)
    >>> visitors.update(["ann", "eve"], time=[61, 75])
    >>> round(visitors.merged().count())
    2
    >>> round(visitors.merged(time=130).count())
    1
    """

    _class = "SlidingWindow"
    _parameters = ("pane", "panes")

    def __init__(self, sketch: S, pane: float, panes: int) -> None:
        super().__init__(sketch)
        self._length = times.check_length("pane", pane)
        self._kept = bounds.check_integer("panes", panes, 1, 2**20)
        self._queue: PaneQueue[S] = PaneQueue()

    @property
    def pane(self) -> float:
        """The length of a pane."""
        return self._length

    @property
    def panes(self) -> int:
        """How many panes the window has."""
        return self._kept

    @property
    def latest(self) -> tuple[float, float] | None:
        """The newest pane, ``start <= time < stop``; None before the first item."""
        return None if self._newest is None else (self._newest * self._length, (self._newest + 1) * self._length)

    @property
    def nbytes(self) -> int:
        """The memory of all sketches, in bytes, with those merged for answers."""
        with self._lock:
            return super().nbytes + self._queue.nbytes

    def add(self, item: Any, count: int = 1, *, time: float) -> None:
        """Add one item that occurred at a time."""
        pane = times.slot_of(time, self._length)
        with self._lock:
            self._feed(pane, time, "add", item, count)

    def update(self, items: Any, counts: Any = None, *, time: Any, threads: int | None = 1) -> None:
        """Add many items.

        Parameters
        ----------
        items, counts, threads
            As for the sketch. No items: only time goes on.
        time
            When they occurred: one number for all, or one for each item (a list, array or column; items and counts must
            then be such, too), in any order.

        Raises
        ------
        TypeError, ValueError
            As the sketch does; and if a time is no number, is NaN or infinite, or lies before the oldest pane that is
            kept. Where items had been added before, the error says how many.
        """
        if np.ndim(time) == 0:
            pane = times.slot_of(time, self._length)
            with self._lock:
                self._feed(pane, time, "update", items, counts, threads=threads)
            return
        time = np.asarray(time)
        panes = times.slots_of(time, self._length)
        check_columns(panes, items, counts)
        with self._lock:
            self._check_late(panes, time)
            panes, (items, counts, time) = by_pane(panes, items, counts, time)
            for start, stop, pane in times.runs(panes):
                part = cut(items, start, stop), cut(counts, start, stop)
                try:
                    self._feed(pane, time[start], "update", *part, threads=threads)
                except BaseException as error:
                    if start:
                        error.add_note(f"the {start} items before these, by pane, had been added")
                    raise

    def merged(self, time: Any = None) -> S:
        """Give the sketch of the window, a new one: of the last W before a time.

        Parameters
        ----------
        time
            Anything from the begin of the newest pane on, by default in that pane. A later time is answered as if the
            window had slid on with nothing new in it, and changes nothing.

        Raises
        ------
        ValueError
            If the time lies before the newest pane: the oldest items of its window may be gone.
        OverflowError
            If the total of the panes exceeds 2**63 - 1.
        """
        with self._lock:
            pane = self._newest if time is None else times.slot_of(time, self._length)
            if self._newest is None or pane is None:
                return self._empty()
            if pane < self._newest:
                raise ValueError(f"time is {time}, before {self._newest * self._length}, where the newest pane begins")
            oldest = pane - self._kept
            if pane == self._newest:
                try:
                    parts = self._queue.parts(self._sketches, oldest, pane)
                except BaseException:
                    self._queue = PaneQueue()  # it may hold half of what it should
                    raise
                parts += [self._sketches[pane]] if pane in self._sketches else []
            else:
                parts = [sketch for number, sketch in sorted(self._sketches.items()) if number >= oldest]
            whole = parts[0].copy() if parts else self._empty()
            whole.merge(*parts[1:])
            return whole

    def _empty(self) -> S:
        empty: S = self._template._empty()
        return empty

    def _change(self, number: int) -> None:
        if number < self._queue.stop:
            self._queue = PaneQueue()

    def _take_over(self, other: Self) -> None:
        self._queue = PaneQueue()

    def _like(self) -> Self:
        return type(self)(self._template, self._length, self._kept)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}(pane={self.pane}, panes={self.panes}): {self.nbytes:,} bytes,"
            f" {len(self._sketches)} panes with items, each a {self._template!r}>"
        )

    def _fields(self) -> dict[str, Any]:
        return {"pane": float(self.pane), "panes": self.panes, **super()._fields()}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], envelope: wire.Envelope, key: bytes | None = None) -> Self:
        template = read_template(fields, envelope, key)
        try:
            window = cls(template, fields["pane"], fields["panes"])
        except (TypeError, ValueError) as error:
            raise wire.FormatError(str(error)) from None
        window._read(fields, key)
        return window
