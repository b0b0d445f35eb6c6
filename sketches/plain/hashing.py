"""Item to 64 bits: what is equal to what, and its hash.

A sketch needs one thing of an item: a number that looks random, and is the same whenever the item is the same.
Integers go through MurmurHash3's finaliser, an invertible scrambling, so that two integers never collide; bytes go
through all of MurmurHash3. With a secret key both go through SipHash instead, whose collisions nobody can compute.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any

import mmh3
import numpy as np

from sketches.core.scalars import canonical, split_instants

__all__ = ["Domain", "Hash", "mix64", "siphash"]

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio


class Domain(IntEnum):
    """The kind of an item: equal bytes of different kinds must hash differently."""

    BYTES, INTEGER, FLOAT, BIG_INTEGER, TUPLE, TIME, NULL = range(7)


def mix64(x: int) -> int:
    """Scramble 64 bits, invertibly: shifts spread high bits down, odd multiplications spread low bits up."""
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ x >> 33


def siphash(data: bytes, k0: int, k1: int) -> int:
    """SipHash-2-4 (Aumasson and Bernstein 2012) of some bytes under the key (k0, k1)."""

    def rotate(x: int, r: int) -> int:
        return (x << r | x >> 64 - r) & MASK

    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0], v[2] = v[0] + v[1] & MASK, v[2] + v[3] & MASK
            v[1], v[3] = rotate(v[1], 13) ^ v[0], rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[0], v[2] = v[0] + v[3] & MASK, v[2] + v[1] & MASK
            v[3], v[1] = rotate(v[3], 21) ^ v[0], rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


class Hash:
    """The hash function of a seed or a key: ``Hash()(item)`` is a number in [0, 2**64), or None for a null."""

    def __init__(self, seed: int = 0, key: bytes | None = None) -> None:
        self.salts = [mix64(seed + (domain + 1) * GOLDEN & MASK) for domain in Domain]
        self.seed = seed
        self.keys: list[tuple[int, int]] = []
        if key is not None:
            k0, k1 = struct.unpack("<QQ", key)
            self.keys = [(k0, k1)]
            for domain in range(1, 7):
                pair = (siphash(struct.pack("<Q", number), k0, k1) for number in (2 * domain, 2 * domain + 1))
                self.keys.append((next(pair), next(pair)))

    def _word(self, domain: Domain, word: int) -> int:
        if self.keys:
            return siphash(struct.pack("<Q", word), *self.keys[domain])
        return mix64(word ^ self.salts[domain])

    def _bytes(self, domain: Domain, data: bytes) -> int:
        if self.keys:
            return siphash(data, *self.keys[domain])
        seed = self.seed if domain == Domain.BYTES else self.salts[domain] & 0xFFFFFFFF
        return mmh3.hash64(data, seed, x64arch=True, signed=False)[0]

    def __call__(self, item: Any) -> int | None:
        """Hash one item."""
        item = canonical(item)
        if item is None:
            return None
        if isinstance(item, str):
            return self._bytes(Domain.BYTES, item.encode("utf-8", "surrogatepass"))
        if isinstance(item, bytes):
            return self._bytes(Domain.BYTES, item)
        if isinstance(item, int):
            return self._integer(item)
        if isinstance(item, float):
            return self._word(Domain.FLOAT, struct.unpack("<Q", struct.pack("<d", item))[0])
        if isinstance(item, tuple):
            members = [self(member) for member in item]
            words = [self._word(Domain.NULL, 0) if member is None else member for member in members]
            return self._bytes(Domain.TUPLE, struct.pack(f"<{len(words)}Q", *words))
        seconds, attoseconds = split_instants(np.array([item]))
        return self._bytes(Domain.TIME, struct.pack("<qq", seconds[0], attoseconds[0]))

    def _integer(self, item: int) -> int:
        if -(2**63) <= item < 2**63:
            return self._word(Domain.INTEGER, item & MASK)
        try:
            as_float = float(item)
        except OverflowError:
            as_float = 0.0
        if as_float == item:
            return self._word(Domain.FLOAT, struct.unpack("<Q", struct.pack("<d", as_float))[0])
        return self._bytes(Domain.BIG_INTEGER, item.to_bytes((item.bit_length() // 64 + 1) * 8, "little", signed=True))
