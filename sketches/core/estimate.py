"""A number that knows how far off it may be."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

__all__ = ["Estimate", "Overlap", "at_least", "at_most"]


def at_least(count: int) -> float:
    """Give the least float that is no smaller; beyond 2**53, not every integer is a float."""
    number = float(count)
    return number if number >= count else math.nextafter(number, math.inf)


def at_most(count: int) -> float:
    """Give the largest float that is no larger."""
    return -at_least(-count)


class Estimate(float):
    """An estimate with its bounds; otherwise an ordinary ``float``.

    Parameters
    ----------
    value
        The estimate.
    lower, upper
        The bounds: ``lower <= truth <= upper`` with probability `confidence` or more.
    confidence
        That probability; 1.0 where the bounds always hold.
    standard_error
        The standard deviation of the estimate around the truth; NaN where only bounds are known.

    Examples
    --------
    >>> distinct = Estimate(1000.0, lower=990.0, upper=1010.0, confidence=0.95, standard_error=5.0)
    >>> distinct + 1, distinct.lower <= distinct <= distinct.upper
    (1001.0, True)
    """

    __slots__ = ("confidence", "lower", "standard_error", "upper")

    lower: float
    upper: float
    confidence: float
    standard_error: float

    def __new__(
        cls,
        value: float,
        *,
        lower: float,
        upper: float,
        confidence: float = 1.0,
        standard_error: float = float("nan"),
    ) -> Estimate:
        """Make a float and attach the bounds."""
        self = super().__new__(cls, value)
        self.lower = float(lower)
        self.upper = float(upper)
        self.confidence = float(confidence)
        self.standard_error = float(standard_error)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("lower", "upper", "confidence", "standard_error")
        return _rebuild, (float(self), {name: getattr(self, name) for name in names})

    def __repr__(self) -> str:
        return (
            f"Estimate({float(self)!r}, lower={self.lower!r}, upper={self.upper!r}, confidence={self.confidence!r},"
            f" standard_error={self.standard_error!r})"
        )

    __str__ = float.__repr__


def _rebuild(value: float, options: dict[str, float]) -> Estimate:
    return Estimate(value, **options)


class Overlap(NamedTuple):
    """How two streams overlap, in distinct items.

    Attributes
    ----------
    union, intersection
        Items in one stream or both; items in both.
    only_self, only_other
        Items in the one stream and not in the other.
    jaccard
        The intersection divided by the union; NaN if both streams are empty.
    """

    union: Estimate
    intersection: Estimate
    only_self: Estimate
    only_other: Estimate
    jaccard: Estimate
