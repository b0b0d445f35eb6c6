"""How skewed, how alike? Errors of second moments and inner products over those that theory states; all bounds."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.measure import Goal, Job, Row, Scale, mean, root_mean_square, share
from benchmarks.accuracy.streams import Stream, available, counted, stream
from sketches import AMS

WIDTH, DEPTH = 128, 15  # narrow, so that the collisions that make the errors are not rare
ROW = "second moment of a row: RMSE ÷ theory"
INNER = "inner product of a row: RMSE ÷ theory"
BIAS = "second moment of a row: bias ÷ theory's standard error"
COVERAGE = "coverage of the 95 % bounds of "
ASKED = ("second_moment()", "inner()", "cosine()", "distance()")
MEDIAN = "second_moment(): RMSE ÷ F2"

Floats = npt.NDArray[np.float64]


def rows_of_squares(first: AMS, second: AMS) -> Floats:
    """Give each row's sum of products: each row is an independent estimate."""
    products: Floats = (first.counters.astype(float) * second.counters).sum(axis=1)
    return products


def shifted(data: Stream) -> Floats:
    """Give other counts for the same keys: those of the stream, each item's handed to the next one."""
    return np.roll(data.counts, 1)


def measured(name: str, data: Stream, sketches: int) -> Iterator[Row]:
    f, g = data.counts.astype(float), shifted(data).astype(float)
    f2, g2, fg = (f * f).sum(), (g * g).sum(), (f * g).sum()
    # Thorup and Zhang 2004; of two streams, Charikar, Chen and Farach-Colton 2002 for any two vectors.
    theory = sqrt(2 / WIDTH * (f2**2 - (f**4).sum()))
    theory_inner = sqrt((f2 * g2 + fg**2 - 2 * (f * f * g * g).sum()) / WIDTH)
    truths = dict(zip(ASKED, (f2, fg, fg / sqrt(f2 * g2), sqrt(((f - g) ** 2).sum())), strict=True))
    squares, products, medians, held = [], [], [], dict.fromkeys(ASKED, 0)
    for seed in range(sketches):
        here, there = AMS(WIDTH, DEPTH, seed=seed), AMS(WIDTH, DEPTH, seed=seed)
        here.update(data.keys, data.counts)
        there.update(data.keys, shifted(data))
        squares.append(rows_of_squares(here, here) - f2)
        products.append(rows_of_squares(here, there) - fg)
        moment = here.second_moment()
        medians.append(moment / f2 - 1)
        answers = moment, here.inner(there), here.cosine(there), here.distance(there)
        for (asked, truth), answer in zip(truths.items(), answers, strict=True):
            held[asked] += answer.lower <= truth <= answer.upper
    facts = {"stream": name, "n": int(data.counts.sum()), "nbytes": 8 * WIDTH * DEPTH}
    if theory:  # all but zero where one item is all there is
        errors = np.concatenate(squares) / theory
        yield Row("ours AMS", "ours", ROW, root_mean_square(errors), theory=1.0, goal=Goal(1.05), **facts)
        yield Row("ours AMS", "ours", BIAS, mean(errors), **facts)
    errors = np.concatenate(products) / theory_inner
    yield Row("ours AMS", "ours", INNER, root_mean_square(errors), theory=1.0, **facts)
    yield Row("ours AMS", "ours", MEDIAN, root_mean_square(medians), **facts)
    for asked in ASKED:
        covered = share(held[asked], sketches)
        yield Row("ours AMS", "ours", COVERAGE + asked, covered, theory=0.95, goal=Goal(0.97, 0.94), **facts)


def moments(scale: Scale) -> Iterator[Row | str]:
    names, absent = available()
    yield from absent
    for name in names:
        yield from measured(name, stream(name, scale.objects, 0), scale.some // 4)
    if scale.longest >= 10**9:
        yield from measured("Zipf 1.0, counts only", counted("Zipf 1.0", 10**9, 0), scale.some // 10)


JOBS = {
    "moments": Job(
        "AMS: second moments and inner products",
        f"Tables of {DEPTH} × {WIDTH:,}; each row is an independent estimate, and a replica. By theory, the standard "
        "error is √(2/w · (F2² − F4)). The other stream of a product has the same counts, each of another item.",
        moments,
    )
}
