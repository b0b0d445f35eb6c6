"""Which k items are most frequent? Space-Saving in plain Python."""

from __future__ import annotations

from typing import Any

from sketches.core.scalars import canonical
from sketches.plain.hashing import Hash

__all__ = ["SpaceSaving"]


class SpaceSaving:
    """k counters, each with its item, and `offset`: no item without a counter occurred more often than that.

    A new item that finds all counters taken makes room: the smallest eighth of them goes, and `offset` rises to the
    largest that went. Since the new item may have been among those, it starts at `offset`, and so much may its count be
    too large. That is little: each rise by one takes one from what some 7/8 k counters hold above `offset`, and the
    stream put no more than N there.

    A negative count deletes. If that brings a counter down to `offset`, it says no more than none would.
    """

    def __init__(self, k: int, **hash_options: Any) -> None:
        self.k = k
        self.offset = 0
        self.entries: dict[int | None, tuple[Any, int, int]] = {}  # hash: (item, count, error)
        self.hash = Hash(**hash_options)

    def add(self, item: Any, count: int = 1) -> None:
        """Count one item."""
        h = self.hash(item)
        if h is None or count == 0:
            return
        if count < 0 and h not in self.entries:
            return
        if h not in self.entries and len(self.entries) == self.k:
            counts = sorted(count for _, count, _ in self.entries.values())
            self.drop(counts[max(1, self.k // 8) - 1])
        kept, before, error = self.entries.get(h, (canonical(item), self.offset, self.offset))
        self.entries[h] = kept, before + count, error
        if before + count <= self.offset:
            del self.entries[h]

    def drop(self, threshold: int) -> None:
        """Forget the items that occurred at most so often."""
        self.offset = threshold
        self.entries = {h: entry for h, entry in self.entries.items() if entry[1] > threshold}

    def __getitem__(self, item: Any) -> int:
        return self.entries.get(self.hash(item), (item, self.offset, 0))[1]

    def merge(self, other: SpaceSaving) -> None:
        """Add another stream: an item without a counter there occurred at most `other.offset` times."""
        self.entries = merged(self, other)
        self.offset += other.offset
        counts = sorted((count for _, count, _ in self.entries.values()), reverse=True)
        if len(counts) > self.k:
            self.drop(counts[self.k])


def merged(a: Any, b: Any) -> dict[int | None, tuple[Any, int, int]]:
    """Add the counts and errors of two sketches' entries; a missing one may stand for up to `offset` occurrences."""
    entries = {}
    for h in a.entries.keys() | b.entries.keys():
        item_a, count_a, error_a = a.entries.get(h, (None, a.offset, a.offset))
        item_b, count_b, error_b = b.entries.get(h, (None, b.offset, b.offset))
        entries[h] = item_a if h in a.entries else item_b, count_a + count_b, error_a + error_b
    return entries
