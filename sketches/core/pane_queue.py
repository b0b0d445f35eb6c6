"""Panes of a sliding window merged ahead, so that an answer takes a merge or two instead of one a pane.

A queue of two stacks. The front has the older panes: each of its entries is a pane merged with all after it, up to the
front's end, so that the oldest can be dropped. The back is all panes after those, merged. When nothing is left of the
front, the panes of the back become the new front: each pane is merged twice in all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Generic, TypeVar

from sketches.core.contract import Sketch

__all__ = ["PaneQueue"]

S = TypeVar("S", bound=Sketch)


class PaneQueue(Generic[S]):
    """What is known about panes that are complete; `stop` is the first that has not been taken in."""

    def __init__(self) -> None:
        self.front: list[tuple[int, S]] = []  # (the first pane, the sketch), the oldest last
        self.back: S | None = None
        self.stop: float = -math.inf

    @property
    def nbytes(self) -> int:
        """The memory of merged sketches; the front's first entry is a pane itself."""
        return sum(sketch.nbytes for _, sketch in self.front[1:]) + (self.back.nbytes if self.back else 0)

    def parts(self, panes: Mapping[int, S], oldest: int, newest: int) -> list[S]:
        """Give sketches that make up the panes `oldest` … `newest` - 1 together, the older one first.

        Both numbers ascend from call to call, and no pane before `stop` has changed since the last one.
        """
        while self.front and self.front[-1][0] < oldest:
            self.front.pop()
        if not self.front:
            self.back = None
            for number in sorted((n for n in panes if oldest <= n < newest), reverse=True):
                self.front.append((number, panes[number] | self.front[-1][1] if self.front else panes[number]))
        elif self.stop < newest:
            parts = [panes[number] for number in sorted(n for n in panes if self.stop <= n < newest)]
            if self.back is None and parts:
                self.back = parts.pop(0).copy()
            if self.back is not None:
                self.back.merge(*parts)
        self.stop = newest
        return [*(sketch for _, sketch in self.front[-1:]), *([] if self.back is None else [self.back])]
