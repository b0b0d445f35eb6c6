"""FlajoletMartin's errors, divided by those that theory states, over replicas with random hashes."""

import numpy as np
import pytest

from benchmarks.simulate import states
from sketches import FlajoletMartin
from sketches.flajolet_martin import KINDS

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def counts(kind: str, precision: int, n: int, replicas: int, confidence: float = 0.95) -> list:
    """The estimates of sketches of n random hashes each.

    Of long streams 128 a register are drawn, all others simulated: that adds 1 / (4 * 128 * c**2) to the square of the
    relative error c / sqrt(m), 1.7 % at most (ell).
    """
    random = np.random.default_rng([n, precision, KINDS[kind].number])
    found = []
    for _ in range(replicas):
        ((_, sketch),) = states(lambda: FlajoletMartin(precision, kind), [n], random, 128 << precision)
        found.append(sketch.count(confidence))
    return found


@pytest.mark.parametrize(("kind", "replicas"), [("pcsa", 3000), ("hll", 2000), ("ull", 3000), ("ell", 12_000)])
def test_no_bias_where_the_correction_matters(kind, replicas):
    # With 16 registers the most likely count is too large by 1.9 % (pcsa), 6.3 % (hll), 2.7 % (ull) or 0.6 % (ell), and
    # an estimate's standard error is 16 %, 26 %, 19 % or 8.6 %: that bias is 6.5, 11, 7.7 or 8 standard errors of the
    # mean of so many replicas.
    n = 1000
    errors = np.array(counts(kind, 4, n, replicas)) / n - 1
    assert abs(errors.mean()) <= 5 * FlajoletMartin(4, kind).relative_error / replicas**0.5


@pytest.mark.parametrize(("kind", "n"), [("hll", 10), ("hll", 20), ("ull", 10), ("ell", 14), ("pcsa", 40)])
def test_no_bias_where_few_registers_have_few_items(kind, n):
    # Large counts' correction would take away too much here: 0.117, 0.065, 0.092, 0.043 and 0.045 standard errors, as
    # was seen. The mean of R = 10,000 estimates has a standard error of 0.01 of theirs, which they state themselves.
    replicas = 10_000
    found = counts(kind, 4, n, replicas)
    errors = np.array(found) - n
    assert abs(errors.mean()) <= 4 / replicas**0.5 * np.mean([count.standard_error for count in found])


@EVERY_KIND
@pytest.mark.parametrize("n", [100_000, 10**7, 10**9])
def test_large_counts_have_the_stated_error(kind, n):
    # The mean of R squares of standard normal numbers has a standard error of sqrt(2/R) = 0.063, that of the numbers
    # themselves one of sqrt(1/R) = 0.045. Values shifted by one would shift all counts by 19 % or more, nine times the
    # errors that are the unit here.
    replicas = 500
    sketch = FlajoletMartin(8, kind)
    errors = (np.array(counts(kind, 8, n, replicas)) / n - 1) / sketch.relative_error
    assert abs(errors.mean()) <= 5 * replicas**-0.5
    assert abs((errors**2).mean() - 1) <= 5 * (2 / replicas) ** 0.5


@EVERY_KIND
@pytest.mark.parametrize("factor", [1.01, 1.5, 4.0, 16.0])
def test_counts_after_the_tokens_have_the_stated_error(kind, factor):
    # Here errors are below those of large counts, and only each estimate's own standard error says so (that of a
    # Poisson number of items would be up to three times as large). Limits as above; standard errors that are
    # themselves estimates add a little.
    n, replicas = int(factor * (KINDS[kind].register_bytes << 8) * 3 / 16) + 1, 500
    found = counts(kind, 8, n, replicas)
    errors = np.array([(count - n) / count.standard_error for count in found])
    assert abs(errors.mean()) <= 5 * replicas**-0.5
    assert abs((errors**2).mean() - 1) <= 5 * (2 / replicas) ** 0.5


@EVERY_KIND
@pytest.mark.parametrize("n", [1, 10, 100, 1000, 10_000, 100_000, 10**9])
@pytest.mark.parametrize("confidence", [0.68, 0.95])
def test_bounds_hold_as_often_as_they_say(kind, n, confidence):
    # Of R = 300 replicas (1 - c) R miss on average, with a standard deviation of sqrt(R c (1 - c)).
    replicas = 300
    found = counts(kind, 8, n, replicas, confidence)
    misses = sum(not count.lower <= n <= count.upper for count in found)
    expected, deviation = replicas * (1 - confidence), (replicas * confidence * (1 - confidence)) ** 0.5
    assert misses <= expected + 5 * deviation
    if n >= 1000:  # no tokens, which would make them exact: then bounds must not be wider than needed either
        assert misses >= max(1, expected - 5 * deviation)


def test_bounds_where_tokens_collide():
    # 1,000 to 20,000 tokens hide 0.002 to 1 items: whole numbers, where a normal distribution's bounds would be wrong.
    replicas = 100
    for n in (1000, 5000, 7000, 10_000, 20_000):
        found = counts("ell", 17, n, replicas, confidence := 0.9)
        misses = sum(not count.lower <= n <= count.upper for count in found)
        assert misses <= replicas * (1 - confidence) + 5 * (replicas * confidence * (1 - confidence)) ** 0.5
        assert all(abs(count - n) < 6 for count in found)


@EVERY_KIND
@pytest.mark.parametrize("n", [300, 1000, 100_000])
def test_martingales_have_the_stated_error(kind, n):
    # Mean and mean square of R errors, in the standard errors that the counts themselves state: 1 / sqrt(R) and
    # sqrt(2 / R) are the standard errors of these, as above. Theory holds for large counts; so does "at most".
    replicas, random = 400, np.random.default_rng([n, KINDS[kind].number])
    found = []
    for _ in range(replicas):
        sketch = FlajoletMartin(8, kind, martingale=True)
        sketch._insert(random.integers(0, 2**64, n, np.uint64), None)
        found.append(sketch.count())
    stated = np.mean([count.standard_error**2 for count in found]) ** 0.5
    errors = (np.array(found) - n) / stated
    assert abs(errors.mean()) <= 5 * replicas**-0.5
    if n < 1000 and kind == "pcsa":  # tokens: errors are a few hidden items
        return
    assert abs((errors**2).mean() - 1) <= 5 * (2 / replicas) ** 0.5
    misses = sum(not count.lower <= n <= count.upper for count in found)
    assert 1 <= misses <= 0.05 * replicas + 5 * (replicas * 0.05 * 0.95) ** 0.5
    if n == 100_000:
        assert stated == pytest.approx(n * sketch.relative_error, rel=0.03)
