"""What a job gives: figures, one a row, and how they are judged, summed up over seeds, kept and drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from benchmarks.accuracy.measure import Goal

__all__ = ["Benchmark", "Goal", "Job", "Plot", "Row", "load", "save", "together", "verdict"]

Role = Literal["ours", "peer", "exact", "known"]  # exact: what is compared with; known: from the literature


@dataclass(frozen=True)
class Row:
    """One figure.

    Parameters
    ----------
    measure
        What was measured, with its unit; rows of one job and measure are in one table and one plot.
    value, spread, runs
        The figure; of one run, or the mean of several with their standard deviation.
    where
        On what: a network, a model and its batch.
    x
        Where it stands in the plot: the percentage of weights kept, a batch, a length.
    seed
        Of the run; rows that differ in nothing but seed and value are summed up.
    """

    name: str
    role: Role
    measure: str
    value: float
    where: str = ""
    x: float | None = None
    goal: Goal | None = None
    setting: str = ""
    seed: int | None = None
    spread: float | None = None
    runs: int = 1


@dataclass(frozen=True)
class Plot:
    """What of a measure's rows is drawn against `x`, a line for each contender, a plot for each `where`."""

    measure: str
    x: str
    log_x: bool = True
    log_y: bool = True


@dataclass(frozen=True)
class Job:
    """A question. `run` gets whether to be quick, and gives rows, and remarks about what could not be measured.

    Jobs of the same title share a chapter of the page, so that seeds may run at the same time; those that time
    something run `alone`, with all processors. One that `repeats` another with another seed is left out of quick runs.
    """

    title: str
    about: str
    run: Callable[[bool], Iterator[Row | str]]
    plots: Sequence[Plot] = ()
    alone: bool = False
    repeats: bool = False


@dataclass(frozen=True)
class Benchmark:
    """What has jobs, and a page of them.

    Parameters
    ----------
    name
        Of its package, and of the folder and the page of its results.
    module
        Where its jobs are, by name, as JOBS.
    title, heading
        Of the page.
    """

    name: str
    module: str
    title: str
    heading: str

    def jobs(self) -> dict[str, Job]:
        """Give the jobs by name."""
        found: dict[str, Job] = import_module(self.module).JOBS
        return found


def together(rows: Sequence[Row]) -> list[Row]:
    """Sum up the rows that differ in seed and value only: their mean and standard deviation.

    Where each seed has one row, whatever its `x`, that was measured, too, and is averaged; else rows of different `x`
    are points of a curve.
    """
    groups: dict[Row, list[Row]] = {}
    for row in rows:
        groups.setdefault(replace(row, value=0.0, seed=None, x=None), []).append(row)
    found = []
    for alike in groups.values():
        if len({row.seed for row in alike}) == len(alike):
            found.append(_mean(alike))
        else:
            found += [_mean([row for row in alike if row.x == x]) for x in dict.fromkeys(row.x for row in alike)]
    return found


def _mean(rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return replace(rows[0], seed=None)
    values, places = [row.value for row in rows], [row.x for row in rows if row.x is not None]
    x = fmean(places) if places else None
    return replace(rows[0], value=fmean(values), spread=stdev(values), runs=len(values), x=x, seed=None)


def save(path: Path, rows: Sequence[Row], remarks: Sequence[str], about: dict[str, Any]) -> None:
    """Keep what a job gave."""
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = {"about": about, "remarks": list(remarks), "rows": [asdict(row) for row in rows]}
    text = json.dumps(everything, indent=1, ensure_ascii=False, default=lambda number: number.item())  # of NumPy
    path.write_text(text + "\n")


def load(path: Path) -> tuple[list[Row], list[str], dict[str, Any]]:
    """Read it again."""
    content = json.loads(path.read_text())
    for row in content["rows"]:
        row["goal"] = row["goal"] and Goal(**row["goal"])
    return [Row(**row) for row in content["rows"]], content["remarks"], content["about"]


def verdict(row: Row) -> str:
    """Say whether the goal was reached."""
    if row.goal is None or math.isnan(row.value):
        return ""
    return "reached" if row.goal.reached(row.value) else "missed"
