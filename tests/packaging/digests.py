"""Print a digest of every sketch's state and answers after several streams: the same from every build."""

import hashlib
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

import sketches

MAKERS: dict[str, Callable[[], sketches.Sketch]] = {
    **{
        f"{kind} {precision}": lambda kind=kind, precision=precision: sketches.FlajoletMartin(precision, kind)
        for kind in ("pcsa", "hll", "ull", "ell")
        for precision in (4, 9)
    },
    "block": lambda: sketches.BloomFilter(50_000, 0.01),
    "block far": lambda: sketches.BloomFilter(2_000_000, 0.01),  # 2.5 MB: with prefetching
    "two lines": lambda: sketches.BloomFilter(50_000, 1e-4),
    "two lines far": lambda: sketches.BloomFilter(2_000_000, 1e-4),
    "classic": lambda: sketches.BloomFilter(50_000, 0.01, "classic"),
    "count_min": lambda: sketches.CountMin(width=1000),
    "count_min 7": lambda: sketches.CountMin(width=77, depth=7),
    "conservative": lambda: sketches.CountMin(width=1000, conservative=True),
    "ams": lambda: sketches.AMS(width=1000, depth=5),
    "ams 1": lambda: sketches.AMS(width=77, depth=1),
    "space_saving": lambda: sketches.SpaceSaving(100),
    "space_saving far": lambda: sketches.SpaceSaving(5000),
    "lossy_counting": lambda: sketches.LossyCounting(0.01),
    "quantiles": sketches.Quantiles,
    "quantiles coarse": lambda: sketches.Quantiles(0.5),
}


def streams() -> dict[str, object]:
    """Streams that are no whole number of vectors long, of every kind of item that has a loop of its own."""
    random = np.random.default_rng(8)
    skewed = random.zipf(1.3, 70_001) % 2**40
    floats = random.normal(size=70_003) * 10.0 ** random.integers(-30, 30, 70_003)
    for place, special in enumerate((np.nan, np.inf, -np.inf, 0.0, -0.0)):
        floats[place::97] = special
    return {
        "distinct": random.integers(-(2**63), 2**63 - 1, 200_003),
        "skewed": skewed,
        "short": np.arange(13),
        "int32": skewed.astype(np.int32)[::-1],
        "float64": floats,
        "float32": floats.astype(np.float32),
        "float16": np.resize(np.arange(2**16, dtype=np.uint16), 70_003).view(np.float16),
        "texts": [f"{'item ' * (i % 7)}{i % 501}" for i in range(20_011)],
        "numbers": [i * 3**30 % 2**65 for i in range(2_003)],
    }


def digest(data: bytes) -> str:
    """Give a short name for some bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def fed(make: Callable[[], sketches.Sketch], items: object) -> sketches.Sketch:
    """Make a sketch and feed it."""
    sketch = make()
    with np.errstate(all="ignore"):
        sketch.update(items)
    return sketch


def main() -> None:
    """Print a line for each sketch and stream."""
    builders = {name: partial(fed, make) for name, make in MAKERS.items()}
    for bits in (8, 16):
        builders[f"binary fuse {bits}"] = partial(sketches.BinaryFuseFilter, bits=bits)
    for name, build in builders.items():
        for kind, items in streams().items():
            if name.startswith("quantiles") and kind == "texts":
                continue
            sketch = build(items)
            answers = np.empty(0)
            if hasattr(sketch, "estimate"):
                answers = sketch.estimate(items)
            elif hasattr(sketch, "contains"):
                answers = sketch.contains(items)
            sys.stdout.write(f"{name} {kind} {digest(sketch.to_bytes())} {digest(answers.tobytes())} {len(answers)}\n")


if __name__ == "__main__":
    main()
