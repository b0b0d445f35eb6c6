"""Seen before? A Bloom filter in plain Python."""

from __future__ import annotations

from typing import Any

from sketches.core.filter_bounds import bloom_shape
from sketches.plain.hashing import GOLDEN, MASK, Hash, mix64

__all__ = ["BloomFilter"]


class BloomFilter:
    """Bits that items set; an item one of whose bits is not set was never added.

    An absent item is taken for a present one if others happened to set all its bits. Setting more bits for each item
    makes this coincidence rarer, until the filter becomes so full that it becomes frequent: about half of the bits
    should be set in the end.
    """

    def __init__(self, capacity: int, error: float = 0.01, layout: str = "block", **hash_options: Any) -> None:
        size, self.probes = bloom_shape(capacity, error, layout)
        self.layout = layout
        self.words = [0] * size  # of 64 bits
        self.hash = Hash(**hash_options)

    def _bits(self, h: int) -> list[tuple[int, int]]:
        """Choose an item's bits: the words' indices, and in each the mask of one bit."""
        size = len(self.words)
        if self.layout == "classic":
            indices = [mix64(h + probe * GOLDEN & MASK) * 64 * size >> 64 for probe in range(1, self.probes + 1)]
            return [(index // 64, 1 << index % 64) for index in indices]
        # Eight neighbouring words, so that one trip to memory fetches them all, and one bit in each, by six bits of a
        # scrambled hash. A product's high half maps the hash onto 0 … blocks - 1.
        if self.probes == 8:
            return _block(0, size // 8, h)
        # Two such blocks, one from either half of the table, and bits in seven words of each: 14 suit a lower error.
        second = mix64(h + GOLDEN & MASK)
        return _seven(_block(0, size // 16, h), h) + _seven(_block(size // 2, size // 16, second), second)

    def add(self, item: Any, count: int = 1) -> None:
        """Add one item."""
        h = self.hash(item)
        if h is not None and count:
            for word, mask in self._bits(h):
                self.words[word] |= mask

    def __contains__(self, item: Any) -> bool:
        h = self.hash(item)
        return h is not None and all(self.words[word] & mask for word, mask in self._bits(h))

    def merge(self, other: BloomFilter) -> None:
        """Add all that another filter holds."""
        self.words = [mine | theirs for mine, theirs in zip(self.words, other.words, strict=True)]


def _block(start: int, blocks: int, h: int) -> list[tuple[int, int]]:
    first = start + 8 * (h * blocks >> 64)
    scrambled = h * GOLDEN & MASK
    return [(first + lane, 1 << (scrambled >> 58 - 6 * lane & 63)) for lane in range(8)]


def _seven(bits: list[tuple[int, int]], h: int) -> list[tuple[int, int]]:
    left_out = (h * GOLDEN & MASK) >> 13 & 7
    return bits[:left_out] + bits[left_out + 1 :]
