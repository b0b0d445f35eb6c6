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

    def __init__(
        self, precision: int = 12, kind: str = "ell", *, martingale: bool = False, **hash_options: Any
    ) -> None:
        self.martingale, self.estimate, self.variance = martingale, 0.0, 0.0
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
        token = h & 2**26 - 1, leading_zeros(h, 26)
        if not self.martingale:
            self._insert_token(token)
            return
        if self.tokens is not None and len(self.tokens | {token}) > self._most_tokens():
            self._go_dense()
        chance, before = self._chance(), [set(values) for values in (self.tokens or (), *self.seen)]
        self._insert_token(token)
        if [set(values) for values in (self.tokens or (), *self.seen)] != before:
            items = 2.0**64 / chance  # so many new items it takes, on average, to change the state
            self.estimate += items
            self.variance += items * (items - 1)

    def _chance(self) -> int:
        """Give the probability that a new item changes the state, times 2**64: then it is an integer."""
        if self.tokens is not None:
            return 2**64 - sum(1 << 38 - min(zeros + 1, 38) for _, zeros in self.tokens)
        return sum(
            1 << 64 - self.p - min(self.t + 1 + (k - 1 >> self.t), 64 - self.p)
            for values in self.seen
            for k in range(max(1, max(values, default=0) - self.window), (65 - self.p - self.t << self.t) + 1)
            if k not in values
        )

    def _most_tokens(self) -> int:
        return 3 * self.register_bytes * len(self.seen) // 16

    def _go_dense(self) -> None:
        tokens, self.tokens = self.tokens or (), None
        for token in tokens:
            self._insert_token(token)

    def _insert_token(self, token: tuple[int, int]) -> None:
        if self.tokens is None:  # any hash of this token makes the same update
            low, zeros = token
            self._insert(low | 1 << 63 - zeros if zeros < 38 else low)
            return
        self.tokens.add(token)
        if len(self.tokens) > self._most_tokens():
            self._go_dense()

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
            self._go_dense()
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

    def overlap(self, other: FlajoletMartin) -> tuple[float, float, float]:
        """Find how many items only this sketch, only the other one, and both have seen, most likely.

        Let x, y and z be these numbers for a register, and look at one register and value of share q in both sketches.
        A sketch saw the value unless all its items missed it: P(both did) = P(z hit) + P(z missed) P(x hit) P(y hit),
        and so on. Were it known how many items hit, x would be their number divided by the shares. It is not, so take
        the number that is expected given what was seen, with x as it was; then with the new x again, until it stays.
        """
        if self.tokens is not None and other.tokens is not None:
            m, cells = 2**26, Counter[tuple[float, int | None, int | None]]()
            for token in self.tokens | other.tokens:
                cells[2.0 ** -min(token[1] + 1, 38), int(token in self.tokens), int(token in other.tokens)] += 1
            rest = m - sum(q * number for (q, *_), number in cells.items())  # the shares that neither has seen
            cells[1.0, 0, 0] = rest  # type: ignore[assignment]
        else:
            m, cells = len(self.seen), Counter()
            for mine, theirs in zip(self._dense(), other._dense(), strict=True):
                for k in range(1, (65 - self.p - self.t << self.t) + 1):
                    known = [
                        None if k < max(values, default=0) - self.window else int(k in values)
                        for values in (mine, theirs)
                    ]
                    cells[2.0 ** -min(self.t + 1 + (k - 1 >> self.t), 64 - self.p), known[0], known[1]] += 1
        rates = [1.0, 1.0, 1.0]
        masses = [
            sum(q * n for (q, a, b), n in cells.items() if (a is not None, b is not None, (a, b) != (None, None))[i])
            for i in range(3)
        ]
        while True:
            expected = [0.0, 0.0, 0.0]
            for (q, a, b), n in cells.items():
                x, y, z = (-math.expm1(-rate * q) for rate in rates)  # that some of them hit
                hits = [rate * q for rate in rates]
                if (a, b) == (1, 1):
                    both = z + (1 - z) * x * y
                    given = [(z + (1 - z) * y) / both, (z + (1 - z) * x) / both, 1 / both]
                elif a == 1 and b == 0:
                    given = [1 / x, 0, 0]
                elif a == 0 and b == 1:
                    given = [0, 1 / y, 0]
                elif a == 1:
                    given = [1 / (z + (1 - z) * x), 0, 1 / (z + (1 - z) * x)]
                elif b == 1:
                    given = [0, 1 / (z + (1 - z) * y), 1 / (z + (1 - z) * y)]
                else:
                    continue
                for i in range(3):
                    expected[i] += n * hits[i] * given[i]
            before, rates = rates, [e / mass for e, mass in zip(expected, masses, strict=True)]
            if all(abs(new - old) <= 1e-12 * max(rates) for new, old in zip(rates, before, strict=True)):
                break
        union = sum(rates)
        bias = 0.0 if m == 2**26 else flajolet_martin_bias(union, self.p, self.t, self.window)
        x, y, z = (m * rate / (1 + bias) for rate in rates)
        return x, y, z

    def _dense(self) -> list[set[int]]:
        """Give what registers have seen, or would have had there been no tokens."""
        dense = copy(self)
        dense.seen = [set(values) for values in self.seen]
        if dense.tokens is not None:
            dense._go_dense()
        return dense.seen

    def count(self) -> float:
        """Find the number of items that makes exactly these values most likely, or give what the changes add up to.

        When each register meets r items on average, it meets value k with probability 1 - exp(-r q), where q is the
        share of items with that value. Multiply this for all that was seen and exp(-r q) for all that was not; the
        product is largest where its logarithm's derivative is 0: a falling function of r, so halving finds the root.
        """
        if self.martingale:
            return self.estimate
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
