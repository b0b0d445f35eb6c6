"""Windows and decay: the errors are those of the sketches inside, of what the window covers and of decayed counts."""

import math

import numpy as np

from sketches import AMS, Decayed, FlajoletMartin, SlidingWindow


def test_distinct_counts_of_a_window_have_the_stated_error():
    # The mean of R squares of standard normal numbers has a standard error of sqrt(2/R) = 0.08, that of the numbers one
    # of sqrt(1/R) = 0.058. A window that drops its oldest pane too early, or too late, is off by 1,000 of 7,000 items:
    # by seven standard errors of 2.1 % each.
    replicas, pane = 300, 1000
    random = np.random.default_rng(1)
    errors = []
    for seed in range(replicas):
        window = SlidingWindow(FlajoletMartin(8, seed=seed), pane, 6)
        items, times = random.permutation(20_000), np.arange(20_000)
        for start in range(0, 20_000, 5000):
            window.update(items[start : start + 5000], time=times[start : start + 5000])
            count = window.merged().count()
        errors.append((count - 7 * pane) / count.standard_error)
    assert abs(np.mean(errors)) <= 5 * replicas**-0.5
    assert abs(np.mean(np.square(errors)) - 1) <= 5 * (2 / replicas) ** 0.5


def test_decayed_second_moments_have_the_stated_error():
    # A row's variance is (2 / w) (F2**2 - F4), of decayed counts f. The mean of R squares has a standard error of about
    # sqrt(2/R) = 0.063 (the errors of 256 counters are almost normal). Counts that do not decay, or twice as fast, have
    # moments several times as large or small, hundreds of standard errors away.
    replicas, width, half_life = 500, 256, 2000
    items, times = np.arange(20_000) * 7919 % 1000, np.arange(20_000)
    now = 20_700
    f = np.bincount(items, 2.0 ** ((times - now) / half_life))
    f2, f4 = (f**2).sum(), (f**4).sum()
    errors = []
    for seed in range(replicas):
        decayed = Decayed(AMS(width, 1, seed=seed), half_life)
        decayed.update(items, time=times)
        errors.append((decayed.second_moment(now) - f2) / math.sqrt(2 / width * (f2**2 - f4)))
    assert abs(np.mean(errors)) <= 5 * replicas**-0.5
    assert abs(np.mean(np.square(errors)) - 1) <= 5 * (2 / replicas) ** 0.5
