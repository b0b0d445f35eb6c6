"""How fast is a sparse layer from codebook and indices, beside the dense one and SciPy's CSR?

Every product is timed in one process with one number of threads, which the parent sets before NumPy and PyTorch start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np

from sketches.nn import SharedCSR, SharedWeights

SIZE, KEPT, SEED = 4096, 0.08, 1
ROUNDS = 100


def layer(size: int, kept: float, entries: int, seed: int = SEED) -> SharedWeights:
    """Give a square layer that keeps a share of its weights, at random places, with random entries."""
    random = np.random.default_rng(seed)
    indices = np.where(random.random((size, size)) < kept, random.integers(1, entries + 1, (size, size)), 0)
    codebook = np.append(0, random.normal(size=entries)).astype(np.float32)
    return SharedWeights(indices.astype(np.uint8 if entries < 256 else np.uint16), codebook, True)


def times(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give the least milliseconds that each of some functions takes, which are called in turn."""
    least = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, call in contenders.items():
            start = perf_counter()
            call()
            least[name] = min(least[name], perf_counter() - start)
    return {name: 1000 * seconds for name, seconds in least.items()}


def compare(threads: int, entries: int, batch: int, rounds: int) -> dict[str, float]:
    """Time the products of one layer with a vector or a few."""
    import torch

    torch.set_num_threads(threads)
    shared = layer(SIZE, KEPT, entries)
    matrix, dense = SharedCSR(shared, threads=threads), shared.dense()
    random = np.random.default_rng(SEED)
    x = random.normal(size=(SIZE, batch)[: 1 + (batch > 1)]).astype(np.float32)
    tensor, vector, rows = torch.from_numpy(dense), torch.from_numpy(x), matrix.to_scipy_csr()
    bound = (SIZE + 1) * 2.0**-23 * (np.abs(dense) @ np.abs(x))
    if not (np.abs(matrix @ x - dense @ x) <= bound).all():
        raise AssertionError("the product differs from the dense one by more than rounding does")
    found = times(
        {
            "SharedCSR @": lambda: matrix @ x,
            "NumPy dense @": lambda: dense @ x,
            "PyTorch dense @": lambda: tensor @ vector,
            "SciPy CSR @": lambda: rows @ x,
        },
        rounds,
    )
    best = min(found["NumPy dense @"], found["PyTorch dense @"])
    print(
        f"{threads} thread{'s' * (threads > 1)}, {entries:3} entries, batch {batch:2}: "
        + ", ".join(f"{name} {value:.3f} ms" for name, value in found.items())
        + f"; {best / found['SharedCSR @']:.1f} times as fast as dense,"
        + f" {matrix.nbytes / dense.nbytes:.3f} of its bytes",
        flush=True,
    )
    return found


def run(quick: bool = False) -> None:
    """Compare with one and with two threads, each in a process of its own."""
    for threads in (1, 2):
        limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        arguments = [sys.executable, "-m", "benchmarks.compression.sparse", str(threads), str(10 if quick else ROUNDS)]
        subprocess.run(arguments, env={**os.environ, **limits}, check=True)  # noqa: S603


if __name__ == "__main__":
    if len(sys.argv) < 3:
        run("--quick" in sys.argv)
    else:
        for entries, batch in ((16, 1), (32, 1), (256, 1), (16, 4), (16, 16)):
            compare(int(sys.argv[1]), entries, batch, max(5, int(sys.argv[2]) // batch))
