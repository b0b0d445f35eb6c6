"""What a figure is: a value with the interval that its replicas leave, beside theory, the limit and the goal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np

Role = Literal["ours", "peer", "exact"]
Z = NormalDist().inv_cdf(0.975)


class Value(NamedTuple):
    """A measured value, its 95 % confidence interval, and from how many independent sketches it comes."""

    value: float
    low: float
    high: float
    replicas: int

    def scaled(self, factor: float) -> Value:
        """Give it in another unit."""
        return Value(self.value * factor, self.low * factor, self.high * factor, self.replicas)


def mean(values: Any) -> Value:
    """Give the mean of independent values."""
    values = np.asarray(values, float)
    centre = float(values.mean())
    spread = Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Value(centre, centre - spread, centre + spread, len(values))


def root_mean_square(errors: Any) -> Value:
    """Give the root of the mean square of independent errors."""
    square = mean(np.asarray(errors, float) ** 2)
    return Value(*(math.sqrt(max(0.0, bound)) for bound in square[:3]), square.replicas)


def share(hits: int, trials: int, replicas: int | None = None) -> Value:
    """Give the share of hits in independent trials, with Wilson's interval."""
    p, z = hits / trials, Z * Z / trials
    centre, spread = (p + z / 2) / (1 + z), Z * math.sqrt(p * (1 - p) / trials + z / trials / 4) / (1 + z)
    low, high = 0.0 if hits == 0 else centre - spread, 1.0 if hits == trials else centre + spread
    return Value(p, low, high, trials if replicas is None else replicas)


def largest(values: Any) -> Value:
    """Give the largest of independent values; what a bound must never be below. No interval: it is what was seen."""
    most = float(np.max(values))
    return Value(most, most, most, len(values))


@dataclass(frozen=True)
class Goal:
    """What a value should be, both ends inclusive."""

    at_most: float = math.inf
    at_least: float = -math.inf

    def __str__(self) -> str:
        if self.at_least == -math.inf:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_most == math.inf else f"{self.at_least:g} to {self.at_most:g}"

    def reached(self, value: float) -> bool:
        """Judge the measured value itself, not its interval."""
        return self.at_least <= value <= self.at_most


@dataclass(frozen=True)
class Row:
    """One figure.

    Parameters
    ----------
    measure
        What was measured; rows of one job and measure are in one table and one plot.
    stream, n, nbytes
        Of what stream, of how many items (distinct ones, where that is the question), in how many bytes.
    theory, limit
        What theory says that the value is, and below what no sketch can be, if known.
    setting
        What else there is to know.
    """

    name: str
    role: Role
    measure: str
    value: Value
    stream: str = ""
    n: int | None = None
    nbytes: float | None = None
    theory: float | None = None
    limit: float | None = None
    goal: Goal | None = None
    setting: str = ""

    @property
    def to_theory(self) -> float | None:
        """How many times theory's value."""
        return self.value.value / self.theory if self.theory else None

    @property
    def to_limit(self) -> float | None:
        """How many times the limit."""
        return self.value.value / self.limit if self.limit else None


@dataclass(frozen=True)
class Scale:
    """How much is measured: `many` replicas where they are cheap, `few` where each is a long stream."""

    many: int = 10_000
    some: int = 1000
    few: int = 40
    items: int = 10**6  # of a stream that is really fed
    objects: int = 10**5  # of one that is fed one item a call
    longest: int = 10**9
    quick: bool = False


SCALES = {
    "full": Scale(),
    "quick": Scale(1000, 100, 8, 10**5, 10**4, 10**7, quick=True),
    "tiny": Scale(40, 10, 3, 10**4, 10**3, 10**5, quick=True),  # for the tests: does it run, and is it sane?
}


@dataclass(frozen=True)
class Plot:
    """What of a measure's rows is drawn: against `x`, a line for each contender, of the stream `only` if given."""

    measure: str
    x: Literal["n", "nbytes", "limit"]
    linear: bool = False
    only: str | None = None


@dataclass(frozen=True)
class Job:
    """A question put to several sketches. `run` gives rows, and remarks in words about what could not be measured."""

    title: str
    about: str
    run: Callable[[Scale], Iterator[Row | str]]
    plots: Sequence[Plot] = ()
