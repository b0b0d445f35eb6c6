"""The stream part: a few million events, and every question answered by its sketch beside the exact answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from sketches import AMS, BloomFilter, CountMin, FlajoletMartin, LossyCounting, Quantiles, SpaceSaving

__all__ = ["Answer", "Events", "answers", "make_events"]

USERS, PAGES = 400_000, 50_000
CAPACITY = 200_000  # users that come, at most
PROBES = 200_000  # users that never came, to measure false positives
NEVER = USERS + 1  # the first of them
SHARE = 0.01  # asked of LossyCounting
T = TypeVar("T")


class Events(NamedTuple):
    """The columns of the stream."""

    users: npt.NDArray[np.int64]
    pages: npt.NDArray[Any]
    milliseconds: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """One question, answered by a sketch and exactly; ``lower <= exact <= upper`` with the given confidence.

    A confidence of 0 marks what a sketch is designed for, rather than bounds that it gives.
    """

    question: str
    sketch: str
    estimate: float
    lower: float
    upper: float
    exact: float
    confidence: float
    nbytes: int
    exact_nbytes: int
    seconds: float
    exact_seconds: float
    percent: bool = False
    remark: str = ""

    @property
    def method(self) -> str:
        """The sketch, and what else it found."""
        return f"{self.sketch}, {self.remark}" if self.remark else self.sketch

    @property
    def inside(self) -> bool:
        """Whether the exact answer lies within the bounds."""
        return self.lower <= self.exact <= self.upper


def make_events(count: int, seed: int) -> Events:
    """Draw users and pages by Zipf's law, and latencies from a lognormal with rare timeouts."""
    random = np.random.default_rng(seed)
    names = np.array([f"/page/{number:05}" for number in range(PAGES)], dtype=np.dtypes.StringDType())
    milliseconds = random.lognormal(3.0, 0.8, count)
    milliseconds[random.random(count) < 0.002] += 2_000
    # Users are numbered in no order of activity: rank r is user 1 + permutation[r].
    users = 1 + random.permutation(USERS)[_zipf(random, count, USERS, 1.1)]
    return Events(users, names[_zipf(random, count, PAGES, 0.9)], milliseconds)


def _zipf(random: np.random.Generator, count: int, ranks: int, exponent: float) -> npt.NDArray[np.int64]:
    """Draw ranks 0, 1, … with probability proportional to (rank + 1)**-exponent."""
    weights = np.cumsum(np.arange(1.0, ranks + 1) ** -exponent)
    ranked: npt.NDArray[np.int64] = np.searchsorted(weights, random.random(count) * weights[-1], "right")
    return ranked


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Give a result, and how many seconds it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _fed(sketch: Any, items: Any) -> tuple[Any, float]:
    _, seconds = timed(lambda: sketch.update(items))
    return sketch, seconds


def answers(events: Events, seed: int) -> list[Answer]:
    """Ask every question, of the sketches and of the whole stream.

    The exact answers are the quickest that NumPy and Python give for items of any kind (small integers could be counted
    by position); their bytes are those of what they must keep: a table of distinct users (8 bytes each) with counts (8
    more where counts are asked for), distinct pages as a Python set, or all latencies.
    """
    users, pages, milliseconds = events
    (known, counts), seconds = timed(lambda: np.unique(users, return_counts=True))
    exact = {"exact_nbytes": known.nbytes + counts.nbytes, "exact_seconds": seconds}
    distinct = {"exact_nbytes": known.nbytes, "exact_seconds": seconds}
    order = np.argsort(-counts, kind="stable")
    hundredth = order[min(99, len(order) - 1)]
    return [
        _distinct("distinct users", users, len(known), seed, **distinct),
        _distinct_pages(pages, seed),
        _membership(users, seed, **distinct),
        _frequency(users, known[hundredth], counts[hundredth], seed, **exact),
        _energy(users, float((counts.astype(np.float64) ** 2).sum()), seed, **exact),
        _top(users, dict(zip(known[order[:10]].tolist(), counts[order[:10]].tolist(), strict=True)), seed, **exact),
        _above(users, int((counts >= SHARE * len(users)).sum()), seed, **exact),
        *_quantiles(milliseconds),
    ]


