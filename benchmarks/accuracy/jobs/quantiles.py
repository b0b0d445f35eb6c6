"""Which value has rank q? Errors of rank and of value, at equal bytes as written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.measure import Goal, Job, Plot, Role, Row, Scale, mean
from benchmarks.accuracy.peers import missing
from sketches import Quantiles

RANK, VALUE = "largest error of rank", "largest error of value, relative"
RATIO = "largest error of rank ÷ KLL's"
Q = np.array([0.001, 0.01, *np.arange(0.05, 1, 0.05), 0.99, 0.999])
ERRORS = (2**-4, 2**-5, 2**-6, 2**-7, 2**-8)  # of ours; the peers get as many bytes

Floats = npt.NDArray[np.float32]

STREAMS: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "normal": lambda n, random: random.standard_normal(n, np.float32),
    "log-normal": lambda n, random: random.lognormal(0, 2, n).astype(np.float32),
    "uniform": lambda n, random: random.random(n, np.float32),
    "Zipf 1.2, numbers": lambda n, random: np.minimum(random.zipf(1.2, n), 10**6).astype(np.float32),
    "normal, sorted": lambda n, random: np.sort(random.standard_normal(n, np.float32)),
}


@dataclass(frozen=True)
class Summary:
    """A sketch of numbers: `make(size)` makes one, of a parameter that ascends with its bytes."""

    name: str
    role: Role
    make: Callable[[int], Any]
    ask: Callable[[Any], Any]
    sizes: tuple[int, int] = (0, 0)  # of the parameter
    step: int = 1

    def written(self, sketch: Any) -> int:
        return len(sketch.to_bytes() if self.role == "ours" else sketch.serialize())


def peers() -> list[Summary]:
    def make(kind: str) -> Callable[[int], Any]:
        def made(size: int) -> Any:
            import datasketches as library

            return getattr(library, kind)(size)

        return made

    return [
        Summary("datasketches KLL", "peer", make("kll_floats_sketch"), lambda s: s.get_quantiles(Q), (8, 65535)),
        Summary("datasketches REQ", "peer", make("req_floats_sketch"), lambda s: s.get_quantiles(Q), (4, 1024), 2),
        Summary(
            "datasketches t-digest",
            "peer",
            make("tdigest_float"),
            lambda s: [s.get_quantile(float(q)) for q in Q],
            (10, 65535),
        ),
    ]


def filled(summary: Summary, size: int, numbers: Floats) -> Any:
    sketch = summary.make(size)
    sketch.update(numbers)
    return sketch


def fitted(summary: Summary, nbytes: int, numbers: Floats) -> int:
    """Give the largest parameter whose sketch of these numbers is written in at most so many bytes."""
    low, high = summary.sizes
    while high - low > summary.step:
        middle = (low + high) // 2 // summary.step * summary.step
        fits = summary.written(filled(summary, middle, numbers)) <= nbytes
        low, high = (middle, high) if fits else (low, middle)
    return low


def errors(ordered: Floats, values: Any) -> tuple[float, float]:
    """Give the largest errors over all q; equal numbers share a range of ranks."""
    values = np.asarray(values, np.float32)
    below, above = (np.searchsorted(ordered, values, side=side) / len(ordered) for side in ("left", "right"))
    ranks = np.maximum(0, np.maximum(below - Q, Q - above)).max()
    truth = ordered[np.maximum(np.ceil(Q * len(ordered)).astype(int) - 1, 0)]
    sizes = np.where(truth == 0, 1, np.abs(truth))
    return float(ranks), float((np.abs(values - truth) / sizes).max())


def quantiles(scale: Scale) -> Iterator[Row | str]:
    remark = missing("datasketches")
    yield from [remark] if remark else []
    n, replicas = scale.items, max(3, scale.few // 4)
    for name, make in STREAMS.items():
        streams = [make(n, np.random.default_rng([5, seed])) for seed in range(replicas)]
        for error in ERRORS if name == "normal" else ERRORS[-1:]:
            ours, smooth = (
                Summary(
                    name,
                    "ours",
                    lambda size, error=error: Quantiles(error),
                    lambda s, interpolate=interpolate: s.quantile(Q, interpolate=interpolate),
                )
                for name, interpolate in (("ours", False), ("ours, interpolated", True))
            )
            nbytes = ours.written(filled(ours, 0, streams[0]))
            errors_of_rank = {}
            for summary in (ours, smooth, *(peers() if not remark else ())):
                size = fitted(summary, nbytes, streams[0]) if summary.role == "peer" else 0
                sketches = [filled(summary, size, numbers) for numbers in streams]
                found = [errors(np.sort(x), summary.ask(s)) for x, s in zip(streams, sketches, strict=True)]
                ranks, values = zip(*found, strict=True)
                errors_of_rank[summary.name] = mean(ranks)
                facts: dict[str, Any] = {
                    "stream": name,
                    "n": n,
                    "nbytes": float(np.mean([summary.written(sketch) for sketch in sketches])),
                    "setting": f"parameter {size}" if size else f"relative error 2^-{round(-np.log2(error))}",
                }
                yield Row(summary.name, summary.role, RANK, mean(ranks), **facts)
                own = summary is ours  # what is promised is about the middle of a bin
                goal = Goal(error) if own else None
                yield Row(
                    summary.name, summary.role, VALUE, mean(values), theory=error if own else None, goal=goal, **facts
                )
            if "datasketches KLL" in errors_of_rank:
                for summary in (ours, smooth):
                    ratio = errors_of_rank[summary.name].scaled(1 / errors_of_rank["datasketches KLL"].value)
                    goal = Goal(1.0) if summary is smooth else None  # the answer meant for ranks
                    yield Row(summary.name, "ours", RATIO, ratio, name, n, nbytes, goal=goal)


JOBS = {
    "quantiles": Job(
        "Quantiles: errors at equal bytes",
        f"The largest error over {len(Q)} ranks from 0.1 % to 99.9 %. Peers have the largest parameter with which they "
        "are written in no more bytes than ours. Ours promises an error of value, the peers one of rank. The middle of "
        "a bin has the least error of value, interpolation inside it (`interpolate=True`) that of rank. "
        "Zipf's numbers are capped: the cap is one number, much repeated, among others of its bin, where the ranks of "
        "a histogram are worst.",
        quantiles,
        (Plot(RANK, "nbytes", only="normal"), Plot(VALUE, "nbytes", only="normal")),
    )
}
