"""How many items explain how many set bits: counts of a Bloom filter, of unions and of intersections."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from sketches.core.estimate import Estimate, Overlap

__all__ = ["Occupancy"]


def _crossing(holds: Callable[[float], bool], most: float) -> float:
    """Give where in [0, most] a condition begins to hold, to 50 bits."""
    low, high = 0.0, most
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class Occupancy:
    """What is known of the set bits of a filter before it is filled.

    Attributes
    ----------
    bits
        How many there are, all alike.
    unset
        The logarithm of the probability that an item leaves a given bit unset.
    pairs
        For each kind of pair that a given bit is in, their number, and the logarithm of the probability that an item
        leaves both bits unset. Pairs of which it does so independently are left out.
    """

    bits: int
    unset: float
    pairs: tuple[tuple[float, float], ...]

    def items(self, ones: int) -> float:
        """Give the number of items that makes so many set bits most likely: ln(unset share) / ln(unset by one)."""
        return math.inf if ones >= self.bits else math.log1p(-ones / self.bits) / self.unset + 0.0  # not -0.0

    def ones(self, items: float) -> float:
        """Give the expected number of set bits."""
        return -self.bits * math.expm1(items * self.unset)

    def items_a_bit(self, items: float) -> float:
        """Give by how many items the estimate grows with one more set bit."""
        return math.exp(-items * self.unset) / (self.bits * -self.unset)

    def interval(self, ones: int, confidence: float) -> tuple[float, float]:
        """Give the numbers of items that do not make so many or so few set bits too unlikely.

        As many as `ones` would have to lie more than z standard deviations, and half a bit, from their expectation;
        both depend on the number of items. The number of set bits is nearly normal (Kolchin, Sevast'yanov and
        Chistyakov, "Random Allocations", 1978), which the estimate is not in a filter almost full.
        """
        z = NormalDist().inv_cdf((1 + confidence) / 2)

        def beyond(items: float, sign: int) -> bool:
            deviation = math.sqrt(self.spread(items)) / self.items_a_bit(items)
            return self.ones(items) + sign * (z * deviation + 0.5) >= ones

        most = -math.log(1e6 * self.bits) / self.unset  # all bits are set then, but with a probability of 1e-6
        lower = 0.0 if beyond(0.0, 1) else _crossing(lambda items: beyond(items, 1), most)
        return lower, math.inf if ones >= self.bits else _crossing(lambda items: beyond(items, -1), most)

    def spread(self, common: float) -> float:
        """Give the covariance of the numbers of items estimated from the bits of two filters with `common` items.

        That a bit r of one and a bit s of the other are unset has the probability q q' exp(n (P - 2 p)), where q and q'
        are the probabilities of either, p and P the logarithms `unset` and that of the pair, and n the common items. So
        the numbers of unset bits have covariance bits q q' sum(exp(n (P - 2 p)) - 1), the sum over all s, and the
        estimates, ln(unset) / p, that divided by bits^2 q q' p^2. One filter with n items is the case of its variance.
        """
        excess = sum(number * math.expm1(min(700.0, common * (both - 2 * self.unset))) for number, both in self.pairs)
        return max(0.0, excess) / (self.bits * self.unset**2)

    def count(self, ones: int, confidence: float) -> Estimate:
        """Estimate the number of items of a filter with so many set bits."""
        value = self.items(ones)
        lower, upper = self.interval(ones, confidence)
        error = math.inf if math.isinf(value) else math.sqrt(self.spread(value))
        lower, upper = min(lower, value), max(upper, value)
        return Estimate(value, lower=lower, upper=upper, confidence=confidence, standard_error=error)

    def overlap(self, first: int, second: int, union: int, confidence: float) -> Overlap:
        """Estimate how the items of two filters overlap, from the numbers of set bits of each and of both.

        Let n1, n2 and n be the three estimates: the intersection is n1 + n2 - n, and what only one has n - n2 or
        n - n1. The covariance of two of them is the `spread` g of the items that they have in common: g(n1) of n1 and
        n, g(n2) of n2 and n, g(intersection) of n1 and n2; the variances of differences and quotients follow.
        """
        one, other, both = (self.count(ones, confidence) for ones in (first, second, union))
        z = NormalDist().inv_cdf((1 + confidence) / 2)

        def estimate(value: float, variance: float, bit: float, most: float) -> Estimate:
            error = math.sqrt(max(0.0, variance))
            value = min(max(0.0, value), most)
            lower, upper = max(0.0, value - z * error - bit), min(value + z * error + bit, most)
            return Estimate(value, lower=lower, upper=upper, confidence=confidence, standard_error=error)

        if math.isinf(both):  # nothing is known of what is in both
            most = (min(one.upper, other.upper), one.upper, other.upper, 1.0)
            return Overlap._make([both, *(estimate(0.0, math.inf, 0.0, limit) for limit in most)])
        bit = 0.5 * self.items_a_bit(both)
        common = min(max(0.0, one + other - both), one, other)
        g, g1, g2, g12 = (self.spread(n) for n in (both, one, other, common))
        alone = estimate(both - other, g - g2, bit, one.upper), estimate(both - one, g - g1, bit, other.upper)
        intersection = estimate(common, g - g1 - g2 + 2 * g12, bit, min(one.upper, other.upper))
        if not both:
            nothing = Estimate(math.nan, lower=0.0, upper=1.0, confidence=confidence)
            return Overlap(both, intersection, *alone, nothing)
        ratio = (one + other) / both  # the index is this less 1
        variance = (g1 + g2 + 2 * g12 + ratio * ratio * g - 2 * ratio * (g1 + g2)) / both**2
        return Overlap(both, intersection, *alone, estimate(common / both, variance, bit / both, 1.0))