def _answer(question: str, sketch: Any, seconds: float, estimate: Any, exact: float, **rest: Any) -> Answer:
    values = {"lower": estimate.lower, "upper": estimate.upper, "confidence": estimate.confidence}
    return Answer(
        question,
        type(sketch).__name__,
        float(estimate),
        exact=exact,
        nbytes=sketch.nbytes,
        seconds=seconds,
        **values,
        **rest,
    )


def _distinct(question: str, items: Any, exact: int, seed: int, **rest: Any) -> Answer:
    sketch, seconds = _fed(FlajoletMartin(precision=12, seed=seed), items)
    return _answer(question, sketch, seconds, sketch.count(), exact, **rest)


def _distinct_pages(pages: Any, seed: int) -> Answer:
    found, seconds = timed(lambda: set(pages.tolist()))
    size = found.__sizeof__() + sum(map(len, found)) + 49 * len(found)  # a str has 49 bytes beside its letters
    return _distinct("distinct pages (text)", pages, len(found), seed, exact_nbytes=size, exact_seconds=seconds)


def _membership(users: npt.NDArray[np.int64], seed: int, **rest: Any) -> Answer:
    sketch, seconds = _fed(BloomFilter(CAPACITY, error=0.01, seed=seed), users)
    if not sketch.contains(users[:PROBES]).all():
        raise AssertionError("the filter lost a user")
    found = sketch.contains(np.arange(NEVER, NEVER + PROBES)).mean()
    return Answer(
        "strangers taken for users",
        "BloomFilter",
        float(sketch.false_positive_rate()),
        0.0,
        0.01,
        float(found),
        0.0,
        sketch.nbytes,
        seconds=seconds,
        percent=True,
        **rest,
    )


def _frequency(users: npt.NDArray[np.int64], user: int, exact: int, seed: int, **rest: Any) -> Answer:
    sketch, seconds = _fed(CountMin(epsilon=1e-4, delta=0.01, seed=seed), users)
    return _answer(f"visits of user {user}", sketch, seconds, sketch[int(user)], float(exact), **rest)


def _energy(users: npt.NDArray[np.int64], exact: float, seed: int, **rest: Any) -> Answer:
    sketch, seconds = _fed(AMS(seed=seed), users)
    return _answer("sum of squared visits", sketch, seconds, sketch.second_moment(), exact, **rest)


def _top(users: npt.NDArray[np.int64], truth: dict[int, int], seed: int, **rest: Any) -> Answer:
    sketch, seconds = _fed(SpaceSaving(1_000, seed=seed), users)
    top = sketch.top(10)
    hits = len({int(item) for item in top["item"]} & truth.keys())
    count, error = int(top["count"][0]), int(top["error"][0])
    exact = float(truth.get(int(top["item"][0]), 0))
    return Answer(
        "visits of the top user",
        "SpaceSaving",
        count,
        count - error,
        count,
        exact,
        1.0,
        sketch.nbytes,
        seconds=seconds,
        remark=f"{hits} of top {len(truth)}",
        **rest,
    )


def _above(users: npt.NDArray[np.int64], exact: int, seed: int, **rest: Any) -> Answer:
    sketch, seconds = _fed(LossyCounting(SHARE / 10, seed=seed), users)
    found = sketch.items_above(SHARE)
    certain = int((found["count"] - found["error"] >= SHARE * len(users)).sum())
    return Answer(
        f"users with {SHARE:.0%} of all visits",
        "LossyCounting",
        len(found),
        certain,
        len(found),
        exact,
        1.0,
        sketch.nbytes,
        seconds=seconds,
        **rest,
    )


def _quantiles(milliseconds: npt.NDArray[np.float64]) -> list[Answer]:
    sketch, seconds = _fed(Quantiles(), milliseconds)
    names = {0.5: "median latency, ms", 0.99: "99 % of latencies, ms", 0.999: "99.9 % of latencies, ms"}
    exact, exact_seconds = timed(lambda: np.quantile(milliseconds, list(names), method="inverted_cdf"))
    rest = {"exact_nbytes": milliseconds.nbytes, "exact_seconds": exact_seconds}
    return [
        _answer(name, sketch, seconds, sketch.quantile(q), float(truth), **rest)
        for (q, name), truth in zip(names.items(), exact, strict=True)
    ]
