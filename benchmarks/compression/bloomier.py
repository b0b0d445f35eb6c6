"""What does a weight cost in Bloomier weights, and how rare are false positives?

The paper's cells lie anywhere in a table of c cells a weight; with three hashes, peeling solves a large one from
c = 1.222 on (M. Molloy, "Cores in random hypergraphs and Boolean formulas", 2005), a small one needs more.
"""

from __future__ import annotations

from time import process_time

import numpy as np

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


def measure(positions: int, kept: int) -> tuple[BloomierWeights, float, float, float]:
    """Store some weights; give them, the share of false positives, seconds to build and positions read a second."""
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
    false = (np.count_nonzero(found) - kept) / (positions - kept)
    return stored, false, built - start, positions / (read - built)


def run(quick: bool = False) -> None:
    """Print a line for each layer."""
    for name, (positions, kept) in LAYERS.items():
        if quick and positions > 10**6:
            continue
        stored, false, seconds, speed = measure(positions, kept)
        cells = stored.bits_per_weight / stored.cell_bits
        error = (stored.false_positive_rate * (1 - stored.false_positive_rate) / (positions - kept)) ** 0.5
        print(
            f"{name}: {stored.bits_per_weight:.2f} bits a weight, {cells:.3f} cells of {stored.cell_bits} bits"
            f" ({cells / ANYWHERE - 1:+.1%} beside cells anywhere); false positives {false:.5f},"
            f" stated {stored.false_positive_rate:.5f} ± {error:.5f}; built in {seconds:.2f} s,"
            f" read at {speed / 1e6:.0f} M positions/s",
            flush=True,
        )


if __name__ == "__main__":
    import sys

    run("--quick" in sys.argv)
