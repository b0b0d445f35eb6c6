"""Which units of a layer are dead: known once, for its rows, its biases and the columns of the layer after it.

A unit whose weights are all pruned has none in the layer after it either. That it is dead is said once, in the
directory of a compressed file, so that each tensor can still be read without the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sketches._ext import weight_code
from sketches.core.wire import FormatError

__all__ = ["MOST", "KnownUnits", "Units"]

Flags = npt.NDArray[np.bool_]

FEW = 8  # dead units that are not worth a mention; bits that a column costs which should be dead, but is not
REMEMBERED = 8  # layers before this one
MOST = 2**24  # units of a layer


@dataclass(frozen=True)
class Units:
    """The units of a layer: how many, and in as few bytes as hold it which of them have weights."""

    size: int
    code: bytes

    @classmethod
    def of(cls, live: Flags) -> Units:
        """Code flags, one a unit."""
        levels = live.astype(np.int32)[None]
        return cls(len(live), weight_code.encode(levels, 1, True, False, 0, 1, None))

    def live(self) -> Flags:
        """Give the flags; ``FormatError`` if the code is none of so many, or says that all units are dead."""
        levels = np.zeros((1, self.size), np.int32)
        if not weight_code.decode(np.frombuffer(self.code, np.uint8), levels, 1, True, False, 0, 1, None):
            raise FormatError(f"{len(self.code)} bytes do not tell which of {self.size} units have weights")
        if not levels.any():
            raise FormatError(f"none of {self.size} units has weights")
        live: Flags = levels[0] != 0
        return live


class KnownUnits:
    """What a writer knows of the last layers, to say of each what the next ones can use."""

    def __init__(self) -> None:
        self._known: list[tuple[Units, Flags]] = []

    def of_rows(self, kept: Flags) -> Units | None:
        """Give the rows of a matrix that have weights, and remember them; None if nearly all or none have."""
        live: Flags = np.logical_or.reduce(kept, axis=1)
        if not FEW <= np.count_nonzero(~live) < len(live) <= MOST:
            return None
        units = Units.of(live)
        self._known = [*self._known[1 - REMEMBERED :], (units, live)]
        return units

    def of_columns(self, kept: Flags) -> Units | None:
        """Give the units before, whose outputs the columns are, each in as many columns; None if none seem to be."""
        some: Flags = np.logical_or.reduce(kept, axis=0)
        best, gain = None, 0
        for units, live in self._known:
            if len(some) % len(live) == 0:
                dead = ~np.repeat(live, len(some) // len(live))
                found = int(np.count_nonzero(dead & ~some)) - FEW * int(np.count_nonzero(dead & some))
                if found >= max(gain, FEW):
                    best, gain = units, found
        return best
