"""Which items exceed a share of the stream? Lossy Counting in plain Python."""

from __future__ import annotations

import math
from typing import Any

from sketches.core.scalars import canonical
from sketches.plain.hashing import Hash
from sketches.plain.space_saving import merged

__all__ = ["LossyCounting"]


class LossyCounting:
    """A counter for every item that keeps up with the stream: with one occurrence in every `width`.

    `offset` counts the buckets of `width` items that have passed. A new item starts at `offset`, for it may have been
    counted and dropped before, at most once a bucket; whoever is at or below `offset` at a bucket's end is dropped.
    """

    def __init__(self, epsilon: float, **hash_options: Any) -> None:
        self.width = math.ceil(1 / epsilon)
        self.total = 0
        self.offset = 0
        self.entries: dict[int | None, tuple[Any, int, int]] = {}  # hash: (item, count, error)
        self.hash = Hash(**hash_options)

    def add(self, item: Any, count: int = 1) -> None:
        """Count one item."""
        h = self.hash(item)
        if h is None or count == 0:
            return
        kept, before, error = self.entries.get(h, (canonical(item), self.offset, self.offset))
        self.entries[h] = kept, before + count, error
        self.total += count
        self.end_buckets()

    def end_buckets(self) -> None:
        """Drop what does not keep up, if a bucket, or several, came to an end."""
        if self.offset < self.total // self.width:
            self.offset = self.total // self.width
            self.entries = {h: entry for h, entry in self.entries.items() if entry[1] > self.offset}

    def __getitem__(self, item: Any) -> int:
        return self.entries.get(self.hash(item), (item, self.offset, 0))[1]

    def merge(self, other: LossyCounting) -> None:
        """Add another stream: an item without a counter there occurred at most `other.offset` times."""
        self.entries = merged(self, other)
        self.offset += other.offset
        self.total += other.total
        self.end_buckets()
