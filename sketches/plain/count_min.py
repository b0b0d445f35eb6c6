"""How often does x occur? Count-Min in plain Python."""

from __future__ import annotations

from typing import Any

from sketches.plain.hashing import MASK, Hash, mix64

__all__ = ["CountMin"]


class CountMin:
    """Rows of shared counters; the least of an item's counters is its estimate.

    An item's counter in a row also counts every other item that hashes there, so each row overestimates. The rows
    hash differently, so an item that is crowded in one is probably lonely in another: take the least.
    """

    def __init__(self, width: int, depth: int = 4, conservative: bool = False, **hash_options: Any) -> None:
        self.width = width
        self.conservative = conservative
        self.rows = [[0] * width for _ in range(depth)]
        self.hash = Hash(**hash_options)

    def _columns(self, item: Any) -> list[int] | None:
        h = self.hash(item)
        if h is None:
            return None
        # A product's high half maps the uniform number h * odd onto 0 … width - 1.
        return [(h * (mix64(row + 1) | 1) & MASK) * self.width >> 64 for row in range(len(self.rows))]

    def add(self, item: Any, count: int = 1) -> None:
        """Count one item."""
        columns = self._columns(item)
        if columns is None:
            return
        target = self[item] + count
        for row, column in zip(self.rows, columns, strict=True):
            # Conservative: the new estimate is `target`, so no counter needs to be larger.
            row[column] = max(row[column], target) if self.conservative else row[column] + count

    def __getitem__(self, item: Any) -> int:
        return min(row[column] for row, column in zip(self.rows, self._columns(item) or (), strict=True))

    def merge(self, other: CountMin) -> None:
        """Add another table."""
        self.rows = [
            [a + b for a, b in zip(mine, theirs, strict=True)]
            for mine, theirs in zip(self.rows, other.rows, strict=True)
        ]
