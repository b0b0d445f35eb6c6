"""How many weights a second do the coders write and read, on one core?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from bitarray import bitarray
from bitarray.util import canonical_decode

from benchmarks.networks.measure import Goal, Job, Row
from sketches.nn import SharedWeights
from sketches.nn.compression.arithmetic import decode_arithmetic, encode_arithmetic
from sketches.nn.compression.floats import decode_floats, encode_floats
from sketches.nn.compression.huffman import CanonicalCode, decode_huffman, encode_huffman

SIDE, NUMBERS, REPEATS = 4096, 2**20, 3
ENCODE, DECODE, SIZE = "encoded, million weights a second", "decoded, million weights a second", "bits a weight"
CODERS = {
    "ours: Huffman": (encode_huffman, decode_huffman, Goal(at_least=20)),
    "ours: arithmetic": (encode_arithmetic, decode_arithmetic, Goal(at_least=5)),
}
PRUNED, DENSE = "8 % kept, 15 values", "dense, 16 values"


def tensor(kind: str, side: int) -> SharedWeights:
    """Give a square of weights at random."""
    rng = np.random.default_rng(1)
    if kind == PRUNED:
        levels = np.where(rng.random((side, side)) < 0.08, rng.integers(1, 16, (side, side)), 0)
        codebook = np.concatenate(([0], np.linspace(-1, 1, 15))).astype(np.float32)
        return SharedWeights(levels.astype(np.uint8), codebook, True)
    levels = np.clip(np.rint(rng.normal(size=(side, side)) * 2.5 + 8), 0, 15)
    return SharedWeights(levels.astype(np.uint8), np.linspace(-1, 1, 16, dtype=np.float32), False)


def seconds(job: Callable[[], Any]) -> float:
    """Give the least time that the job took the processor, on one core."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return min(times)


def of_bitarray(shared: SharedWeights) -> float:
    """Give how many million weights a second bitarray decodes, of the same code."""
    symbols = shared.indices.reshape(-1)[: 2**21]
    frequencies = np.bincount(symbols)
    code = CanonicalCode.of(frequencies)
    bits = bitarray()
    bits.frombytes(code.encode(symbols, frequencies))
    lengths = np.repeat(np.arange(len(code.count)), code.count)
    bits = bits[: int((frequencies[code.symbols] * lengths).sum())]
    count, order = code.count.tolist(), code.symbols.tolist()
    spent = seconds(lambda: np.fromiter(canonical_decode(bits, count, order), np.uint8, len(symbols)))
    return len(symbols) / 1e6 / spent


def measured(encode: Callable[[], bytes], decode: Callable[[bytes], Any], count: int) -> dict[str, float]:
    """Give the figures of so many weights."""
    code, million = encode(), count / 1e6
    written, read = seconds(encode), seconds(partial(decode, code))
    return {ENCODE: million / written, DECODE: million / read, SIZE: 8 * len(code) / count}


def coders(quick: bool) -> Iterator[Row]:
    side = SIDE // 4 if quick else SIDE
    for kind in (PRUNED, DENSE):
        shared, where = tensor(kind, side), f"{side} × {side} weights, {kind}"
        for name, (encode, decode, goal) in CODERS.items():
            found = measured(partial(encode, shared), partial(decode, shape=shared.indices.shape), shared.indices.size)
            for measure, value in found.items():
                yield Row(name, "ours", measure, value, where, goal=None if quick or measure == SIZE else goal)
        if kind == DENSE:
            yield Row("bitarray, canonical_decode", "peer", DECODE, of_bitarray(shared), where)


def floats() -> Iterator[Row]:
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        numbers = np.random.default_rng(1).normal(scale=0.02, size=NUMBERS)
        upper = dtype == "bfloat16"  # the upper halves of float32
        array = (numbers.astype("f4").view("u4") >> 16).astype("u2") if upper else numbers.astype(dtype)
        decode = partial(decode_floats, shape=array.shape, dtype=array.dtype)
        for measure, value in measured(partial(encode_floats, array), decode, array.size).items():
            yield Row("ours: every bit", "ours", measure, value, f"{array.size:,} normal numbers, {dtype}")


def run(quick: bool) -> Iterator[Row | str]:
    yield from coders(quick)
    yield from floats()


JOBS = {
    "speed": Job(
        "Speed of the coders, on one core",
        "Weights at random, one thread; the least processor time of three turns. bitarray reads the first two million "
        "weights of the same Huffman code, into an array.",
        run,
        alone=True,
    )
}
