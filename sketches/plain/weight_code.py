"""A matrix of small integers in nearly as few bits as it holds information: mixed contexts, in plain Python."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import partial

__all__ = ["RangeCoder", "encode"]

Key = tuple[object, ...]

INPUTS, MOST_LOGIT, SIGN, COLUMN_NODES = 8, 2815, 1, 8
NEW = 2**31  # a counter: a probability of 22 bits, here 1/2, and in the lowest 10 how many bits it follows from


def tables() -> tuple[list[int], list[int]]:
    """Give 2**16 / (1 + e**-x) for logits x in units of 1/256, and the logits of probabilities in units of 1/4096."""
    logistic, power = [0] * (2 * MOST_LOGIT + 1), 2**32
    for x in range(MOST_LOGIT + 1):
        p = 2**48 // (2**32 + power)
        logistic[MOST_LOGIT + x], logistic[MOST_LOGIT - x] = p, 2**16 - p
        power = power * 4278222805 + 2**31 >> 32  # times e**(-1/256)
    logits = [bisect_left(logistic, 16 * i + 8, hi=2 * MOST_LOGIT) - MOST_LOGIT for i in range(4096)]
    return logistic, logits


LOGISTIC, LOGITS = tables()


class RangeCoder:
    """Narrows the range [low, low + range) to the part that each bit's probability has of it."""

    def __init__(self) -> None:
        self.low, self.range, self.bytes = 0, 2**32 - 1, 4

    def put(self, p: int, bit: int) -> None:
        """Write a bit that is 1 with the probability p / 2**16."""
        part = (self.range >> 16) * p
        if not bit:
            self.low += part
        self.range = part if bit else self.range - part
        self.fill()

    def put_raw(self, value: int, n: int) -> None:
        """Write n bits as they are, 16 at a time from the lowest up."""
        for i in range(0, n, 16):
            few = min(16, n - i)
            self.range >>= few
            self.low += (value >> i & 2**few - 1) * self.range
            self.fill()

    def fill(self) -> None:
        """Go on to further bytes, when the range gets small."""
        while self.range < 2**24:
            self.low, self.range, self.bytes = self.low << 8, self.range << 8, self.bytes + 1

    def finish(self) -> bytes:
        """Give the number of the range that ends in most zeros, without these."""
        top = self.low + self.range - 1
        zeros = next(n for n in range(32, -1, -1) if top >> n << n >= self.low)
        return (top >> zeros << zeros).to_bytes(self.bytes, "big").rstrip(b"\0")


