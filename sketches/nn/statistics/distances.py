"""How far apart are two streams of numbers? Distances between two `Quantiles`, with bounds that always hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sketches.core.estimate import Estimate
from sketches.quantiles import Quantiles

__all__ = ["chance_distance", "kolmogorov_smirnov", "wasserstein"]

Floats = npt.NDArray[np.float64]
UNKNOWN = Estimate(float("nan"), lower=float("nan"), upper=float("nan"))


def kolmogorov_smirnov(one: Quantiles, other: Quantiles) -> Estimate:
    """Give the largest difference D between two empirical distribution functions F and G, over the finite values.

    At the edges of bins F and G are known exactly, which is the lower bound and the estimate. Inside a bin both only
    grow, so there ``F - G`` is at most F at its end minus G at its start; the largest of these is the upper bound:
    ``lower <= D <= upper``, always, and ``upper - lower`` is at most the largest share that one bin holds.

    Returns
    -------
    Estimate
        NaN if a sketch holds no finite values.

    Raises
    ------
    ValueError
        If the sketches have different relative errors.

    Examples
    --------
    Two halves of 1 to 100: no number of the first is above one of the second.

    >>> low, high = Quantiles(), Quantiles()
    >>> low.update(range(1, 51))
    >>> high.update(range(51, 101))
    >>> found = kolmogorov_smirnov(low, high)
    >>> found.lower, found.upper
    (1.0, 1.0)
    """
    lower, upper, (before, after) = _common(one, other)
    if not before.any() or not after.any():
        return UNKNOWN
    f, g = np.cumsum(before) / before.sum(), np.cumsum(after) / after.sum()
    at_edges = float(np.abs(f - g).max())
    start_f, start_g = np.append(0.0, f[:-1]), np.append(0.0, g[:-1])
    inside = np.maximum(f - start_g, g - start_f)[upper > lower]  # one number: both grow at the same place
    most = max(at_edges, float(inside.max(initial=0.0)))
    return Estimate(at_edges, lower=at_edges, upper=min(most, 1.0))


def wasserstein(one: Quantiles, other: Quantiles) -> Estimate:
    """Give the distance W₁ between two empirical distributions: the mean way to move the one into the other.

    The estimate is that of the distributions whose values lie in the middle of their bins. Moving them there and back
    costs at most the mean distance of a bin's middle from its ends, which is added and subtracted:
    ``lower <= W₁ <= upper``, always, and both lie within ``relative_error * (E|x| + E|y|)`` of the estimate, but for
    numbers of magnitudes below 2**-1022.

    Returns
    -------
    Estimate
        NaN if a sketch holds no finite values.

    Raises
    ------
    ValueError
        If the sketches have different relative errors.
    """
    lower, upper, counts = _common(one, other)
    if not counts.any(axis=1).all():
        return UNKNOWN
    shares = counts / counts.sum(axis=1, keepdims=True)
    middles = lower / 2 + upper / 2
    with np.errstate(over="ignore", invalid="ignore"):
        f, g = np.cumsum(shares, axis=1)[:, :-1]
        distance = float(np.abs(f - g) @ np.diff(middles))
        slack = float(shares.sum(axis=0) @ (upper / 2 - lower / 2))
        slack += distance * 1e-12  # of rounding
    return Estimate(distance, lower=max(distance - slack, 0.0), upper=distance + slack)


def chance_distance(samples: tuple[int, int], confidence: float = 0.99) -> float:
    """Give what the Kolmogorov–Smirnov distance of two streams from one source stays below by chance.

    Let the samples of both streams be independent draws (a sample: all units' values for one input, which may depend on
    each other in any way). Then ``D <= chance_distance`` with probability `confidence` or more.

    The proof: picking one unit of each sample at random makes n independent numbers, whose distance D' from the source
    obeys ``P(D' > d) <= 2 exp(-2 n d²)`` (P. Massart, "The tight constant in the Dvoretzky–Kiefer–Wolfowitz
    inequality", Annals of Probability 18, 1990). The stream's own distribution is the mean of theirs over the picks, so
    by Jensen's inequality ``E exp(λ D²) <= E exp(λ D'²) <= (1 + c) / (1 - c)`` with ``λ = 2 n c``. With c = 0.9,
    ``P(D > d) <= 19 exp(-1.8 n d²)``; each stream gets half of ``1 - confidence``, and the distances add.

    Parameters
    ----------
    samples
        Of each stream.
    confidence
        In (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; a number in (0, 1) is accepted")
    if min(samples) < 1:
        return float("nan")
    logarithm = np.log(38 / (1 - confidence)) / 1.8
    return float(min(sum(np.sqrt(logarithm / count) for count in samples), 1.0))


def _common(one: Quantiles, other: Quantiles) -> tuple[Floats, Floats, Floats]:
    """Give the edges of the finite bins that either fills, and the counts of both in them: (2, bins)."""
    if one.relative_error != other.relative_error:
        raise ValueError(f"the relative errors are {one.relative_error} and {other.relative_error}; equal are accepted")
    pairs = [sketch.bins() for sketch in (one, other)]
    numbers = np.unique(np.concatenate([found for found, _ in pairs]))
    lower, upper = one.edges(numbers)
    counts = np.zeros((2, len(numbers)))
    for row, (found, count) in zip(counts, pairs, strict=True):
        row[np.searchsorted(numbers, found)] = count
    finite = np.isfinite(lower)
    return lower[finite], upper[finite], counts[:, finite]
