"""LeNet-5 with half of its multiply-adds, beside torch-pruning; and the times of networks that lost units.

All sides prune the same dense network and are fine-tuned alike. Widths and settings were chosen by the error on the
last 10,000 training images: `python -m benchmarks.networks.jobs.structured` trains on the others, and prints it.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.networks import mnist
from benchmarks.networks.jobs import lenet
from benchmarks.networks.jobs.costs import Residual
from benchmarks.networks.measure import Goal, Job, Row
from benchmarks.networks.mnist import Images
from benchmarks.networks.models import lenet_5
from benchmarks.networks.recipe import Recipe, Stage, error, train
from sketches.nn import couple, input_moments, shrink

SEEDS = 3
LEFT = 0.5  # of the multiply-adds
DENSE = Recipe((Stage(1.0, 6),), batch=128, warp=0.5)
TUNED = Recipe((Stage(1.0, 1),), batch=128, rate=3e-4, warp=0.3)
CALIBRATION = 2_000  # images for statistics and gradients of all sides
WIDTHS = {"conv1": 14, "conv2": 33, "fc1": 330}
ONE = torch.zeros(1, 1, 28, 28)
OURS, MAGNITUDE, TAYLOR = "ours: shrink, by elimination", "torch-pruning, magnitude", "torch-pruning, Taylor"
PEERS = MAGNITUDE, TAYLOR
ERROR, ADDED = "test error, %", "test error above that of {}, points"
COUNTED, PASS, SHARE = "multiply-adds left, %", "time of a forward pass, ms", "time of a forward pass / dense"
ABSENT = "torch-pruning is not installed, and not measured"


def narrow(model: nn.Module, images: Images, widths: dict[str, int]) -> nn.Module:
    """Shrink LeNet-5 to so many units a layer, and fit the layers after them anew."""
    moments = input_moments(model, images.pixels.split(500), layers=["conv2", "fc1", "fc2"])
    share = {name: 1 - width / len(model.get_submodule(name).weight) for name, width in widths.items()}  # type: ignore[arg-type]
    return shrink(model, ONE, share=share, moments=moments).module


def ours(model: nn.Module, images: Images) -> nn.Module:
    return narrow(model, images, WIDTHS)


def theirs(kind: str, model: nn.Module, images: Images) -> nn.Module:
    """Prune by torch-pruning, the least share of every layer that leaves at most as many multiply-adds."""
    import torch_pruning

    importance = torch_pruning.importance
    gradients = copy.deepcopy(model)
    functional.cross_entropy(gradients(images.pixels), images.labels).backward()
    whole = multiply_adds(model)
    for ratio in np.arange(0.25, 0.4, 0.01):
        smaller: Any = copy.deepcopy(model)
        for mine, known in zip(smaller.parameters(), gradients.parameters(), strict=True):
            mine.grad = known.grad
        by = importance.TaylorImportance() if kind == TAYLOR else importance.MagnitudeImportance(p=2)
        pruner = torch_pruning.pruner.MagnitudePruner(
            smaller, ONE, importance=by, pruning_ratio=float(ratio), ignored_layers=[smaller.fc2]
        )
        pruner.step()
        if multiply_adds(smaller) <= LEFT * whole:
            break
    smaller.zero_grad()
    return smaller  # type: ignore[no-any-return]


def multiply_adds(model: nn.Module) -> int:
    """Count those of ours and theirs alike."""
    return sum(couple(model, ONE).multiply_adds.values())


def sides() -> dict[str, Any]:
    """Give what prunes, by name."""
    return {OURS: ours} | ({kind: partial(theirs, kind) for kind in PEERS} if find_spec("torch_pruning") else {})


def compared(images: Images, test: Images, seed: int, dense: Recipe, tuned: Recipe) -> Iterator[Row]:
    """Train one network, prune it in every way, fine-tune, and give the errors."""
    torch.manual_seed(seed)
    model = lenet_5()
    list(train(model, images, dense, seed))
    model.eval()
    yield Row("dense", "exact", ERROR, error(model, test), "LeNet-5", 0, seed=seed)
    epochs = tuned.stages[0].epochs
    found: dict[tuple[str, float], float] = {}
    for name, prune in sides().items():
        smaller = prune(copy.deepcopy(model), images.part(None, CALIBRATION))
        row = Row(name, "ours" if name == OURS else "peer", ERROR, 0, "LeNet-5", seed=seed)
        left = 100 * multiply_adds(smaller) / multiply_adds(model)
        yield replace(row, measure=COUNTED, value=left, goal=Goal(100 * LEFT) if name == OURS else None)
        found[name, 0] = error(smaller, test)
        list(train(smaller, images, tuned, seed))
        found[name, epochs] = error(smaller, test)
        for after in (0, epochs):
            yield replace(row, value=found[name, after], x=after)
    for (name, after), value in found.items():
        if name != OURS:
            above = found[OURS, after] - value
            yield Row(OURS, "ours", ADDED.format(name), above, "LeNet-5", after, Goal(0), seed=seed)


def quickly() -> tuple[Recipe, Recipe]:
    """Give recipes of few epochs, to see that it runs."""
    return lenet.quickly(DENSE), lenet.quickly(TUNED)


def errors(seed: int, quick: bool) -> Iterator[Row | str]:
    if not find_spec("torch_pruning"):
        yield ABSENT
    if mnist.absent():
        yield mnist.absent()
        return
    for row in compared(mnist.training(), mnist.test(), seed, *(quickly() if quick else (DENSE, TUNED))):
        yield replace(row, goal=None) if quick else row


def milliseconds(models: dict[str, nn.Module], inputs: Tensor, rounds: int) -> dict[str, float]:
    """Time forward passes in turns; the least time of each counts."""
    best = dict.fromkeys(models, float("inf"))
    with torch.no_grad():
        for _ in range(rounds):
            for name, model in models.items():
                start = time.perf_counter()
                model(inputs)
                best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def networks() -> Iterator[tuple[str, dict[str, nn.Module], Tensor]]:
    """Give what is timed, with random weights: a name, the networks, and their inputs."""
    torch.manual_seed(0)
    images = Images(torch.rand(50, 1, 28, 28), torch.arange(50) % 10)
    model = lenet_5().eval()
    models = {"dense": model} | {name: prune(copy.deepcopy(model), images) for name, prune in sides().items()}
    yield "LeNet-5, batch 256", models, torch.rand(256, 1, 28, 28)
    block = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), Residual(64), nn.Conv2d(64, 10, 1)).eval()
    inputs = torch.rand(32, 3, 32, 32)
    yield "ResNet block, half of its units", {"dense": block, OURS: shrink(block, inputs[:1], share=0.5).module}, inputs
    layer = nn.Sequential(nn.TransformerEncoderLayer(384, 6, 1536, batch_first=True)).eval()
    inputs = torch.rand(8, 128, 384)
    yield (
        "transformer layer, half of its units",
        {
            "dense": layer,
            OURS: shrink(layer, inputs[:1], share=0.5).module,
        },
        inputs,
    )


def times(quick: bool) -> Iterator[Row | str]:
    if not find_spec("torch_pruning"):
        yield ABSENT
    setting = f"{torch.get_num_threads()} threads"
    for where, models, inputs in networks():
        found = milliseconds(models, inputs, 3 if quick else 100)
        for name, best in found.items():
            row = Row(name, "exact" if name == "dense" else "ours" if name == OURS else "peer", PASS, best, where)
            yield replace(row, setting=setting)
            if name != "dense":
                goal = Goal(0.6) if name == OURS and where.startswith("LeNet") and not quick else None
                yield replace(row, measure=SHARE, value=best / found["dense"], goal=goal, setting=setting)


def jobs() -> Iterator[tuple[str, Job]]:
    title = "Structured pruning: LeNet-5 with half of its multiply-adds"
    about = (
        "One dense network a seed, pruned by each side with the same 2,000 images, and fine-tuned alike; errors are on "
        "all 10,000 test images. torch-pruning takes the least share of every layer that leaves half of the "
        "multiply-adds, and reads magnitudes or gradients; ours has fixed widths, takes units out one by one, and fits "
        "the layers after them anew. Times are the least of 100 passes, in turns."
    )
    for seed in range(SEEDS):
        yield f"structured-seed-{seed}", Job(title, about, partial(errors, seed), repeats=seed > 0)
    yield "structured-times", Job(title, about, times, alone=True)


JOBS = dict(jobs())


if __name__ == "__main__":
    os.nice(10)
    torch.set_num_threads(1)
    for seed in range(SEEDS):
        for row in compared(*mnist.split(), seed, DENSE, TUNED):
            after = "" if row.x is None else f" after {row.x:g} epochs of fine-tuning"
            print(
                f"seed {seed}, {row.name}: {row.measure.replace('test', 'held-out')}{after}: {row.value:.3f}",
                flush=True,
            )
