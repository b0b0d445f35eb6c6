"""From counts of bins to the bins of ranks: the arithmetic of quantiles, apart from the sketch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sketches.core import bins
from sketches.core.estimate import Estimate, at_most

__all__ = ["Answers", "Located", "located", "numbers_of", "shaped"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Answers(NamedTuple):
    """Estimates and, where asked for, their bounds."""

    estimate: Floats
    lower: Floats = np.empty(0)
    upper: Floats = np.empty(0)


class Located(NamedTuple):
    """For each q its bin's number and count, whether those beside are empty, its rank in there (from 1), and bounds."""

    numbers: Integers
    counts: Integers
    alone: npt.NDArray[np.bool_]
    ranks: Integers
    lower: Floats
    upper: Floats


def located(
    numbers: Integers, counts: Integers, q: Floats, extremes: tuple[float, float], mantissa_bits: int
) -> Located:
    """Find the bins of some quantiles among those that are not empty, given the least and the largest number."""
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError(f"q is {q if q.ndim else q.item()}; numbers in [0, 1] are accepted")
    if not len(numbers):
        raise ValueError("there are no numbers, so that no quantile exists")
    cumulated = np.cumsum(counts)
    total = int(cumulated[-1])
    wanted = np.ceil(q * float(total))  # the float may exceed the total, so that it is no int64
    ranks = np.where(wanted >= float(total), total, np.clip(wanted, 1, at_most(total)).astype(np.int64))
    places = np.searchsorted(cumulated, ranks)
    lower, upper = bins.edges(numbers[places], mantissa_bits)
    minimum, maximum = extremes
    lower = np.where(ranks >= total, maximum, np.maximum(lower, minimum))
    upper = np.where(ranks <= 1, minimum, np.minimum(upper, maximum))
    alone = bins.alone(numbers, mantissa_bits)[places]
    return Located(numbers[places], counts[places], alone, ranks - (cumulated - counts)[places], lower, upper)


def numbers_of(name: str, value: Any) -> Floats:
    """Give an argument's numbers as float64, or raise ``TypeError``."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {value!r}; a number or an array of numbers is accepted")
    return array.astype(np.float64)


def shaped(answers: Answers, question: Any) -> Estimate | Floats:
    """Give an array for an array, an `Estimate` for a number."""
    if np.ndim(question):
        return answers.estimate
    return Estimate(float(answers.estimate), lower=float(answers.lower), upper=float(answers.upper))
