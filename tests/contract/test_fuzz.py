"""`from_bytes` against hostile bytes: no crash, no hang, no allocation beyond the input's own size.

Random damage alone would only ever test the checksum, so most inputs are sealed again after the damage: the right
length and the right checksum around wrong contents; and some have a single value of a field replaced, which gets
deepest. What loads nevertheless must be a sketch that works.
"""

import struct
import time
import tracemalloc
import zlib
from collections import Counter

import numpy as np
import pytest
from cases import CASES

import sketches
from sketches import FormatError
from sketches.core import wire

INPUTS = 100_000
HEADER, SIZE_AT = 48, 40
HOSTILE = [0, 1, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
OVERHEAD = 64 * 1024  # bytes of Python's own objects: exceptions, messages, small arrays
WORKS = (FormatError, OverflowError)  # a sketch near 2**63 items may refuse more


def seeds(case) -> list[bytes]:
    """Give valid bytes to damage: an empty, a small and a larger sketch."""
    found = []
    for n in (0, 3, 700):
        items = [i * i % 101 for i in range(n)]
        if not case.numbers and n:
            items += ["a", "é" * 9, (1, ("x", None)), 0.5, 2**70, np.datetime64("2020-01-01"), b"\xff", None]
        found.append(case.built(items).to_bytes())
    return found


def damage(data: bytes, others: list[bytes], random: np.random.Generator) -> bytes:
    """Break valid bytes in one to three ways."""
    broken = bytearray(data)
    for _ in range(random.integers(1, 4)):
        kind, at = random.integers(7), int(random.integers(len(broken) + 1))
        if kind == 0:
            del broken[at:]
        elif kind == 1:
            for bit in random.integers(8 * max(len(broken), 1), size=random.integers(1, 9)).tolist():
                if bit // 8 < len(broken):
                    broken[bit // 8] ^= 1 << bit % 8
        elif kind == 2:
            broken[at : at + 8] = struct.pack("<Q", HOSTILE[random.integers(len(HOSTILE))])
        elif kind == 3:
            broken[at : at + int(random.integers(1, 20))] = random.bytes(int(random.integers(20)))
        elif kind == 4:
            other = others[random.integers(len(others))]
            broken[at:] = other[int(random.integers(len(other) + 1)) :]
        elif kind == 5 and len(broken) > HEADER:  # aim at the body's first fields: lengths and parameters
            at = HEADER + int(random.integers(min(64, len(broken) - HEADER)))
            broken[at : at + 8] = struct.pack("<Q", HOSTILE[random.integers(len(HOSTILE))])
        else:
            broken[at:at] = broken[at : at + int(random.integers(1, 30))]
    return bytes(broken)


def with_another_value(data: bytes, random: np.random.Generator) -> bytes:
    """Replace one value of a field, or a total, and seal it; give the bytes as they were where it does not fit."""
    name, envelope, fields = wire.decode(data)
    field = list(fields)[random.integers(len(fields))]
    hostile = HOSTILE[random.integers(len(HOSTILE))]
    if random.random() < 0.3:
        envelope = envelope._replace(total=hostile, weight=hostile)
    elif not isinstance(fields[field], np.ndarray):
        fields[field] = type(fields[field])(hostile)
    elif fields[field].size:
        fields[field] = fields[field].copy()
        at = random.integers(fields[field].size)
        fields[field][at : at + 1] += random.integers(1, 3).astype(fields[field].dtype)
    try:
        return wire.encode(name, envelope, fields)
    except (struct.error, OverflowError):  # a number that its type cannot hold
        return data


def seal(broken: bytes) -> bytes:
    """Give the bytes a true length and checksum."""
    if len(broken) < HEADER + 4:
        return broken
    sealed = bytearray(broken[:-4])
    sealed[SIZE_AT : SIZE_AT + 8] = struct.pack("<Q", len(sealed) - HEADER)
    return bytes(sealed) + struct.pack("<I", zlib.crc32(sealed))


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case.name for case in CASES])
def test_hostile_bytes(index, record_property):
    case = CASES[index]
    random = np.random.default_rng(index)
    valid = seeds(case)
    others = [data for other in CASES for data in seeds(other)[:2]]
    outcomes = Counter()
    slowest = 0.0
    tracemalloc.start()
    try:
        for turn in range(INPUTS // len(CASES) + 1):
            if turn % 16 == 15:
                data = with_another_value(valid[turn // 16 % 3], random)
            else:
                data = damage(valid[turn % 3], others, random)
                if random.random() < 0.8:
                    data = seal(data)
            tracemalloc.reset_peak()
            before, start = tracemalloc.get_traced_memory()[0], time.perf_counter()
            sketch, refusal = None, ""
            try:
                sketch = sketches.from_bytes(data)
            except FormatError as error:
                refusal = str(error).split(":")[0].split(" ")[0]
            except ValueError as error:
                refusal = str(error)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak <= 4 * len(data) + OVERHEAD, (turn, peak, len(data))
            assert " " not in refusal or "pass key=" in refusal
            outcomes[f"refused ({refusal.split(' ')[0]})" if refusal else "loaded"] += 1
            if sketch is not None:
                works(sketch, data)
            slowest = max(slowest, time.perf_counter() - start)
    finally:
        tracemalloc.stop()
    assert slowest < 5
    record_property("hostile bytes", (case.name, dict(outcomes.most_common())))


QUERIES = {
    "FlajoletMartin": lambda sketch: sketch.count(),
    "BloomFilter": lambda sketch: (sketch.contains([1, "a"]), sketch.false_positive_rate(), sketch.fill_ratio),
    "BinaryFuseFilter": lambda sketch: (sketch.contains([1, "a"]), 1 in sketch, sketch.fingerprints),
    "CountMin": lambda sketch: (sketch[1], sketch.bounds([1, "a"])),
    "AMS": lambda sketch: (sketch[1], sketch.second_moment(), sketch.inner(sketch), sketch.estimate([1], True)),
    "SpaceSaving": lambda sketch: (sketch[1], sketch.top(), sketch.bounds([1, "a"])),
    "SubsetSum": lambda sketch: (sketch.top(), sketch.subset_sum(lambda item: item), sketch.estimate([1, "a"])),
    "LossyCounting": lambda sketch: (sketch[1], sketch.bounds([1, "a"])),
    "Entropy": lambda sketch: sketch.total > 0 and sketch.entropy(),
    "Quantiles": lambda sketch: (sketch.rank(1.0), sketch.minimum, sketch.total > sketch.nans and sketch.quantile(0.5)),
}


def works(sketch, data: bytes) -> None:
    """Whatever loads is a sketch like any other: it writes the same bytes, answers, grows and merges."""
    assert sketch.to_bytes() == data
    assert sketch.copy() == sketch
    query = QUERIES[type(sketch).__name__]
    query(sketch)
    assert repr(sketch)
    if isinstance(sketch, sketches.BinaryFuseFilter):
        return
    try:
        sketch.update([1, 2, 3])
        if not getattr(sketch, "martingale", False):  # which refuses to
            sketch.merge(sketch)
    except WORKS:
        pass
    query(sketch)
    assert sketches.from_bytes(sketch.to_bytes()) == sketch
