"""Dense quantised convolutional nets, coded without loss: bytes against the zero-order entropy of each layer.

Two small nets are trained on MNIST, without pruning. The weights of each convolution become multiples of a step, of so
many bits; from there on, nothing is lost. The code's contexts were developed on the plain net of seed 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.networks import mnist
from benchmarks.networks.measure import Goal, Job, Plot, Row
from benchmarks.networks.mnist import Images
from benchmarks.networks.precision import training_precision
from benchmarks.networks.recipe import error, shuffled
from sketches.nn.compression.arithmetic import decode_arithmetic, encode_arithmetic
from sketches.nn.compression.huffman import encode_huffman
from sketches.nn.compression.rate_distortion import on_grid
from sketches.nn.compression.shared import SharedWeights

SEEDS, BITS = (2, 3, 4), (4, 5, 6, 7, 8)
EPOCHS, BATCH, RATE, DECAY = 6, 64, 0.05, 5e-4
RATIO, ERROR = "bytes of the convolutions to their entropy", "test error as trained, %"
GOAL = Goal(0.97)
CODERS = {"arithmetic": "ours: arithmetic", "huffman": "ours: Huffman"}


def plain() -> nn.Module:
    """Give three convolutions, one after the other, of which the first is 5 × 5: 56,096 weights."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)),
    )


class Block(nn.Module):
    """Two convolutions of a ResNet, around which the input passes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        return torch.relu(x + self.norms[1](self.second(torch.relu(self.norms[0](self.first(x))))))


def residual() -> nn.Module:
    """Give a ResNet of two blocks: 110,880 weights in six convolutions."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), Block(32)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Block(64)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


NETS = {"plain": plain, "residual": residual}


def train(model: nn.Module, images: Images, epochs: float) -> None:
    """Train by momentum; the rate falls to nothing along a line."""
    model.to(memory_format=torch.channels_last)  # in which convolutions are faster
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=DECAY)
    batches, steps = shuffled(images, BATCH), round(epochs * len(images) / BATCH)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        pixels, labels = next(batches)
        with training_precision():
            scores = model(pixels)
        optimizer.zero_grad()
        functional.cross_entropy(scores.float(), labels).backward()
        optimizer.step()
    model.eval()


def rounded(weights: npt.NDArray[np.float32], bits: int) -> SharedWeights:
    """Give weights of so many bits: multiples of a step, the largest is 2 ** (bits - 1) - 1 of them."""
    levels = np.rint(weights / np.abs(weights).max() * (2 ** (bits - 1) - 1)).astype(np.int64)
    return on_grid(levels, 2.0**-bits)


def entropy_bytes(indices: npt.NDArray[Any]) -> float:
    """Give the zero-order entropy of all of them."""
    share = np.unique(indices, return_counts=True)[1] / indices.size
    return float(-(share * np.log2(share)).sum()) * indices.size / 8


def coded(layers: list[npt.NDArray[np.float32]], bits: int) -> tuple[float, dict[str, int]]:
    """Give the entropies of all layers, and the bytes of each code with its codebooks."""
    entropy, nbytes = 0.0, dict.fromkeys(CODERS, 0)
    for weights in layers:
        shared = rounded(weights, bits)
        code = encode_arithmetic(shared)
        if not (decode_arithmetic(code, weights.shape).dense() == shared.dense()).all():
            raise RuntimeError("something else was decoded")
        entropy += entropy_bytes(shared.indices)
        nbytes["arithmetic"] += len(code)
        nbytes["huffman"] += len(encode_huffman(shared))
    return entropy, nbytes


def run(net: str, seed: int, quick: bool) -> Iterator[Row | str]:
    if mnist.absent():
        yield mnist.absent()
        return
    torch.manual_seed(seed)
    model = NETS[net]()
    train(model, mnist.training(), EPOCHS / 60 if quick else EPOCHS)
    layers = [each.weight.detach().numpy() for each in model.modules() if isinstance(each, nn.Conv2d)]
    where = f"{net} net, {sum(weights.size for weights in layers):,} weights"
    for bits in BITS:
        entropy, nbytes = coded(layers, bits)
        for coder, name in CODERS.items():
            goal = GOAL if coder == "arithmetic" and not quick else None
            yield Row(name, "ours", RATIO, nbytes[coder] / entropy, where, bits, goal, seed=seed)
    yield Row("float32", "exact", ERROR, error(model, mnist.test()), where, seed=seed)


def jobs() -> Iterator[tuple[str, Job]]:
    about = (
        "Bytes of the coded weights of all convolutions, with codebooks, to the sum of each layer's zero-order "
        "entropy, without codebooks. Weights are rounded to so many bits, none is pruned, and what is decoded is "
        "compared. The nets are trained for six epochs on the 60,000 training images, with a weight decay of 0.0005; "
        "after less of either, more is left of the random weights that they began with, which no code shortens. "
        "The contexts of the code were developed on the plain net of another seed."
    )
    plots = (Plot(RATIO, "bits a weight before coding", log_x=False, log_y=False),)
    title = "Dense convolutional nets, without loss: bytes to entropy"
    for seed in SEEDS:
        for net in NETS:
            yield (
                f"lossless-{net}-seed-{seed}",
                Job(title, about, partial(run, net, seed), plots, repeats=seed > SEEDS[0]),
            )


JOBS = dict(jobs())
