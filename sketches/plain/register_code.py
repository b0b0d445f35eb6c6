"""FlajoletMartin's registers in as few bits as they hold information: Huffman's and Rice's codes, in plain Python."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

__all__ = ["encode_registers", "encode_tokens"]

ONE = 2**32  # probabilities are integers, so that every machine finds the same codes


def seen_share(i: int) -> int:
    """Give the probability that something is seen that is expected 2**(i / 4) times."""
    if i > 19:
        return ONE
    if i >= -16:
        return round(-math.expm1(-(2 ** (i / 4))) * ONE)
    return seen_share(i % 4 - 16) >> (-16 - i + 3) // 4


def power(q: int, exponent: int) -> int:
    """Give the probability that all of so many are missed, each with probability q."""
    result = ONE
    for _ in range(exponent):
        result = (result >> 1) * q >> 31
    return result


def huffman(weights: Sequence[int]) -> list[str]:
    """Give every symbol a code, none of more than 12 bits; the less often it occurs, the longer."""
    n, floor = len(weights), 12
    while True:
        tree = [(max(w, sum(weights) >> floor), i) for i, w in enumerate(weights)]
        heapq.heapify(tree)
        parents = [0] * (2 * n - 1)
        for pair in range(n, 2 * n - 1):
            (a, i), (b, j) = heapq.heappop(tree), heapq.heappop(tree)
            parents[i] = parents[j] = pair
            heapq.heappush(tree, (a + b, pair))
        depths = [0] * (2 * n - 1)
        for i in reversed(range(2 * n - 2)):
            depths[i] = depths[parents[i]] + 1
        if max(depths[:n]) <= 12:
            break
        floor -= 1  # too long: let the rarest seem less rare
    codes, place = [""] * n, 0
    for length, i in sorted((depths[i], i) for i in range(n)):  # one after the other, as numbers behind the point
        codes[i] = f"{place >> 12 - length:0{length}b}"
        place += 1 << 12 - length
    return codes


def gap_bits(share: int) -> int:
    """Give the best Rice code for the gaps between things of this probability."""
    return max(bits for bits in range(27) if bits == 0 or share << bits <= 0.9 * ONE)


def gap_code(gap: int, bits: int) -> str:
    """Write the gap's lowest bits, after the others as so many ones and a zero."""
    return "1" * (gap >> bits) + "0" + (f"{gap % 2**bits:0{bits}b}" if bits else "")


def leader_share(u: int, rate: int, t: int) -> int:
    """Give the probability that u is a register's largest value: u was seen, and all that are larger were missed."""
    octave, s = divmod(u - 1, 2**t) if u else (0, 0)
    missed = ONE - seen_share(rate - 4 * (octave + 1 + t))
    if u == 0:
        return power(missed, 2 * 2**t)
    return (power(missed, 2 * 2**t - 1 - s) >> 1) * (ONE - missed) >> 31


def rate_of(leaders: Sequence[int], t: int) -> int:
    """Give the rate, in quarters of an octave, whose mean of the largest value is nearest to theirs."""

    def mean(rate: int) -> int:
        return sum(u * leader_share(u, rate, t) for u in range(1, 256)) >> 16

    rate = -16
    while rate < 239 and (mean(rate) + mean(rate + 1)) * len(leaders) <= sum(leaders) << 17:
        rate += 1
    return rate


def encode_registers(seen: Sequence[Iterable[int]], t: int, window: int) -> bytes:
    """Write what each register has seen: first the largest values, then octave by octave all others of its window."""
    leaders = [max(values, default=0) for values in seen]
    rate = rate_of(leaders, t)
    streams = [f"{rate + 16:08b}", ""]
    first, count = (max(0, rate - 18), 63) if t == 2 else (max(0, rate // 4 - 6), 20)
    codes = huffman([leader_share(first + i, rate, t) for i in range(count)] + [0])
    for i, u in enumerate(leaders):
        streams[i % 2] += codes[u - first] if 0 <= u - first < count else codes[count] + f"{u:08b}"
    ordered = sorted(range(len(leaders)), key=lambda i: leaders[i])
    for octave in range(64):
        values = range((octave << t) + 1, (octave + 1 << t) + 1)
        known = {i: [k for k in values if leaders[i] - window <= k < leaders[i]] for i in ordered}
        # First those that know all of the octave; the others by how many of its values lie out of their reach.
        ordered.sort(key=lambda i: (len(known[i]) < 2**t and (leaders[i] - 1) % 2**t, leaders[i], i))
        throws = "".join("01"[k in seen[i]] for i in ordered for k in known[i])
        if throws:
            put_throws(streams, throws, rate - 4 * (octave + 1 + t))
    front, back = (pack(stream) for stream in streams)
    return front + back[::-1]


def put_throws(streams: list[str], throws: str, coin: int) -> None:
    """Write throws of one coin: by eights, or the gaps between those that are rare."""
    seen = seen_share(coin)
    if -12 <= coin <= 4:
        ones = [byte.bit_count() for byte in range(256)]
        codes = huffman([(power(seen, n) >> 1) * power(ONE - seen, 8 - n) >> 31 for n in ones])
        whole = len(throws) // 8
        for i in range(whole):
            streams[i % 2] += codes[int(throws[8 * i : 8 * i + 8][::-1], 2)]
        streams[0] += throws[8 * whole :][::-1]
        return
    bits = gap_bits(min(seen, ONE - seen))
    gaps = throws.split("0" if seen >= ONE / 2 else "1")
    streams[0] += "1" + "".join(gap_code(len(gap), bits) for gap in gaps) if len(gaps) > 1 else "0"


def pack(bits: str) -> bytes:
    """Fill bytes from the highest bit down."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def encode_tokens(tokens: Iterable[tuple[int, int]]) -> bytes:
    """Write the gaps between the hashes' 26 bits, and after each the zeros it begins with, as so many ones and a 0."""
    tokens = sorted(tokens)
    bits = gap_bits(len(tokens) << 6)
    before = [0, *(low for low, _ in tokens)]
    gaps = (low - last for (low, _), last in zip(tokens, before, strict=False))
    return pack("".join(gap_code(gap, bits) + gap_code(zeros, 0) for gap, (_, zeros) in zip(gaps, tokens, strict=True)))
