"""From times to ratios and goals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.speed.contender import Contender, Goal, Role


def facts_of(job: str, contender: Contender, state: Any, result: Any) -> dict[str, Any]:
    """Give what the report needs to know of a contender, as JSON has it."""
    return {
        "job": job,
        "name": contender.name,
        "column": contender.column,
        "x": contender.x,
        "role": contender.role,
        "items": contender.items,
        "setting": contender.setting,
        "nbytes": contender.size(state) if contender.size else None,
        "error": contender.error(state, result) if contender.error else "",
        "rivals": contender.rivals,
        "goals": [asdict(goal) for goal in contender.goals],
    }


def times(ratio: float) -> str:
    """Write a ratio."""
    return f"{ratio:.2f}×" if ratio >= 0.1 else f"{ratio:.2g}×"


@dataclass(frozen=True)
class Verdict:
    """A goal, and what was measured."""

    goal: str
    measured: str
    reached: bool


@dataclass
class Row:
    """A contender's line in the table; times are in ns an item."""

    job: str
    name: str
    column: str
    x: float | None
    role: Role
    items: int
    setting: str
    nbytes: int | None
    error: str
    rivals: Sequence[str] | None
    ns: float
    speedup: float | None = None  # how many times faster than the best peer
    floors: float | None = None  # how many times the floor's time
    verdicts: list[Verdict] = field(default_factory=list)


def rows_of(measured: Iterable[tuple[dict[str, Any], float]]) -> list[Row]:
    """Give the table of (facts, ns an item), in the same order."""
    facts, times = zip(*measured, strict=True)
    goals = [[Goal(**goal) for goal in fact["goals"]] for fact in facts]
    rows = [
        Row(**{k: v for k, v in fact.items() if k != "goals"}, ns=ns) for fact, ns in zip(facts, times, strict=True)
    ]
    for row, wanted in zip(rows, goals, strict=True):
        if row.role == "ours":
            peer, floor = (_rival(rows, row, role) for role in ("peer", "floor"))
            row.speedup = peer.ns / row.ns if peer else None
            row.floors = row.ns / floor.ns if floor else None
        row.verdicts = [_judge(rows, row, goal) for goal in wanted if _rival(rows, row, goal.against)]
    return rows


def _rival(rows: list[Row], row: Row, against: str) -> Row | None:
    """Find the fastest of a role, or the one of that name, in the same job and column."""
    name, _, column = against.partition(" | ")
    found = [r for r in rows if r.job == row.job and r.column == (column or row.column)]
    if name not in ("peer", "floor"):
        found = [r for r in found if r.name == name]
    else:
        found = [r for r in found if r.role == name]
        if name == "peer" and row.rivals is not None:
            found = [r for r in found if r.name in row.rivals]
    return min(found, key=lambda r: r.ns, default=None)


def _judge(rows: list[Row], row: Row, goal: Goal) -> Verdict:
    rival = _rival(rows, row, goal.against)
    assert rival is not None  # noqa: S101  # the caller looked
    mine, theirs = (row.nbytes, rival.nbytes) if goal.quantity == "bytes" else (row.ns, rival.ns)
    if not mine or not theirs:
        raise ValueError(f"the goal {goal} of {row.name} has nothing to compare")
    whom = {"peer": f"best peer, {rival.name}", "floor": "floor"}.get(goal.against, goal.against.replace(" | ", " at "))
    if goal.faster is not None:
        return Verdict(f"≥ {goal.faster:g}× faster than {whom}", times(theirs / mine), theirs / mine >= goal.faster)
    if goal.at_most is None:
        raise ValueError(f"the goal {goal} of {row.name} wants nothing")
    return Verdict(
        f"≤ {goal.at_most:g}× the {goal.quantity} of {whom}", times(mine / theirs), mine / theirs <= goal.at_most
    )
