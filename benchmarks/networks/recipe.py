"""How a network is trained and pruned: dense first, then in stages, each of which ends in a network to keep.

In the first half of a stage, the share of weights that are kept falls along a cubic, at a constant rate of learning;
in the second, the rate falls along a cosine, and the weights that are left settle.

What goes is what the loss would miss least: w² times the mean square of its gradient, about twice what the loss rises
by when the weight is set to zero (Y. LeCun, J. Denker and S. Solla, "Optimal brain damage", NeurIPS 1989, with the
empirical Fisher information in place of the second derivative: L. Theis et al., "Faster gaze prediction with dense
networks and Fisher pruning", 2018). Adam keeps that mean square anyway. All layers share one threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.networks.mnist import Images
from benchmarks.networks.precision import training_precision
from benchmarks.networks.warp import warp
from sketches.nn import Pruner, cubic_schedule


@dataclass(frozen=True)
class Stage:
    """Keep this share of the weights, after so many epochs."""

    share: float
    epochs: float


@dataclass(frozen=True)
class Recipe:
    """The settings.

    Parameters
    ----------
    stages
        The first of them keeps all weights.
    batch, rate
        Images in a step, and Adam's rate of learning.
    warp, final_warp
        How strongly the training images are deformed, while all weights are kept and at the end: with fewer weights,
        less can be learnt.
    looks
        How often masks are computed in a stage; 0: once, at its beginning.
    """

    stages: tuple[Stage, ...]
    batch: int
    rate: float = 2e-3
    warp: float = 0.7
    final_warp: float = 0.3
    looks: int = 100


class Cutter(Protocol):
    """What sets all but a share of the weights to zero, and keeps them there."""

    def prune(self, sparsity: float) -> Any: ...


def ours(model: nn.Module, optimizer: torch.optim.Adam) -> Pruner:
    """Give the pruner that removes what the loss would miss least."""
    parameters = dict(model.named_parameters())

    def saliency(name: str, weights: Tensor) -> Tensor:
        mean_square: Tensor = optimizer.state[parameters[name]]["exp_avg_sq"]
        return weights.abs() * mean_square.sqrt()  # the root of what the docstring says: the same order

    pruner = Pruner(model, scores=saliency)
    pruner.attach(optimizer)
    return pruner


def train(
    model: nn.Module,
    images: Images,
    recipe: Recipe,
    seed: int,
    cutter: Callable[[nn.Module, torch.optim.Adam], Cutter] = ours,
) -> Iterator[Stage]:
    """Train and prune a model; after each stage, it may be looked at or copied before the next one is asked for."""
    torch.manual_seed(seed)
    model.to(memory_format=torch.channels_last)  # in which convolutions are faster
    optimizer = torch.optim.Adam(model.parameters(), recipe.rate)
    pruner = cutter(model, optimizer)
    batches = shuffled(images, recipe.batch)
    dense, *others = lengths = [round(stage.epochs * len(images) / recipe.batch) for stage in recipe.stages]
    done, before = 0, 0.0
    for stage, steps in zip(recipe.stages, lengths, strict=True):
        half, cuts = steps // 2, sparsities(before, 1 - stage.share, steps // 2, recipe.looks)
        for step in range(steps):
            if step in cuts:
                pruner.prune(cuts[step])
            settled = max(0, step - half) / (steps - half)
            optimizer.param_groups[0]["lr"] = recipe.rate * (1 + math.cos(math.pi * settled)) / 2
            way = max(0, done - dense) / max(1, sum(others))
            pixels, labels = next(batches)
            pixels = warp(pixels, recipe.warp + (recipe.final_warp - recipe.warp) * way)
            with training_precision():
                scores = model(pixels)
            optimizer.zero_grad()
            functional.cross_entropy(scores.float(), labels).backward()
            optimizer.step()
            done += 1
        before = 1 - stage.share
        rest(model)
        random = torch.get_rng_state()
        yield stage
        torch.set_rng_state(random)  # what was drawn meanwhile changes nothing here


def sparsities(before: float, after: float, steps: int, looks: int) -> dict[int, float]:
    """Give what share of the weights is to go, by the step of a stage."""
    if before == after:
        return {}
    if not looks:
        return {0: after}
    return {steps * look // looks: cubic_schedule(look, looks, after, before) for look in range(looks + 1)}


def shuffled(images: Images, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give batches of images without end, in another order each time; what is left over at an end is dropped."""
    while True:
        for chosen in torch.randperm(len(images))[: len(images) // batch * batch].split(batch):
            yield images.pixels[chosen], images.labels[chosen]


@torch.no_grad()
def error(model: nn.Module, images: Images) -> float:
    """Give the percentage of images that a model is wrong about, in float32."""
    found = [model(pixels).argmax(1) for pixels in images.pixels.split(1000)]
    return 100 * float((torch.cat(found) != images.labels).double().mean())


@torch.no_grad()
def rest(model: nn.Module) -> None:
    """Set the biases of units whose outputs no weight takes to zero, which changes no answer.

    The layers must follow each other; a channel's places may be inputs of their own of the next one.
    """
    for layer, following in pairwise(weighted(model).values()):
        taken = (following.weight != 0).reshape(len(following.weight), len(layer.weight), -1).any(dim=2).any(dim=0)
        layer.bias.masked_fill_(~taken, 0)


@torch.no_grad()
def order(model: nn.Module) -> None:
    """Put units with more weights before those with fewer, which changes no answer and is shorter to code.

    The layers must follow each other, as for `rest`.
    """
    for layer, following in pairwise(weighted(model).values()):
        taken = following.weight.reshape(len(following.weight), len(layer.weight), -1)
        weights = torch.count_nonzero(layer.weight.flatten(1), dim=1) + torch.count_nonzero(taken, dim=(0, 2))
        first = weights.argsort(descending=True, stable=True)
        layer.weight.copy_(layer.weight[first])
        layer.bias.copy_(layer.bias[first])
        following.weight.copy_(taken[:, first].reshape(following.weight.shape))


def kept(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Count the weights of each layer that are not zero, and its biases that are not: by the layer's name."""
    return {
        name: (int(torch.count_nonzero(layer.weight)), int(torch.count_nonzero(layer.bias)))
        for name, layer in weighted(model).items()
    }


def weighted(model: nn.Module) -> dict[str, Any]:
    """Find the layers that have weights."""
    return {name: each for name, each in model.named_modules() if isinstance(each, nn.Linear | nn.Conv2d)}
