"""What is timed: jobs, the contenders at each, and the goals that ours should reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.speed.streams import Streams

Role = Literal["ours", "peer", "exact", "floor"]


@dataclass(frozen=True)
class Goal:
    """A ratio wanted; exactly one of `faster` and `at_most` is given.

    Parameters
    ----------
    against
        "peer" or "floor": the fastest of that role in the job; else a contender's name, in the column of this one or,
        as "name | column", in another.
    faster
        At least so many times faster.
    at_most
        At most so many times the other's time, or bytes.
    """

    against: str
    faster: float | None = None
    at_most: float | None = None
    quantity: Literal["time", "bytes"] = "time"


@dataclass(frozen=True)
class Contender:
    """One way to do a job. Only `run` is timed, each time on a state that `prepare` has just made.

    Parameters
    ----------
    items
        The time is divided by it.
    size
        The bytes of a state.
    error
        The answer against the truth, in words, from the state and from what `run` gave.
    setting
        What differs from the job's common setting.
    rivals
        The names of the peers to compare with, if not all of the job.
    column, x
        Where the contender stands in the job's table and plot, if the same one runs at several sizes.
    repeats
        Runs a value: more than one where a single one is too short for a clock.
    wall
        Whether to read the clock on the wall instead of the processor's, because several threads are to run.
    """

    name: str
    role: Role
    items: int
    prepare: Callable[[], Any]
    run: Callable[[Any], Any]
    size: Callable[[Any], int] | None = None
    error: Callable[[Any, Any], str] | None = None
    setting: str = ""
    goals: tuple[Goal, ...] = ()
    rivals: tuple[str, ...] | None = None
    column: str = ""
    x: float | None = None
    repeats: int = 1
    wall: bool = False


@dataclass(frozen=True)
class Scale:
    """How much data: the issue's sizes, or smaller ones for a quick look."""

    items: int = 10**7
    many: int | None = 10**8
    strings: int = 5 * 10**6
    objects: int = 10**6  # items for whoever takes one Python object a call
    slow: int = 10**4  # items for whoever is written in Python
    parts: int = 10**4  # items of each of the sketches to merge
    lengths: tuple[int, ...] = (10**4, 10**5, 10**6, 10**7, 10**8)


SCALES = {
    "full": Scale(),
    "quick": Scale(10**6, None, 5 * 10**5, 2 * 10**5, 10**3, 10**3, (10**4, 10**5, 10**6)),
    "tiny": Scale(10**4, None, 10**3, 10**3, 100, 100, (10**3, 10**4)),  # for the tests: does it run at all?
}


@dataclass(frozen=True)
class Job:
    """A job, and who competes at it; `build` may give none where the scale is too small for it."""

    title: str
    build: Callable[[Streams, Scale], list[Contender]]
    axis: str = ""  # what x is, if there is a plot
