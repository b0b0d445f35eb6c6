"""The data, made before any clock runs: seeded, and kept in a folder that all processes of a run share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

KEYS = 10**6
ODD = 0x9E3779B97F4A7C15  # ranks are multiplied by it, modulo 2**64, to look like any int64


def scramble(ranks: Integers) -> Integers:
    """Give each rank's key."""
    return (ranks.view(np.uint64) * np.uint64(ODD)).view(np.int64)


def unscramble(keys: Integers) -> Integers:
    """Give each key's rank."""
    return (keys.view(np.uint64) * np.uint64(pow(ODD, -1, 2**64))).view(np.int64)


def counts_of(keys: Integers) -> Integers:
    """Give the true count of each rank, 0 … KEYS, in a Zipf stream."""
    return np.bincount(unscramble(keys), minlength=KEYS + 1)


class Streams:
    """The streams, by name and length; each is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _kept(self, name: str, make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        path = self.folder / f"{name}.npy"
        if not path.exists():
            unfinished = self.folder / f"{name}.{os.getpid()}.npy"
            np.save(unfinished, make())
            unfinished.replace(path)
        return np.load(path)

    def zipf(self, n: int) -> Integers:
        """Give n int64 keys: scrambled ranks 1 … 10**6, of probability ~ rank**-1.1."""

        def make() -> Integers:
            random = np.random.default_rng(1)
            cumulated = np.cumsum(np.arange(1, KEYS + 1) ** -1.1)
            keys = np.empty(n, np.int64)
            for start in range(0, n, KEYS):
                part = keys[start : start + KEYS]
                part[:] = scramble(1 + np.searchsorted(cumulated, random.random(len(part)) * cumulated[-1]))
            return keys

        return self._kept(f"zipf-{n}", make)

    def distinct(self, n: int) -> Integers:
        """Give n different int64 that look random: SplitMix64, which is a bijection, of 1 … n."""

        def make() -> Integers:
            x = np.arange(1, n + 1, dtype=np.uint64)
            x *= np.uint64(ODD)
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
                x ^= x >> np.uint64(shift)
                x *= np.uint64(factor)
            return x.view(np.int64)

        return self._kept(f"distinct-{n}", make)

    def normal(self, n: int) -> npt.NDArray[np.float32]:
        """Give n standard normal float32."""
        return self._kept(f"normal-{n}", lambda: np.random.default_rng(2).standard_normal(n, np.float32))

    def strings(self, n: int) -> Any:
        """Give an Arrow array of n strings ``user-<rank>``, of the Zipf stream's ranks."""
        return users(unscramble(self.zipf(n)))


def users(ranks: Integers) -> Any:
    """Give an Arrow array of strings ``user-<rank>``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise("user", pc.cast(pa.array(ranks), pa.string()), "-")
