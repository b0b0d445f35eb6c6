"""How many distinct? Flajolet and Martin's registers, from PCSA to ExaLogLog, in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from copy import copy
from typing import Any

from sketches.core.bounds import flajolet_martin_bias
from sketches.plain.hashing import Hash

__all__ = ["FlajoletMartin"]

# kind: (log2 of the values an octave, how far below its largest value a register remembers, bytes a register)
KINDS = {"pcsa": (0, 64, 8), "hll": (0, 0, 1), "ull": (0, 2, 1), "ell": (2, 24, 4)}


def leading_zeros(h: int, ignored: int) -> int:
    """Count the zeros that h begins with, its lowest bits left out."""
    return 64 - ignored - (h >> ignored).bit_length()


class FlajoletMartin:
    """Registers that remember rare hashes.

    Every item has a register and a value k. Half the items have the lowest values, a quarter the next, an eighth the
    next: the larger the values that turn up, the more items there must have been. Repeats have the same register and
    value, and change nothing.
    """

    def __init__(self, precision: int = 12, kind: str = "ell", **hash_options: Any) -> None:
        self.p = precision
        self.t, self.window, self.register_bytes = KINDS[kind]
        self.whole = kind == "pcsa"
        self.seen: list[set[int]] = [set() for _ in range(2**precision)]
        # Few items are told apart by tokens instead, until a hash table of them would outgrow the registers.
        self.tokens: set[tuple[int, int]] | None = set()
        self.hash = Hash(**hash_options)

    def add(self, item: Any, count: int = 1) -> None:
        """Add one item."""
        h = self.hash(item)
        if h is None or count == 0:
            return
        if self.tokens is not None:
            self._insert_token((h & 2**26 - 1, leading_zeros(h, 26)))
        else:
            self._insert(h)

    def _insert_token(self, token: tuple[int, int]) -> None:
        if self.tokens is None:  # any hash of this token makes the same update
            low, zeros = token
            self._insert(low | 1 << 63 - zeros if zeros < 38 else low)
            return
        self.tokens.add(token)
        if len(self.tokens) > 3 * self.register_bytes * len(self.seen) // 16:
            tokens, self.tokens = self.tokens, None
            for each in tokens:
                self._insert_token(each)

    def _insert(self, h: int) -> None:
        s = h % 2**self.t
        index = (h >> self.t) % len(self.seen)
        k = leading_zeros(h, self.p + self.t) * 2**self.t + s + 1
        self._remember(index, {k})

    def _remember(self, index: int, values: set[int]) -> None:
        values |= self.seen[index]
        self.seen[index] = {k for k in values if k >= max(values) - self.window}

    def merge(self, other: FlajoletMartin) -> None:
        """Add what another sketch has seen."""
        if other.tokens is None and self.tokens is not None:
            tokens, self.tokens = self.tokens, None
            for token in tokens:
                self._insert_token(token)
        for token in other.tokens or ():
            self._insert_token(token)
        for index, values in enumerate(other.seen):
            if values:
                self._remember(index, set(values))

    def downsize(self, precision: int) -> FlajoletMartin:
        """Give the sketch of the same items at a lower precision: let it add the hashes that this one stands for."""
        small = copy(self)
        small.p, small.tokens, small.seen = precision, set(), [set() for _ in range(2**precision)]
        if self.tokens is None:
            small.tokens = None
        for token in self.tokens or ():
            small._insert_token(token)
        for index, values in enumerate(self.seen):
            for k in values:
                zeros, s = divmod(k - 1, 2**self.t)
                h = index << self.t | s
                small._insert(h | 1 << 63 - zeros if zeros < 64 - self.p - self.t else h)
        return small

    def registers(self) -> list[int]:
        """Pack each register: its largest value, then a bit for each value below; whole: a bit for each value."""
        if self.whole:
            return [sum(1 << k - 1 for k in values) for values in self.seen]
        d = self.window
        return [
            sum(1 << d - (max(values) - k) for k in values if k < max(values)) + (max(values, default=0) << d)
            for values in self.seen
        ]

    def count(self) -> float:
        """Find the number of items that makes exactly these values most likely.

        When each register meets r items on average, it meets value k with probability 1 - exp(-r q), where q is the
        share of items with that value. Multiply this for all that was seen and exp(-r q) for all that was not; the
        product is largest where its logarithm's derivative is 0: a falling function of r, so halving finds the root.
        """
        seen: Counter[float] = Counter()
        unseen = 0.0
        if self.tokens is not None:
            m = 2**26
            seen.update(2.0 ** -min(zeros + 1, 38) for _, zeros in self.tokens)
            unseen = m - sum(q * number for q, number in seen.items())
        else:
            m = len(self.seen)
            for values in self.seen:
                for k in range(max(1, max(values, default=0) - self.window), ((65 - self.p - self.t) << self.t) + 1):
                    q = 2.0 ** -min(self.t + 1 + (k - 1 >> self.t), 64 - self.p)
                    if k in values:
                        seen[q] += 1
                    else:
                        unseen += q
        if not seen:
            return 0.0

        def derivative(r: float) -> float:
            return sum(n * q * math.exp(-r * q) / -math.expm1(-r * q) for q, n in seen.items()) - unseen

        low, high = 0.0, 1.0
        while derivative(high) > 0:
            low, high = high, 2 * high
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if derivative(middle) > 0 else (low, middle)
        if self.tokens is not None:
            return m * high
        return m * high / (1 + flajolet_martin_bias(high, self.p, self.t, self.window))
