"""Distinct items: what a bit buys. Bits × relative variance, in memory and as written, after merging."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.measure import Goal, Job, Plot, Role, Row, Scale, Value, mean, root_mean_square, share
from benchmarks.accuracy.peers import cardinality, one_by_one
from benchmarks.simulate import states
from sketches import FlajoletMartin
from sketches.flajolet_martin import KINDS

LIMIT = 1.98  # conjectured: S. Pettie and D. Wang, "Information theoretic limits of cardinality estimation", STOC 2021
MEMORY, WRITTEN, ERROR = "bits in memory × RMSE²", "bits written × RMSE²", "RMSE"
COVERAGE = "coverage of the 95 % bounds"
GOALS = {MEMORY: Goal(3.8), WRITTEN: Goal(2.12)}  # of the default kind, at 10**6 items
RATIO = 244  # items a register: 10**6 at 4,096 registers

Floats = npt.NDArray[np.float64]


def rows_of(
    name: str,
    role: Role,
    n: int,
    errors: Floats,
    memory: Floats | None,
    written: Floats,
    theory: float,
    goals: bool = False,
    **facts: str,
) -> Iterator[Row]:
    """Give the rows of relative errors and of the sketches' bytes."""
    squares = mean(errors**2)
    for measure, nbytes, limit in ((MEMORY, memory, None), (WRITTEN, written, LIMIT)):
        if nbytes is None:
            continue
        size = float(nbytes.mean())
        goal = GOALS[measure] if goals else None
        stated = 8 * size * theory**2 if measure == MEMORY else None
        yield Row(name, role, measure, squares.scaled(8 * size), "merged", n, size, stated, limit, goal, **facts)
    yield Row(name, role, ERROR, root_mean_square(errors), "merged", n, float(written.mean()), theory, **facts)


def default() -> str:
    """Give the kind that a sketch has unless another is asked for."""
    return FlajoletMartin().kind


def merged(kind: str, precision: int, n: int, seed: list[int]) -> FlajoletMartin:
    """Give the sketch of two streams of n / 2 distinct items each."""
    random = np.random.default_rng(seed)
    halves = [
        sketch for _ in "ab" for _, sketch in states(lambda: FlajoletMartin(precision, kind), (n // 2,), random, n)
    ]
    return halves[0] | halves[1]


def distinct_bytes(scale: Scale) -> Iterator[Row | str]:
    for place, kind in enumerate(KINDS):
        # The goals are about 10**6 items and the default; other kinds and precisions show the same at fewer items.
        precisions = (12,) if scale.quick else (8, 10, 12)
        for precision in precisions:
            n = RATIO << precision
            replicas = scale.many // 2 if kind == default() and precision == 12 else scale.some
            errors, memory, written, held = np.zeros((4, replicas))
            for replica in range(replicas):
                sketch = merged(kind, precision, n, [3, place, precision, replica])
                count = sketch.count()
                errors[replica] = count / n - 1
                memory[replica], written[replica] = sketch.nbytes, len(sketch.to_bytes())
                held[replica] = count.lower <= n <= count.upper
            theory, goals = sketch.relative_error, kind == default() and precision == 12
            facts = {"setting": f"2^{precision} registers"}
            yield from rows_of(f"ours {kind}", "ours", n, errors, memory, written, theory, goals, **facts)
            covered: Value = share(int(held.sum()), replicas)
            yield Row(
                f"ours {kind}",
                "ours",
                COVERAGE,
                covered,
                "merged",
                n,
                theory=0.95,
                goal=Goal(0.97, 0.94),
                setting=f"2^{precision} registers",
            )
    sketches, remarks = cardinality()
    yield from remarks
    for place, peer in enumerate(sketches):
        precision = 8
        n = RATIO << precision
        replicas = scale.few if peer.slow else scale.some
        errors, memory, written = np.zeros((3, replicas))
        for replica in range(replicas):
            items = np.random.default_rng([4, place, replica]).integers(-(2**63), 2**63, n).tolist()
            parts = [peer.make(precision) for _ in "ab"]
            for part, half in zip(parts, (items[: n // 2], items[n // 2 :]), strict=True):
                one_by_one(part.update, half)
            both = peer.union(*parts, precision)
            errors[replica] = peer.count(both) / n - 1
            written[replica] = peer.written(both)
            memory[replica] = peer.memory(both) if peer.memory else np.nan
        yield from rows_of(
            peer.name,
            "peer",
            n,
            errors,
            memory if peer.memory else None,
            written,
            peer.merged_error / 2 ** (precision / 2),
            setting=f"2^{precision} registers" + ("" if peer.memory else "; tells no bytes in memory"),
        )


JOBS = {
    "distinct-bytes": Job(
        "Distinct items: bits × relative variance",
        f"Two sketches of half the items each, merged; {RATIO} items a register. Bytes written are all bytes, header "
        f"and checksum included. The limit, {LIMIT}, is conjectured for what is written.",
        distinct_bytes,
        (Plot(ERROR, "nbytes"),),
    )
}
