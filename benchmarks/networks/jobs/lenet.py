"""Error against the share of weights kept: both LeNets on MNIST, a job a network and seed, and PyTorch's own pruning.

The settings were chosen by the error on the last 10,000 training images (benchmarks/networks/validate.py); here, all
60,000 train, and the test images are looked at once for each network of the curve.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.nn.utils import prune

from benchmarks.networks import mnist
from benchmarks.networks.measure import Goal, Job, Plot, Role, Row
from benchmarks.networks.models import NETWORKS
from benchmarks.networks.recipe import Cutter, Recipe, Stage, error, kept, ours, train, weighted

SEEDS = 3
ERROR, WEIGHTS, BIASES, OF_LAYER = "test error, %", "weights kept", "biases kept", "weights kept of a layer"
MINUTES, PROCESSOR = "training until then, minutes", "training until then, minutes of one processor"
OURS, STEPWISE, ONCE = "ours: Pruner, by saliency", "torch.nn.utils.prune, stepwise", "torch.nn.utils.prune, at once"
RECIPES = {
    "LeNet-300-100": Recipe(
        (Stage(1.0, 20), Stage(0.05, 40), Stage(0.02, 60), Stage(0.01, 80), Stage(0.005, 40)), batch=256
    ),
    "LeNet-5": Recipe((Stage(1.0, 4), Stage(0.02, 12), Stage(0.01, 12), Stage(0.006, 12), Stage(0.004, 8)), batch=128),
}
GOALS = {
    ("LeNet-300-100", 0.02): Goal(1.7),
    ("LeNet-300-100", 0.01): Goal(2.2),
    ("LeNet-5", 0.01): Goal(0.85),
    ("LeNet-5", 0.006): Goal(1.0),
}
LONGEST = Goal(15)
KNOWN = {  # percent of the weights kept, percent of the test images wrong, as the papers print them
    "LeNet-300-100": {
        "Han et al. 2015": [(8, 1.59)],
        "SNIP (Lee et al. 2019)": [(5, 1.6), (2, 2.4)],
        "Dynamic network surgery (Guo et al. 2016)": [(1.8, 1.99)],
    },
    "LeNet-5": {
        "Han et al. 2015": [(8, 0.77)],
        "SNIP (Lee et al. 2019)": [(1, 1.1)],
        "Dynamic network surgery (Guo et al. 2016)": [(0.9, 0.91)],
    },
}


class TorchPrune:
    """The peer: global magnitude pruning of torch.nn.utils.prune, which masks in a hook before each forward pass."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model.to(memory_format=torch.contiguous_format)  # prune refuses the other one
        self.weights = [(layer, "weight") for layer in weighted(model).values()]
        self.sparsity = 0.0

    def prune(self, sparsity: float) -> None:
        if sparsity > self.sparsity:  # what it takes is a share of the weights that are left
            amount = (sparsity - self.sparsity) / (1 - self.sparsity)
            prune.global_unstructured(self.weights, prune.L1Unstructured, amount=amount)
            self.sparsity = sparsity


def curve(name: str, cutter: Callable[..., Cutter], network: str, recipe: Recipe, seed: int) -> Iterator[Row]:
    """Train one network, and give the figures of each of its stages."""
    images, test = mnist.training(), mnist.test()
    torch.manual_seed(seed)
    model = NETWORKS[network]()
    wall = processor = 0.0
    begun = time.perf_counter(), time.process_time()
    for stage in train(model, images, recipe, seed, cutter):
        wall, processor = wall + time.perf_counter() - begun[0], processor + time.process_time() - begun[1]
        wrong = error(model, test)
        layers = kept(model)
        figures = {
            ERROR: wrong,
            WEIGHTS: sum(weights for weights, _ in layers.values()),
            BIASES: sum(biases for _, biases in layers.values()),
            MINUTES: wall / 60,
            PROCESSOR: processor / 60,
        }
        role: Role = "ours" if name == OURS else "peer"
        judged = name == OURS and (network, stage.share) in GOALS
        goals = {ERROR: GOALS[network, stage.share], MINUTES: LONGEST} if judged else {}
        for measure, value in figures.items():
            yield Row(name, role, measure, value, network, 100 * stage.share, goals.get(measure), seed=seed)
        for layer, (weights, _) in layers.items():
            yield Row(name, role, OF_LAYER, weights, network, 100 * stage.share, setting=layer, seed=seed)
        begun = time.perf_counter(), time.process_time()


def quickly(recipe: Recipe) -> Recipe:
    """Give a recipe of few epochs, to see that it runs."""
    return replace(recipe, stages=tuple(replace(stage, epochs=stage.epochs / 40) for stage in recipe.stages))


def of_ours(network: str, seed: int, quick: bool) -> Iterator[Row | str]:
    if mnist.absent():
        yield mnist.absent()
        return
    recipe = quickly(RECIPES[network]) if quick else RECIPES[network]
    for row in curve(OURS, ours, network, recipe, seed):
        yield replace(row, goal=None) if quick else row


def of_peers(network: str, share: float | None, quick: bool) -> Iterator[Row | str]:
    """Prune by magnitude with the same epochs: in five rounds a stage, or to a share at once after dense training."""
    if mnist.absent():
        yield mnist.absent()
        return
    recipe = quickly(RECIPES[network]) if quick else RECIPES[network]
    if share is None:
        yield from curve(STEPWISE, TorchPrune, network, replace(recipe, looks=5), 0)
    else:
        dense, *others = (stage for stage in recipe.stages if stage.share >= share)
        stages = dense, Stage(share, sum(stage.epochs for stage in others))
        rows = curve(ONCE, TorchPrune, network, replace(recipe, stages=stages, looks=0), 0)
        yield from (row for row in rows if row.x == 100 * share)  # dense training is in the other job


def known(quick: bool) -> Iterator[Row | str]:
    for network, papers in KNOWN.items():
        for paper, points in papers.items():
            yield from (Row(paper, "known", ERROR, wrong, network, share) for share, wrong in points)


def jobs() -> Iterator[tuple[str, Job]]:
    about = (
        "The share of weights that are not zero, and the error on all 10,000 test images, in float32, of networks "
        "trained on the 60,000 training images, which are deformed at random each time; those of the literature were "
        "not. Mean and standard deviation of the seeds. Biases are counted apart: those of units whose output some "
        "weight takes; the others are zero. The peer's networks have one seed, the same epochs, images and optimizer; "
        "what goes, and when, is theirs, stepwise in five rounds a stage. The rate of learning and the strength of "
        "the deformations were chosen with our pruning, and are the peer's, too. LeNet-5 is Caffe's, without ReLU "
        "after its convolutions. Each training gives all points of its curve; the minutes are those until a point, of "
        "a run on as many threads as the table of runs says, beside others. Points of the literature are as printed "
        "there."
    )
    plots = (Plot(ERROR, "weights kept, %"),)
    title = "LeNets on MNIST: error against the share of weights kept"

    def job(run: Callable[[bool], Iterator[Row | str]], repeats: bool = False) -> Job:
        return Job(title, about, run, plots, repeats=repeats)

    yield "lenet-known", job(known)
    for network in ("LeNet-5", "LeNet-300-100"):  # the longer ones first
        name = network.lower()
        for seed in range(SEEDS):
            yield f"{name}-seed-{seed}", job(partial(of_ours, network, seed), repeats=seed > 0)
        yield f"{name}-peer-stepwise", job(partial(of_peers, network, None))
        for share in (share for of, share in GOALS if of == network):
            yield f"{name}-peer-once-{100 * share:g}", job(partial(of_peers, network, share))


JOBS = dict(jobs())
