"""What does a weight cost in Bloomier weights, and how rare are false positives?

The paper's cells lie anywhere in a table of c cells a weight; with three hashes, peeling solves a large one from
c = 1.222 on (M. Molloy, "Cores in random hypergraphs and Boolean formulas", 2005), a small one needs more.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

import numpy as np

from benchmarks.networks.measure import Job, Row
from sketches.nn import BloomierWeights, SharedWeights

LAYERS = {  # name -> positions, weights that are kept
    "LeNet-300-100, fc1, 2 % kept": (300 * 784, 4_700),
    "LeNet-5, fc1, 0.8 % kept": (800 * 500, 3_200),
    "1,000 weights of 20,000": (20_000, 1_000),
    "100,000 weights of 2 million": (2_000_000, 100_000),
    "AlexNet-like, 800,000 of 16 million": (4096 * 4096, 800_000),
}
ENTRIES, RATE, SEED = 15, 2**-5, 1
ANYWHERE = 1.222  # cells a weight
BITS, CELLS, FALSE = "bits a weight that is kept", "cells a weight that is kept", "false positives, % of those pruned"
BUILT, READ = "built, million weights a second", "read, million positions a second"
OURS, PEELED = "ours: BloomierWeights", "cells anywhere, the limit of large tables"


def measured(where: str, positions: int, kept: int) -> Iterator[Row]:
    """Store some weights, and read them again."""
    random = np.random.default_rng(SEED)
    indices = np.zeros(positions, np.uint8)
    places = random.permutation(positions)[:kept]
    indices[places] = random.integers(1, ENTRIES + 1, kept)
    shared = SharedWeights(indices, np.arange(ENTRIES + 1, dtype=np.float32), True)
    start = process_time()
    stored = BloomierWeights.from_weights(shared, false_positive_rate=RATE)
    built = process_time()
    found = stored.shared().indices
    read = process_time()
    if (found[places] != indices[places]).any():
        raise AssertionError("a weight that is kept is not exact")
    rate, pruned = stored.false_positive_rate, positions - kept
    deviation = (rate * (1 - rate) / pruned) ** 0.5
    stated = f"stated: {100 * rate:.4g}, one standard deviation {100 * deviation:.2g}"
    yield Row(OURS, "ours", BITS, stored.bits_per_weight, where, setting=f"{stored.cell_bits} bits a cell")
    yield Row(PEELED, "exact", BITS, ANYWHERE * stored.cell_bits, where)
    yield Row(OURS, "ours", CELLS, stored.bits_per_weight / stored.cell_bits, where)
    yield Row(OURS, "ours", FALSE, 100 * (np.count_nonzero(found) - kept) / pruned, where, setting=stated)
    yield Row(OURS, "ours", BUILT, kept / 1e6 / (built - start), where)
    yield Row(OURS, "ours", READ, positions / 1e6 / (read - built), where)


def run(quick: bool) -> Iterator[Row | str]:
    for where, (positions, kept) in LAYERS.items():
        if not (quick and positions > 10**6):
            yield from measured(where, positions, kept)


JOBS = {
    "bloomier": Job(
        "Bloomier weights: bits a weight",
        "Weights of 15 values at random places, with a false positive in 32 pruned weights at most. A cell has the "
        "bits of a value and those that tell false ones; the table takes some more cells than there are weights.",
        run,
        alone=True,
    )
}