def counted(counter: int, bit: int, most: int) -> int:
    """Move a counter's probability towards the bit, by 1 / (n + 3/2) of the way."""
    n, p = counter % 1024, counter >> 10
    step = ((2**22 - p if bit else p) >> 3) * (2**14 // (2 * n + 3))
    return (counter + step if bit else counter - step) // 1024 * 1024 + min(n + 1, max(most, n))


class Mixer:
    """Sums logits with weights that follow the gradient of the code's length."""

    def __init__(self) -> None:
        self.weights, self.changes = [2**16 // INPUTS] * INPUTS, 0

    def logit(self, inputs: Sequence[int]) -> int:
        """Give the sum."""
        found = sum(w * x >> 4 for w, x in zip(self.weights, inputs, strict=True)) >> 12
        return max(-MOST_LOGIT, min(found, MOST_LOGIT))

    def train(self, inputs: Sequence[int], logit: int, bit: int) -> None:
        """Move each weight by its input times what the probability missed."""
        step = ((bit << 16) - LOGISTIC[MOST_LOGIT + logit]) * (48 + 32000 // (80 + self.changes)) >> 8
        moved = [w + (x * step + 2**13 >> 14) for w, x in zip(self.weights, inputs, strict=True)]
        self.weights = [max(-(2**18), min(w, 2**18)) for w in moved]
        self.changes = min(self.changes + 1, 1023)


def quarters(x: int) -> int:
    """Give log2(x + 1) in quarters, linear between powers of two."""
    bits = (x + 1).bit_length() - 1
    return 4 * bits + ((x + 1 << 2 >> bits) & 3)


def level(difference: int) -> int:
    """Give a difference of two in halves of an octave, as one of 16 numbers around 8."""
    return max(0, min((difference >> 1) + 8, 15))


def clip(x: int, most: int) -> int:
    """Bring a number within ±most."""
    return max(-most, min(x, most))


def sign(x: int) -> int:
    """Give -1, 0 or 1."""
    return (x > 0) - (x < 0)


class Encoder:
    """Every choice has a node; every context has, for every node, a counter; two mixers weigh eight contexts."""

    def __init__(self) -> None:
        self.coder = RangeCoder()
        self.counters: defaultdict[Hashable, int] = defaultdict(lambda: NEW)
        self.mixers: defaultdict[Hashable, Mixer] = defaultdict(Mixer)

    def flag(self, key: Hashable, bit: int) -> int:
        """Write a bit by one counter."""
        self.coder.put(max(16, min(self.counters[key] >> 16, 65520)), bit)
        self.counters[key] = counted(self.counters[key], bit, 255)
        return bit

    def choose_at(self, contexts: Sequence[Key], selected: Sequence[Key], node: int, bit: int) -> int:
        """Write a bit by what contexts know of this node; columns know of the first few nodes alone."""
        used = [("spare",) if x[0] == "column" and node >= COLUMN_NODES else x for x in contexts]
        return self.choose([(*x, node) for x in used], [(*x, node) for x in selected], bit)

    def choose(self, keys: Sequence[Hashable], mixers: Sequence[Hashable], bit: int) -> int:
        """Write a bit by eight counters, of which the first one only learns; a constant has its place."""
        inputs = [256] + [LOGITS[self.counters[key] >> 20] for key in keys[1:]]
        both = [self.mixers[key] for key in mixers]
        logits = [mixer.logit(inputs) for mixer in both]
        self.coder.put(LOGISTIC[MOST_LOGIT + (sum(logits) >> 1)], bit)
        for mixer, logit in zip(both, logits, strict=True):
            mixer.train(inputs, logit, bit)
        for i, key in enumerate(keys):
            self.counters[key] = counted(self.counters[key], bit, 255 if i else 1023)
        return bit


def encode(rows: Sequence[Sequence[int]], lag: int, zero: bool, live: Sequence[bool] | None = None) -> bytes:
    """Write a matrix; `live` says which columns are expected to hold more than zeros."""
    code, columns = Encoder(), len(rows[0])
    shift = 0
    while max(abs(x) for row in rows for x in row) >> shift > 127:
        shift += 1
    skipped = set()
    for c in range(columns if live and zero else 0):
        if live and not live[c] and not code.flag("column flag", any(row[c] for row in rows)):
            skipped.add(c)
    above: defaultdict[int, int] = defaultdict(int)
    higher, means, balances = above.copy(), above.copy(), above.copy()
    total = count = place = last = 0
    for levels in rows:
        if zero:
            last = code.flag(("row flag", last), any(levels))
            if not last:
                continue
        row: defaultdict[int, int] = defaultdict(int)
        mean = (total << 8) // count if count else 64
        middle, low, high = quarters(mean), mean >> 9, max(mean * 3 >> 9, 1)
        for node in range(128):  # a row begins like all others, and learns fast
            n = code.counters["all", node] % 1024
            code.counters["row", node] = code.counters["all", node] - n + min(n, 4)
        row_mean = mean
        for c in range(columns):
            if c in skipped:
                continue
            a1, a2, b1, b2, d1, d2 = (row[c - k] for k in (1, 2, lag, 2 * lag, lag + 1, lag - 1))
            beside = [abs(x) for x in (a1, a2, b1, b2, d1, d2)]
            m1, m2, n1, n2, k1, k2 = ((x > low) + (x > high) for x in beside)
            local = m1 + 3 * n1 + 9 * min(k1 + k2, 2) + 27 * min(m2 + n2, 2)
            near = sum(x > low for x in (*beside, abs(row[c - lag - 2]), abs(row[c - lag + 2])))
            up = sum(abs(above[c + k]) > low for k in (0, 0, 1, -1, lag, -lag)) + (abs(higher[c]) > low)
            own = around = 0
            if place:
                pooled = 2 * means[c] + means[c - 1] + means[c + 1] + means[c - lag] + means[c + lag]
                own, around = quarters(means[c]) - middle, quarters(pooled * 43 >> 8) - middle
            by_sum = level(quarters(sum(beside) * 43) - middle) if any(beside) else 0
            odds = level(around + quarters(row_mean) - middle)
            bands = -(-columns // lag)
            phase = c % lag if lag <= 64 else c % lag * 64 // lag
            band = c // lag if bands <= 256 else c // lag * 256 // bands
            if code.counters["column", c, SIGN] == code.counters["column", c, 0] == NEW:
                for node in range(COLUMN_NODES):
                    code.counters["column", c, node] = code.counters["all", node] // 1024 * 1024
            contexts: list[Key] = [("all",), ("row",), ("column", c), ("local", local), ("phase", phase)]
            contexts += [("band", band), ("by column", level(own), near), ("by sum", by_sum, level(around))]
            selected: list[Key] = [("odds", odds), ("near", min(near, 3) * 4 + min(up, 3))]

            choose = partial(code.choose_at, contexts, selected)
            x = levels[c]
            if not zero or choose(0, x != 0):
                votes = clip(2 * (sign(a1) + sign(b1)) + sign(d1) + sign(d2) + sign(a2) + sign(b2), 8)
                nearby = sum(balances[c + k] for k in (1, -1, lag, -lag))
                sums = 6 * balances[c] + 3 * nearby
                pooled = clip(sign(sums) * (abs(sums) // 4), 8)
                upper, balance = (sign(above[c]), sign(higher[c])), clip(balances[c], 8)
                keys: list[Hashable] = [("all", SIGN), ("row", SIGN), ("column", c, SIGN), ("votes", votes, upper)]
                keys += [("signs", *(sign(y) for y in (a1, b1, d2, a2, d1))), ("pooled", pooled)]
                keys += [("balance", balance, upper), ("both", pooled, votes)]
                negative = code.choose(keys, [("odds", 0, SIGN), ("near", 0, SIGN)], x < 0)
                contexts[5] = ("by sign", negative, by_sum)
                size, length = abs(x), 0
                while length < 15 and choose(2 + length, size >> length + 1 > 0):
                    length += 1
                for i in range(min(length, 3)):
                    so_far = size >> length - i
                    choose(17 + 7 * (length - 1) - 1 + so_far, size >> length - i - 1 & 1)
                if length > 3:
                    code.coder.put_raw(size & 2 ** (length - 3) - 1, length - 3)
                row[c] = sign(x) * (size >> shift)
            row_mean += (abs(row[c]) << 8) - row_mean >> 6
        total, count = total + sum(abs(x) for x in row.values()), count + columns - len(skipped)
        share = 65536 // (place + 5 if place < 250 else 255)
        for c in range(columns):
            old = means[c] if place else (total << 8) // count
            means[c] = old + (((abs(row[c]) << 8) - old) * share >> 16)
            balances[c] = clip(balances[c] + sign(row[c]), 1000)
        above, higher, place = row, above, place + 1
    return code.coder.finish()
