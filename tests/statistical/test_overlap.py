"""Overlaps of FlajoletMartin sketches: errors beside those that the information states, over replicas."""

import numpy as np
import pytest

from sketches import FlajoletMartin
from sketches.flajolet_martin import KINDS

REPLICAS = 100


def overlaps(kind: str, precision: int, only_first: int, only_second: int, both: int) -> list:
    """Overlaps of streams of random hashes, by 95 %."""
    random = np.random.default_rng([only_first, only_second, both, precision, KINDS[kind].number])
    found = []
    for _ in range(REPLICAS):
        hashes = random.integers(0, 2**64, only_first + both + only_second, np.uint64)
        first, second = FlajoletMartin(precision, kind), FlajoletMartin(precision, kind)
        first._insert(hashes[: only_first + both], None)
        second._insert(hashes[only_first:], None)
        found.append(first.overlap(second))
    return found


@pytest.mark.parametrize(
    ("kind", "only_first", "only_second", "both"),
    [
        ("ell", 5000, 5000, 5000),
        ("ell", 5000, 5000, 150),  # inclusion and exclusion have twice the error here: four times its square
        ("ell", 20_000, 50, 5000),
        ("hll", 5000, 5000, 5000),
        ("ull", 20_000, 2000, 5000),
        ("pcsa", 5000, 9000, 5000),
    ],
)
def test_errors_are_as_stated(kind, only_first, only_second, both):
    # The mean of R errors has a standard error of 1 / sqrt(R), that of their squares one of sqrt(2 / R): 0.1 and 0.14
    # of what the sketches state. Of R bounds, 5 % miss: 5 of 100, with a standard deviation of 2.2.
    union = only_first + only_second + both
    truths = union, both, only_first, only_second, both / union
    for truth, found in zip(truths, zip(*overlaps(kind, 8, only_first, only_second, both), strict=True), strict=True):
        stated = np.mean([estimate.standard_error**2 for estimate in found]) ** 0.5
        errors = (np.array(found) - truth) / stated
        assert abs(errors.mean()) <= 0.5
        assert (errors**2).mean() <= 1 + 5 * 0.14
        assert sum(not estimate.lower <= truth <= estimate.upper for estimate in found) <= 5 + 5 * 2.2


@pytest.mark.parametrize(
    ("kind", "only_first", "only_second", "both"),
    [("ell", 5000, 5000, 0), ("ell", 20_000, 0, 5000), ("ell", 0, 0, 4000), ("hll", 5000, 5000, 0)],
)
def test_bounds_at_the_border(kind, only_first, only_second, both):
    # What is 0 cannot be estimated as less, so there only bounds are judged: misses as above.
    union = only_first + only_second + both
    truths = union, both, only_first, only_second, both / union
    for truth, found in zip(truths, zip(*overlaps(kind, 8, only_first, only_second, both), strict=True), strict=True):
        assert sum(not estimate.lower <= truth <= estimate.upper for estimate in found) <= 5 + 5 * 2.2
        if truth == 0:
            assert all(estimate.lower == 0 for estimate in found[:3])
            # and the upper one is not idle: within eight standard errors of a count of the union
            assert all(estimate.upper <= 8 * union * FlajoletMartin(8, kind).relative_error for estimate in found[:3])
