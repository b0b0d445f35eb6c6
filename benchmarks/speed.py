"""ns/item of every sketch: `add`, `update` of a list, an int64 array and Arrow strings, and queries.

All data is made before any clock runs. Each figure is the least of several repeats: noise only ever adds time.
"""

from __future__ import annotations

import argparse
import json
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

import sketches

Make = Callable[[], Any]

MAKERS: dict[str, Make] = {
    "FlajoletMartin ell, 2¹²": sketches.FlajoletMartin,
    "FlajoletMartin hll, 2¹²": partial(sketches.FlajoletMartin, kind="hll"),
    "FlajoletMartin ull, 2¹²": partial(sketches.FlajoletMartin, kind="ull"),
    "FlajoletMartin pcsa, 2¹²": partial(sketches.FlajoletMartin, kind="pcsa"),
    "BloomFilter block, 10⁶ at 1 %": partial(sketches.BloomFilter, 10**6, 0.01),
    "BloomFilter classic, 10⁶ at 1 %": partial(sketches.BloomFilter, 10**6, 0.01, "classic"),
    "CountMin 4×4096": partial(sketches.CountMin, width=4096),
    "CountMin 4×4096, conservative": partial(sketches.CountMin, width=4096, conservative=True),
    "AMS 5×4096": partial(sketches.AMS, width=4096, depth=5),
    "SpaceSaving k=1000": partial(sketches.SpaceSaving, 1000),
    "LossyCounting 1/1000": partial(sketches.LossyCounting, 0.001),
    "Quantiles 2⁻⁸": sketches.Quantiles,
}
# Asked of each sketch about many items at once; FlajoletMartin has but one answer, so that its time is that of one.
QUERIES: dict[str, Callable[[Any, Any], Any]] = {
    "FlajoletMartin": lambda sketch, items: sketch.count(),
    "BloomFilter": lambda sketch, items: sketch.contains(items),
    "CountMin": lambda sketch, items: sketch.estimate(items),
    "AMS": lambda sketch, items: sketch.estimate(items),
    "SpaceSaving": lambda sketch, items: sketch.estimate(items),
    "LossyCounting": lambda sketch, items: sketch.estimate(items),
    "Quantiles": lambda sketch, items: sketch.cdf(items),
}
COLUMNS = ["add", "update(list)", "update(int64)", "update(Arrow strings)", "update(float32)", "query"]


def zipf(n: int, exponent: float, keys: int, random: np.random.Generator) -> np.ndarray:
    """Draw n keys of ranks 1 … keys with probability ~ rank**-exponent, scrambled to look like any int64."""
    weights = np.arange(1, keys + 1) ** -exponent
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), random.random(n)).astype(np.uint64)
    return (ranks * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)


def best(call: Callable[[], Any], repeats: int) -> float:
    """Give the least seconds of several calls."""
    return min(timeit.repeat(call, number=1, repeat=repeats))


def measure(make: Make, name: str, data: dict[str, Any], repeats: int) -> dict[str, float]:
    """Give ns/item for each column; a fresh sketch for each repeat, made outside the clock."""

    def update(items: Any) -> float:
        clocks = []
        for _ in range(repeats):
            sketch = make()
            clocks.append(timeit.timeit(partial(sketch.update, items), number=1))
        return min(clocks) / len(items) * 1e9

    def add(items: list[Any]) -> float:
        sketch = make()
        loop = timeit.Timer("for item in items: add(item)", globals={"items": items, "add": sketch.add})
        empty = timeit.Timer("for item in items: pass", globals={"items": items})
        return (min(loop.repeat(repeats, 1)) - min(empty.repeat(repeats, 1))) / len(items) * 1e9

    kind = name.split(" ")[0]
    some = data["int64"][:1_000_000]
    result = {"add": add(some.tolist()), "update(list)": update(some.tolist()), "update(int64)": update(data["int64"])}
    if kind == "Quantiles":
        result["update(float32)"] = update(data["float32"])
    else:
        result["update(Arrow strings)"] = update(data["strings"])
    sketch = make()
    sketch.update(data["int64"])
    asked = 1 if kind == "FlajoletMartin" else len(some)
    result["query"] = best(lambda: QUERIES[kind](sketch, some), repeats) / asked * 1e9
    return result


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    random = np.random.default_rng(1)
    keys = zipf(options.items, 1.1, 10**6, random)
    ranks = zipf(options.items // 5, 1.1, 10**6, random)
    data = {
        "int64": keys,
        "strings": pa.array(np.char.add("user-", (ranks % 10**6).astype(str))),
        "float32": random.normal(size=options.items).astype(np.float32),
    }
    results = {name: measure(make, name, data, options.repeats) for name, make in MAKERS.items()}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    table = Table(title=f"ns/item; {options.items:,} items, Zipf 1.1 over 10⁶ keys; least of {options.repeats}")
    table.add_column("sketch")
    for column in COLUMNS:
        table.add_column(column.replace("update(", "update\n("), justify="right")
    for name, result in results.items():
        table.add_row(name, *(f"{result[column]:,.1f}" if column in result else "–" for column in COLUMNS))
    Console().print(table)


if __name__ == "__main__":
    main()
