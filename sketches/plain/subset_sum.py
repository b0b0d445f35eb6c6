"""What do the items of any group add up to? Unbiased sampling of counters, in plain Python."""

from __future__ import annotations

from typing import Any

from sketches.core.scalars import canonical
from sketches.plain.hashing import Hash, mix64

__all__ = ["SubsetSum"]

GOLDEN, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


class SubsetSum:
    """Exact counters while there is room for them; then a sample in which every sum keeps its expectation.

    A counter above the threshold stays. Two below it meet, and chance decides which of them takes from the other as
    much as it can hold: the fair odds are those that leave the expectation of both where it was.
    """

    def __init__(self, k: int, **hash_options: Any) -> None:
        self.k = k
        self.threshold = 0
        self.entries: dict[int, tuple[Any, int, int, float]] = {}  # hash: (item, count, error, variance)
        self.hash = Hash(**hash_options)

    def add(self, item: Any, count: int = 1) -> None:
        """Count one item."""
        h = self.hash(item)
        if h is None or count == 0:
            return
        if h not in self.entries and len(self.entries) == self.k:
            self.sample()
        kept, before, error, variance = self.entries.get(h, (canonical(item), 0, 0, 0.0))
        self.entries[h] = kept, before + count, error, variance

    def sample(self) -> None:
        """Keep three quarters of k counters: leave the heavy ones alone, and let the light ones meet."""
        hashes = sorted(self.entries)
        before = [self.entries[h][1] for h in hashes]
        counts = before.copy()
        t = least_threshold(counts, self.k - max(1, self.k // 4))
        self.threshold = max(self.threshold, t)
        below = random_numbers(sum(mix64((h + GOLDEN * c) & MASK) for h, c in zip(hashes, counts, strict=True)))
        between = None  # the light counter that is neither 0 nor t
        for i in range(len(counts)):
            if counts[i] >= t:
                continue
            if between is None:
                between = i
                continue
            a, b = counts[between], counts[i]
            if a + b < t:
                winner, loser = (between, i) if below(a + b) < a else (i, between)
                counts[winner], counts[loser] = a + b, 0
                between = winner
            else:
                winner, loser = (between, i) if below(2 * t - a - b) < t - b else (i, between)
                counts[winner], counts[loser] = t, a + b - t
                between = loser if counts[loser] else None
        for h, old, new in zip(hashes, before, counts, strict=True):
            item, _, error, variance = self.entries.pop(h)
            if old < t:
                variance = variance * (new / old) + float(new) * float(new - old)
            if new:
                self.entries[h] = item, new, max(error + new - old, 0), variance

    def subset_sum(self, subset: Any) -> int:
        """Estimate the total count of the items for which `subset(item)` is true."""
        return sum(count for item, count, _, _ in self.entries.values() if subset(item))

    def merge(self, other: SubsetSum) -> None:
        """Add another stream: sums of unbiased counts are unbiased."""
        for h, (item, count, error, variance) in other.entries.items():
            kept, own_count, own_error, own_variance = self.entries.get(h, (item, 0, 0, 0.0))
            self.entries[h] = kept, own_count + count, own_error + error, own_variance + variance
        self.threshold = max(self.threshold, other.threshold)
        if len(self.entries) > self.k:
            self.sample()


def least_threshold(counts: list[int], keep: int) -> int:
    """Give the least t such that those >= t, and the others' sum in pieces of t, are `keep` counters at most."""
    t = sum(counts) + 1
    while True:
        light = [count for count in counts if count < t]
        following = -(-sum(light) // (keep - len(counts) + len(light))) if light else t
        if following == t:
            return t
        t = following


def random_numbers(state: int) -> Any:
    """Give a function that draws integers below n: the high half of a random word times n, unless biased."""

    def below(n: int) -> int:
        nonlocal state
        while True:
            state = (state + GOLDEN) & MASK
            product = mix64(state) * n
            if product & MASK >= 2**64 % n:
                return product >> 64

    state &= MASK
    return below
