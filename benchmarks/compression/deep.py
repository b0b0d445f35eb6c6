"""Deep Compression of both LeNets, trained here: the error on MNIST against the bytes of the whole file.

`python -m benchmarks.compression.deep [--quick | --validate] [--job PATTERN …] [--output DIR]`

A network is trained and pruned in stages (benchmarks/networks/recipe.py); after each, a copy's weights share few
values, which are trained, its biases become multiples of a step, and both go into a file by both coders. The error is
that of the network read from this file. Settings were chosen with --validate: trained on the first 50,000 training
images, judged on the last 10,000.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks import mnist
from benchmarks.networks.jobs.lenet import RECIPES, quickly
from benchmarks.networks.measure import Goal, Job, Plot, Row, save, verdict
from benchmarks.networks.mnist import Images
from benchmarks.networks.models import NETWORKS
from benchmarks.networks.recipe import error, shuffled, train
from benchmarks.networks.warp import warp
from sketches.nn import compress, load_compressed_, share_
from sketches.nn.compression.rate_distortion import quantize
from sketches.nn.torch.compression import state

SEEDS, BATCH = 3, 256
ERROR, RATIO, BYTES = "test error, %", "float32's bytes to those of the file", "bytes of the file"
OURS = {"huffman": "ours: as in the paper, by Huffman", "arithmetic": "ours: as in the paper, by arithmetic coding"}
DENSE = "dense, float32"


@dataclass(frozen=True)
class Setting:
    """How weights are shared.

    Parameters
    ----------
    share
        Of the weights that are kept: that of one of the recipe's stages.
    bits
        Of an index: up to 2**bits values are shared by a layer's weights.
    bias_step
        Biases are multiples of it.
    epochs, rate
        Of training what is shared, with Adam.
    """

    share: float
    bits: int
    bias_step: float = 2**-5
    epochs: float = 2
    rate: float = 5e-4


SETTINGS = {
    "LeNet-300-100": [Setting(share, bits) for share in (0.05, 0.02, 0.01, 0.005) for bits in (4, 3, 2)],
    "LeNet-5": [Setting(share, bits) for share in (0.02, 0.01, 0.006, 0.004) for bits in (4, 3, 2)],
}
KNOWN = {  # times smaller than float32, percent of the test images wrong, as the papers print them
    "LeNet-300-100": {"Han et al. 2016": (40, 1.58), "Weightless (Reagen et al. 2018)": (124, 1.9)},
    "LeNet-5": {"Han et al. 2016": (39, 0.74), "Weightless (Reagen et al. 2018)": (382, 1.0), "MIRACLE": (1110, 0.96)},
}


def tune(model: nn.Module, images: Images, setting: Setting, seed: int) -> None:
    """Train codebooks and biases; the rate of learning falls along a cosine."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), setting.rate)
    steps, batches = round(setting.epochs * len(images) / BATCH), shuffled(images, BATCH)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = setting.rate * (1 + math.cos(math.pi * step / steps)) / 2
        pixels, labels = next(batches)
        optimizer.zero_grad()
        functional.cross_entropy(model(warp(pixels, 0.3)), labels).backward()
        optimizer.step()


def written(model: nn.Module, setting: Setting, coder: str, path: Path) -> int:
    """Write a model with shared weights, and give the bytes of the file."""
    tensors = state(model)
    for name in [name for name in tensors if name.endswith("bias")]:
        tensors[name] = quantize(tensors[name].numpy(), setting.bias_step)
    compress(tensors, path, coder=coder)
    return os.path.getsize(path)


def points(network: str, images: Images, test: Images, seed: int, quick: bool) -> Iterator[Row]:
    """Train one network, and give a file's bytes and error for each setting."""
    torch.manual_seed(seed)
    model = NETWORKS[network]()
    recipe = quickly(RECIPES[network]) if quick else RECIPES[network]
    whole = 4 * sum(parameter.numel() for parameter in model.parameters())
    for stage in train(model, images, recipe, seed):
        yield Row("pruned", "exact", ERROR, error(model, test), network, stage.share, seed=seed)
        if stage.share == 1:
            yield Row(DENSE, "exact", ERROR, error(model, test), network, 1, seed=seed)
        for setting in (each for each in SETTINGS[network] if each.share == stage.share):
            shared = copy.deepcopy(model)
            share_(shared, setting.bits)
            tune(shared, images, replace(setting, epochs=0.05) if quick else setting, seed)
            for coder, name in OURS.items():
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder, "model.skn")
                    nbytes, read = written(shared, setting, coder, path), NETWORKS[network]()
                    load_compressed_(read, path)
                text = f"{100 * setting.share:g} % of the weights, {setting.bits} bits"
                row = Row(name, "ours", ERROR, error(read, test), network, whole / nbytes, setting=text, seed=seed)
                yield row
                yield replace(row, measure=BYTES, value=nbytes, x=None)


def of_ours(network: str, seed: int, quick: bool) -> Iterator[Row | str]:
    if mnist.absent():
        yield mnist.absent()
        return
    yield from points(network, mnist.training(), mnist.test(), seed, quick)


def known(quick: bool) -> Iterator[Row | str]:
    for network, papers in KNOWN.items():
        yield from (Row(paper, "known", ERROR, wrong, network, ratio) for paper, (ratio, wrong) in papers.items())
