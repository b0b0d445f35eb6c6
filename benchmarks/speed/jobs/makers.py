"""Every sketch in the size that the jobs over all of them use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sketches

HASHING: dict[str, Callable[[], Any]] = {
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
    "SubsetSum k=1000": partial(sketches.SubsetSum, 1000),
    "LossyCounting 1/1000": partial(sketches.LossyCounting, 0.001),
}
ALL: dict[str, Callable[[], Any]] = {**HASHING, "Quantiles 2⁻⁸": sketches.Quantiles}
