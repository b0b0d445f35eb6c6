"""The most likely overlap of two streams, given what FlajoletMartin's registers or tokens have seen of each.

Items are in the first stream only, in the second only, or in both. The idea of three Poisson rates and one likelihood:
O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, section 8; here for every
kind of register.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.core.estimate import Estimate, Overlap
from sketches.core.likelihood import lognormal_factor, most_likely
from sketches.core.registers import TOKEN_BITS

__all__ = ["most_likely_overlap", "overlap_of_registers", "overlap_of_tokens"]

Array = npt.NDArray[np.float64]
UNKNOWN = 2
ONLY_FIRST, ONLY_SECOND, BOTH = range(3)
NEGLIGIBLE = 1e-9  # of all items


def _probabilities(rates: Array, q: Array) -> tuple[Array, Array]:
    """Give the probabilities of what two registers know of a value of share q, and their derivatives by the rates.

    A register has seen it unless it missed the items of its own stream and those of both. Rows 0 to 3 are for both
    registers: unseen by either, by the first, by the second, seen by both; 4 to 7 for one of them, the other not
    knowing: unseen by the first, seen; unseen by the second, seen.
    """
    missed, hit = np.exp(-np.outer(rates, q)), -np.expm1(-np.outer(rates, q))
    x, y, z = missed
    a, b, c = hit
    nothing = np.zeros_like(q)
    p = np.array([x * y * z, x * b * z, a * y * z, c + a * b * z, x * z, c + a * z, y * z, c + b * z])
    gains = q * np.array(
        [
            [-p[0], -p[1], p[0], p[1], -p[4], p[4], nothing, nothing],
            [-p[0], p[0], -p[2], p[2], nothing, nothing, -p[6], p[6]],
            [-p[0], -p[1], -p[2], p[0] + p[1] + p[2], -p[4], p[4], -p[6], p[6]],
        ]
    )
    return np.maximum(p, 1e-300), gains


def _information(rates: Array, q: Array, seen: Array) -> Array:
    """Give the Fisher information about the rates, of as many pairs as know of each value what they know."""
    p, gains = _probabilities(rates, q)
    known = np.repeat([seen[:4].sum(0), seen[4:6].sum(0), seen[6:].sum(0)], [4, 2, 2], axis=0)
    information: Array = np.einsum("ikv,jkv,kv->ij", gains, gains, known / p)
    return information


def _climb(rates: Array, q: Array, seen: Array) -> Array:
    """Find the most likely rates by Fisher's scoring: Newton's method with the expected second derivatives."""

    def likelihood(rates: Array) -> float:
        return float((seen * np.log(_probabilities(rates, q)[0])).sum())

    now = likelihood(rates)
    for _ in range(200):
        p, gains = _probabilities(rates, q)
        gradient = (gains * (seen / p)).sum((1, 2))
        step = np.linalg.lstsq(_information(rates, q, seen), gradient, rcond=None)[0]
        before, size = now, 1.0
        while True:  # never beyond a tenth of a rate, so that none reaches 0, and back if that was too far
            following = np.maximum(rates + size * step, rates / 10)
            now = likelihood(following)
            if now >= before - 1e-12 * abs(before) or size < 1e-9:  # as exactly as it can be told
                break
            size /= 2
        moved = np.abs(following - rates).max()
        rates = following
        if moved <= 1e-10 * rates.sum():
            break
    return rates


def overlap_of_tokens(first: npt.NDArray[np.uint32], second: npt.NDArray[np.uint32], confidence: float) -> Overlap:
    """Estimate from tokens: 2**26 whole bitmaps of each stream, which know of every value whether it was seen."""
    common, either = np.intersect1d(first, second, assume_unique=True), np.union1d(first, second)
    sets = [np.bincount(tokens & 63, minlength=65 - TOKEN_BITS) for tokens in (common, first, second, either)]
    both, ours, theirs, any_of_them = sets
    pairs = np.zeros((len(both), 3, 3), np.int64)
    pairs[:, 0, 0] = (1 << TOKEN_BITS) - any_of_them
    pairs[:, 0, 1], pairs[:, 1, 0], pairs[:, 1, 1] = theirs - both, ours - both, both
    counts = [most_likely(seen, (1 << TOKEN_BITS) - seen, TOKEN_BITS, 0)[0] for seen in (ours, theirs, any_of_them)]
    q = bounds.flajolet_martin_shares(TOKEN_BITS, 0)
    return most_likely_overlap(pairs, q, (counts[0], counts[1], counts[2]), 1 << TOKEN_BITS, lambda _: 0.0, confidence)


def overlap_of_registers(
    pairs: npt.NDArray[np.int64],
    start: tuple[float, float, float],
    precision: int,
    resolution: int,
    window: int,
    confidence: float,
) -> Overlap:
    """Estimate from what pairs of registers know: see `most_likely_overlap`."""

    def bias(rate: float) -> float:
        return bounds.flajolet_martin_bias(rate, precision, resolution, window)

    q = bounds.flajolet_martin_shares(precision, resolution)
    return most_likely_overlap(pairs, q, start, 1 << precision, bias, confidence)


def _unknown(union: float, confidence: float) -> Overlap:
    """Say what is known of two empty streams (0), or where all registers are full (infinity)."""

    def number(value: float) -> Estimate:
        return Estimate(value, lower=0.0, upper=union, confidence=confidence, standard_error=union)

    jaccard = Estimate(math.nan, lower=0.0, upper=1.0, confidence=confidence)
    part = number(math.nan if union else 0.0)
    return Overlap(number(union), part, part, part, jaccard)


def most_likely_overlap(
    pairs: npt.NDArray[np.int64],
    q: Array,
    start: tuple[float, float, float],
    m: float,
    bias: Callable[[float], float],
    confidence: float,
) -> Overlap:
    """Estimate from what pairs of registers know.

    Parameters
    ----------
    pairs
        For each value, how many pairs know 0 (unseen), 1 (seen) or 2 (not known) of it, the first register's knowledge
        by rows and the second's by columns.
    q
        The share of a register's items that have the value.
    start
        The most likely numbers of items a register in the first stream, the second and the union.
    m, bias
        The number of registers, and the share by which the most likely union is too large, by its rate.
    confidence
        Of the bounds.
    """
    if max(start) in (0.0, math.inf):
        return _unknown(max(start), confidence)
    shares, octave = np.unique(q, return_inverse=True)
    rows = [(0, 0), (0, 1), (1, 0), (1, 1), (0, UNKNOWN), (1, UNKNOWN), (UNKNOWN, 0), (UNKNOWN, 1)]
    seen = np.array([np.bincount(octave, pairs[:, a, b], len(shares)) for a, b in rows])
    first, second, union = start
    common = min(max(first + second - union, 0.0), first, second)
    rates = np.maximum([first - common, second - common, common], 1e-3 * max(union, first, second))
    rates = _climb(rates, shares, seen)
    rates[rates <= NEGLIGIBLE * rates.sum()] = 0.0
    scale = m / (1 + bias(float(rates.sum())))

    total = float(rates.sum())
    quantile = -NormalDist().inv_cdf((1 - confidence) / 2)

    def covariance(rates: Array) -> Array:
        """Give that of the most likely rates; that numbers of items would vary if they were Poisson's is no error.

        At 0 the information says too much, as it takes for granted rare values that have yet to be seen. So no rate is
        taken to be below its own standard error.
        """
        floored = np.maximum(rates, NEGLIGIBLE * total)
        for _ in range(4):
            information = _information(floored, shares, seen)
            information *= information.max() > 1e-290  # registers as good as full tell nothing; no inverse overflows
            values, vectors = np.linalg.eigh(information)
            told = values > 1e-13 * values[-1]  # along the others, the registers tell nothing
            spread: Array = vectors[:, told] / values[told] @ vectors[:, told].T
            spread[np.diag_indices(3)] -= floored / m
            least = np.sqrt(np.maximum(np.diag(spread), 0.0))
            if (floored >= least).all():
                break
            floored = np.maximum(floored, least)
        return spread

    def deviation(rates: Array, slope: Array) -> float:
        return math.sqrt(max(float(slope @ covariance(rates) @ slope), 0.0))

    spread = covariance(rates) + np.diag(np.maximum(rates, 0.5 / m)) / m

    def estimate(value: Callable[[Array], float], slope: Callable[[Array], Array], unit: float) -> Estimate:
        """Bound by the values that are not refuted, as Wilson's interval does.

        They are no further from the most likely one than `quantile` of the standard errors that they themselves would
        have, at the rates that are then most likely, to first order.
        """
        here, along = value(rates), spread @ slope(rates)
        variance = float(slope(rates) @ along)

        def then(distance: float) -> Array:
            return np.maximum(rates + distance / variance * along, 0.0)

        def refuted(distance: float) -> bool:
            there = then(distance)
            return abs(value(there) - here) > quantile * deviation(there, slope(there))

        def last(distance: float) -> float:
            good, bad = 0.0, distance
            while not refuted(bad):
                if value(then(2 * bad)) == value(then(bad)):  # at the border
                    return value(then(bad))
                good, bad = bad, 2 * bad
            for _ in range(14):
                middle = (good + bad) / 2
                good, bad = (good, middle) if refuted(middle) else (middle, bad)
            return value(then(good))

        step = quantile * math.sqrt(variance)
        return Estimate(
            unit * here,
            lower=unit * min(last(-step), here),
            upper=unit * max(last(step), here),
            confidence=confidence,
            standard_error=unit * deviation(rates, slope(rates)),
        )

    def jaccard(r: Array) -> float:
        return float(r[BOTH] / r.sum())

    def slope_of_jaccard(r: Array) -> Array:
        return np.array([-r[BOTH], -r[BOTH], r.sum() - r[BOTH]]) / float(r.sum()) ** 2

    error = deviation(rates, np.ones(3))
    factor = lognormal_factor(error / total, confidence)
    ends = {"lower": scale * total / factor, "upper": scale * total * factor}
    union = Estimate(scale * total, confidence=confidence, standard_error=scale * error, **ends)
    both, only_first, only_second = (
        estimate(lambda r, i=i: float(r[i]), lambda _, i=i: np.eye(3)[i], scale)  # type: ignore[misc]
        for i in (BOTH, ONLY_FIRST, ONLY_SECOND)
    )
    return Overlap(union, both, only_first, only_second, estimate(jaccard, slope_of_jaccard, 1.0))
