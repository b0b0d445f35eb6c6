"""In the set? A binary fuse filter in plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sketches.core.filter_bounds import BINARY_FUSE_ATTEMPTS, binary_fuse_shape
from sketches.plain.hashing import GOLDEN, MASK, Hash, mix64

__all__ = ["BinaryFuseFilter"]


class BinaryFuseFilter:
    """A table in which the xor of an item's three slots is the item's fingerprint.

    One equation for each item, and a few slots more than items: such a system can be solved by peeling. An item that
    has a slot to itself can be satisfied last, whatever the others need; without it, others have slots to themselves.
    """

    def __init__(self, items: Iterable[Any], bits: int = 8, **hash_options: Any) -> None:
        self.hash, self.bits = Hash(**hash_options), bits
        hashes = sorted({h for h in map(self.hash, items) if h is not None})
        self.log_length, self.segments = binary_fuse_shape(len(hashes))
        size = self.segments + 2 << self.log_length if hashes else 0
        self.fingerprints = [0] * size
        for self.attempt in range(BINARY_FUSE_ATTEMPTS):
            order = self._peel(hashes)
            if len(order) == len(hashes):
                break
        for h, slot in reversed(order):
            first, second, third = (self.fingerprints[own] for own in self._slots(h))
            self.fingerprints[slot] = self._fingerprint(h) ^ first ^ second ^ third

    def _peel(self, hashes: list[int]) -> list[tuple[int, int]]:
        """Give as many items as have a slot to themselves without those before them, each with that slot."""
        owners: list[set[int]] = [set() for _ in self.fingerprints]
        for h in hashes:
            for slot in self._slots(h):
                owners[slot].add(h)
        if max(map(len, owners), default=0) > 255:  # more than the kernel counts: they were chosen
            return []
        alone = [slot for slot, own in enumerate(owners) if len(own) == 1]
        order = []
        for slot in alone:  # which grows
            if len(owners[slot]) == 1:
                (h,) = owners[slot]
                order.append((h, slot))
                for own in self._slots(h):
                    owners[own].remove(h)
                    if len(owners[own]) == 1:
                        alone.append(own)
        return order

    def _scrambled(self, h: int) -> int:
        return mix64(h + (self.attempt + 1) * GOLDEN & MASK)

    def _slots(self, h: int) -> tuple[int, int, int]:
        """Choose a slot in each of three neighbouring segments; the xor with less than a length stays in a segment."""
        length = 1 << self.log_length
        first = h * self.segments * length >> 64
        scrambled = self._scrambled(h)
        second = first + length ^ (scrambled >> 46) % length
        return first, second, first + 2 * length ^ (scrambled >> 28) % length

    def _fingerprint(self, h: int) -> int:
        return (self._scrambled(h) >> 12) % (1 << self.bits)

    def __contains__(self, item: Any) -> bool:
        h = self.hash(item)
        if h is None or not self.fingerprints:
            return False
        first, second, third = (self.fingerprints[own] for own in self._slots(h))
        return self._fingerprint(h) == first ^ second ^ third
