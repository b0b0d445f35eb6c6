"""How fast is a sparse layer from codebook and indices, beside the dense one and SciPy's CSR?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter, sleep

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.networks.measure import Goal, Job, Role, Row
from sketches.nn import SharedCSR, SharedWeights

SIZE, KEPT, SEED, ROUNDS = 4096, 0.08, 1, 20
IN_A_ROW, REST = 10, 0.1  # calls, seconds
TIME, FACTOR, BYTES = "milliseconds a product", "times as fast as the faster dense product", "bytes to those of float32"
OURS = "ours: SharedCSR"
CASES = ((16, 1), (32, 1), (256, 1), (16, 4), (16, 16))  # entries of the codebook, columns of the other factor
GOAL = Goal(at_least=4)  # with one column


def layer(size: int, entries: int) -> SharedWeights:
    """Give a square layer that keeps a share of its weights, at random places, with random entries."""
    random = np.random.default_rng(SEED)
    indices = np.where(random.random((size, size)) < KEPT, random.integers(1, entries + 1, (size, size)), 0)
    codebook = np.append(0, random.normal(size=entries)).astype(np.float32)
    return SharedWeights(indices.astype(np.uint8 if entries < 256 else np.uint16), codebook, True)


def times(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give the least milliseconds that each of some functions takes.

    Each is called some times in a row, after a rest: BLAS's threads that have had work look for more, without pause,
    for 30 ms, and would take a processor from whoever comes next.
    """
    least = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, call in contenders.items():
            sleep(REST)
            for _ in range(IN_A_ROW):
                start = perf_counter()
                call()
                least[name] = min(least[name], perf_counter() - start)
    return {name: 1000 * seconds for name, seconds in least.items()}


def products(threads: int, entries: int, batch: int, size: int, rounds: int) -> Iterator[Row]:
    """Time the products of one layer with a vector or a few; BLAS and PyTorch must have as many threads."""
    shared = layer(size, entries)
    matrix, dense = SharedCSR(shared, threads=threads), shared.dense()
    x = np.random.default_rng(SEED).normal(size=(size, batch)[: 1 + (batch > 1)]).astype(np.float32)
    tensor, vector, csr = torch.from_numpy(dense), torch.from_numpy(x), matrix.to_scipy_csr()
    bound = (size + 1) * 2.0**-23 * (np.abs(dense) @ np.abs(x))
    if not (np.abs(matrix @ x - dense @ x) <= bound).all():
        raise AssertionError("the product differs from the dense one by more than rounding does")
    contenders = {
        OURS: lambda: matrix @ x,
        "NumPy, dense": lambda: dense @ x,
        "PyTorch, dense": lambda: tensor @ vector,
        "SciPy CSR": lambda: csr @ x,
    }
    found = times(contenders, rounds)
    layer_of = f"{size} × {size}, 8 % kept, {entries} entries"
    where = f"{layer_of}; {threads} thread{'s' * (threads > 1)}"
    for name, value in found.items():
        role: Role = "ours" if name == OURS else "peer"
        yield Row(name, role, TIME, value, where, batch)
    best = min(found["NumPy, dense"], found["PyTorch, dense"])
    goal = GOAL if batch == 1 and size == SIZE else None
    yield Row(OURS, "ours", FACTOR, best / found[OURS], where, batch, goal)
    if batch == threads == 1:
        yield Row(OURS, "ours", BYTES, matrix.nbytes / dense.nbytes, layer_of)


def run(quick: bool) -> Iterator[Row | str]:
    size, rounds = (SIZE // 4, 2) if quick else (SIZE, ROUNDS)
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with threadpool_limits(threads, user_api="blas"):
            for entries, batch in CASES:
                yield from products(threads, entries, batch, size, rounds)
    torch.set_num_threads(before)


JOBS = {
    "sparse": Job(
        "A sparse layer from codebook and indices: products",
        "A layer of random weights, of which 8 % are kept, times a vector or a few (at: how many), in one process, "
        "with as many threads each. In turn each is called ten times in a row, after a rest; its least time counts. "
        "SciPy's CSR has one thread.",
        run,
        alone=True,
    )
}
