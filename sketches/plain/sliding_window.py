"""The last part of a stream: a ring of panes, in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["SlidingWindow"]


class SlidingWindow:
    """One sketch for each pane of time, and the oldest is forgotten when a new one begins.

    Nothing is ever taken out of a sketch. The current pane is only partly over, so one more than the window's number of
    panes is kept: the oldest, part of which the window still covers.
    """

    def __init__(self, make: Callable[[], Any], pane: float, panes: int) -> None:
        self.make = make
        self.pane = pane
        self.panes = panes
        self.newest: int | None = None
        self.sketches: dict[int, Any] = {}

    def add(self, item: Any, count: int = 1, *, time: float) -> None:
        """Add one item."""
        number = int(time // self.pane)
        self.newest = number if self.newest is None else max(self.newest, number)
        self.sketches = {n: s for n, s in self.sketches.items() if n >= self.newest - self.panes}
        if number not in self.sketches:
            self.sketches[number] = self.make()
        self.sketches[number].add(item, count)

    def merged(self) -> Any:
        """Merge the panes."""
        whole = self.make()
        for sketch in self.sketches.values():
            whole.merge(sketch)
        return whole
