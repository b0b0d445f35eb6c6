"""Accuracy to size and back: the formulas behind every constructor and every stated error, each with its source."""

from __future__ import annotations

import math

__all__ = [
    "check_fraction",
    "check_integer",
    "count_min_epsilon",
    "count_min_shape",
    "counter_table_bytes",
    "lossy_counting_entries",
    "lossy_counting_width",
    "space_saving_share",
]


def check_fraction(name: str, value: float) -> float:
    """Raise unless 0 < value < 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}; a number in (0, 1) is accepted")
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; a number in (0, 1) is accepted")
    return float(value)


def check_integer(name: str, value: int, low: int, high: int) -> int:
    """Raise unless low <= value <= high."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}; an integer in [{low}, {high}] is accepted")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; an integer in [{low}, {high}] is accepted")
    return value.__index__()


# Count-Min (Cormode and Muthukrishnan 2005, Theorem 1): a row's excess has expectation at most N / width, so by Markov
# P(excess > epsilon N) <= 1 / (width epsilon) in one row and the power depth of it in the least of all rows.


def count_min_epsilon(width: int, depth: int, delta: float) -> float:
    """Give epsilon such that estimate <= truth + epsilon * N with probability 1 - delta: delta^(-1/depth) / width."""
    return math.pow(delta, -1 / depth) / width


def count_min_shape(epsilon: float, delta: float) -> tuple[int, int]:
    """Give the (width, depth) of fewest counters with estimate <= truth + epsilon * N at probability 1 - delta."""
    shapes = [(math.ceil(delta ** (-1 / depth) / epsilon), depth) for depth in range(1, 17)]
    return min(shapes, key=math.prod)


# SpaceSaving and LossyCounting: the proofs stand where the entries are dropped, in cython_ext/include/counter_table.h.


def counter_table_bytes(capacity: int) -> int:
    """Give the memory of a counter table with that many slots, without the items: 36 bytes a slot, and the index."""
    return 36 * capacity + 4 * (1 << (3 * capacity - 1).bit_length())


def space_saving_share(k: int) -> float:
    """Give the share of the total by which a count may be off: 1 / (k - ceil(k/8) + 1), below 8/7 / k."""
    return 1 / (k - (k + 7) // 8 + 1)


def lossy_counting_width(epsilon: float) -> int:
    """Give the bucket width ceil(1 / epsilon) (Manku and Motwani 2002, section 4.2)."""
    width = math.ceil(1 / epsilon)
    return width - 1 if 1 / (width - 1) <= epsilon else width  # the division may have been rounded up


def lossy_counting_entries(epsilon: float, total: int) -> float:
    """Give the most entries of LossyCounting: width * (1 + ln(1 + total / width)).

    With B buckets, the last one unfinished, it is width * (1 + 1/2 + ... + 1/B) (Manku and Motwani 2002, theorem 4.2),
    and B is at most 1 + total / width.
    """
    width = lossy_counting_width(epsilon)
    return width * (1 + math.log1p(total / width))
