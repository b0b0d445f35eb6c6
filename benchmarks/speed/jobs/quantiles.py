"""Which value has rank q? float32, standard normal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.contender import Contender, Goal, Job, Scale
from benchmarks.speed.feeds import datasketches, duckdb, ours
from benchmarks.speed.floor import floor_of_floats
from benchmarks.speed.streams import Streams
from sketches import Quantiles

Q = [0.01, 0.05, 0.25, 0.75, 0.95, 0.99]


def quantiles(streams: Streams, scale: Scale) -> list[Contender]:
    numbers = streams.normal(scale.items)
    doubles = numbers[: len(numbers) // 5].astype(np.float64)
    truth = np.sort(numbers)

    def off(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], str]:
        def say(state: Any, result: Any) -> str:
            values = np.asarray(read(state, result), np.float64)
            exact = np.quantile(truth, Q)
            ranks = np.searchsorted(truth, values.astype(np.float32)) / len(truth)
            return f"values ±{np.abs(values / exact - 1).max():.2%}, ranks ±{np.abs(ranks - Q).max():.2%}"

        return say

    def crick() -> Any:
        import crick as library

        return library.TDigest(100)

    def partition(values: Any) -> Any:
        places = [int(q * (len(values) - 1)) for q in Q]
        return np.partition(values, places)[places]

    def serialized(sketch: Any) -> int:
        return len(sketch.serialize())

    return [
        ours(
            "ours",
            Quantiles,
            numbers,
            error=off(lambda sketch, _: sketch.quantile(Q)),
            setting="values ±2⁻⁸, always",
            goals=(Goal("peer", 20),),
        ),
        datasketches(
            "kll_floats_sketch",
            lambda library: library.kll_floats_sketch(200),
            numbers,
            size=serialized,
            error=off(lambda sketch, _: sketch.get_quantiles(Q)),
            setting="k = 200, ranks ±1.3 % (99 %); array",
        ),
        datasketches(
            "req_floats_sketch",
            lambda library: library.req_floats_sketch(12),
            numbers,
            size=serialized,
            error=off(lambda sketch, _: sketch.get_quantiles(Q)),
            setting="k = 12; array",
        ),
        datasketches(
            "tdigest_float",
            lambda library: library.tdigest_float(200),
            numbers,
            size=serialized,
            error=off(lambda sketch, _: [sketch.get_quantile(q) for q in Q]),
            setting="k = 200; array",
        ),
        duckdb(f"approx_quantile(x, {Q})", numbers, error=off(lambda _, found: found)),
        Contender(
            "crick TDigest",
            "peer",
            len(doubles),
            crick,
            lambda digest: digest.update(doubles),
            size=lambda digest: digest.centroids().nbytes,
            error=off(lambda digest, _: digest.quantile(Q)),
            setting=f"compression 100; the first {len(doubles):,} as float64, which it wants",
        ),
        Contender("np.partition", "exact", len(numbers), lambda: numbers, partition, size=lambda array: array.nbytes),
        Contender("np.sort", "exact", len(numbers), lambda: numbers, np.sort, size=lambda array: array.nbytes),
        floor_of_floats(streams.folder, numbers),
    ]


JOBS = {"quantiles": Job("Quantiles: float32, normal", quantiles)}
