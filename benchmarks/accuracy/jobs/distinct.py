"""How many distinct? Error, bias and bounds over all sizes, of every kind, beside peers of as many registers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.measure import Goal, Job, Plot, Role, Row, Scale, mean, root_mean_square, share
from benchmarks.accuracy.peers import cardinality, one_by_one
from benchmarks.simulate import states
from sketches import FlajoletMartin
from sketches.flajolet_martin import KINDS

PRECISION = 8  # so few registers that replicas are cheap
REGISTERS = 1 << PRECISION
RMSE, BIAS, COVERAGE = "RMSE ÷ standard error", "bias ÷ standard error", "coverage of the 95 % bounds"
GOALS = {RMSE: Goal(at_most=1.03), BIAS: Goal(0.05, -0.05), COVERAGE: Goal(0.97, 0.94)}
STREAM = "all distinct"

Floats = npt.NDArray[np.float64]


def sizes(longest: int) -> list[int]:
    """Give 1, 2, 3, 5, 10, 20, 30, 50, …"""
    return [step * 10**e for e in range(10) for step in (1, 2, 3, 5) if step * 10**e <= longest]


def rows_of(name: str, role: Role, n: int, errors: Floats, hits: int | None = None) -> list[Row]:
    """Give the rows of one size, of errors in standard errors and of how many bounds held."""
    rows = [
        Row(name, role, RMSE, root_mean_square(errors), STREAM, n, theory=1.0),
        Row(name, role, BIAS, mean(errors), STREAM, n),
    ]
    if hits is not None:
        rows.append(Row(name, role, COVERAGE, share(hits, len(errors)), STREAM, n, theory=0.95))
    return rows


def worst(rows: list[Row], asymptotic: int) -> Iterator[Row]:
    """Give the row of each measure that is farthest from its goal; bounds are judged where they are not exact."""
    for measure, far in ((RMSE, 0.0), (BIAS, 0.0), (COVERAGE, 0.95)):
        found = [r for r in rows if r.measure == measure and (measure != COVERAGE or (r.n or 0) >= asymptotic)]
        if found:
            row = max(found, key=lambda r: abs(r.value.value - far))
            yield Row(
                row.name, "ours", f"worst {measure}", row.value, STREAM, row.n, goal=GOALS[measure], setting=row.setting
            )


def distinct(scale: Scale) -> Iterator[Row | str]:
    grid = sizes(scale.longest)
    contenders = {kind: partial(FlajoletMartin, PRECISION, kind) for kind in KINDS}
    contenders["ell, martingale"] = partial(FlajoletMartin, PRECISION, martingale=True)
    for place, (kind, make) in enumerate(contenders.items()):
        theory = make().relative_error
        errors, held = np.zeros((2, len(grid), scale.many))
        for replica in range(scale.many):
            random = np.random.default_rng([1, place, replica])
            for at, (n, sketch) in enumerate(states(make, grid, random)):
                count = sketch.count()
                errors[at, replica] = (count / n - 1) / theory
                held[at, replica] = count.lower <= n <= count.upper
        rows = [
            row
            for at, n in enumerate(grid)
            for row in rows_of(f"ours {kind}", "ours", n, errors[at], int(held[at].sum()))
        ]
        yield from rows
        yield from worst(rows, 10 * REGISTERS)
    sketches, remarks = cardinality()
    yield from remarks
    for place, peer in enumerate(sketches):
        grid = sizes(scale.objects // 10 if peer.slow else scale.objects)
        replicas = scale.some // 5 if peer.slow else scale.some
        errors = np.zeros((len(grid), replicas))
        for replica in range(replicas):
            items = np.random.default_rng([2, place, replica]).integers(-(2**63), 2**63, grid[-1]).tolist()
            sketch, done = peer.make(PRECISION), 0
            for at, n in enumerate(grid):
                one_by_one(sketch.update, items[done:n])
                errors[at, replica] = (peer.count(sketch) / n - 1) / (peer.error / REGISTERS**0.5)
                done = n
        for at, n in enumerate(grid):
            yield from rows_of(peer.name, "peer", n, errors[at])


JOBS = {
    "distinct": Job(
        "Distinct items: error, bias and bounds by size",
        f"{REGISTERS} registers each; errors are proportional to 1 ÷ √registers. The standard error is the one that "
        "theory states for large counts, that of a martingale its own. Beyond 1,024 items a register the states are "
        f"simulated. Bounds are judged from {10 * REGISTERS:,} items on: below, most counts are exact and so are their "
        "bounds.",
        distinct,
        (Plot(RMSE, "n", linear=True), Plot(BIAS, "n", linear=True), Plot(COVERAGE, "n", linear=True)),
    )
}
