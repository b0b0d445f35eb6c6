"""Weightless on both LeNets: the largest layer in a table with false positives, which the other layers learn to bear.

`python -m benchmarks.compression.weightless LeNet-5` prints what settings were chosen by.

B. Reagen et al., "Weightless: lossy weight encoding for deep neural network compression", ICML 2018. A network is
trained and pruned in stages (benchmarks/networks/recipe.py); of a copy, the largest layer's weights share few values,
which are trained with all else, and go into a table (`BloomierWeights`), which is read again with its false positives;
these stay where they are, while the weights of the other layers are trained. Then these share few values, too, which
are trained, biases become multiples of a step, and all goes into one file. The error is that of the network read from
this file. Settings were chosen by the error on the last 10,000 training images, of networks trained on the others.
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from benchmarks.compression.deep import ERROR, KNOWN, RATIO, Setting, jobs_of, tune
from benchmarks.networks import mnist
from benchmarks.networks.jobs.lenet import RECIPES, quickly
from benchmarks.networks.measure import Job, Plot, Row
from benchmarks.networks.mnist import Images
from benchmarks.networks.models import NETWORKS
from benchmarks.networks.recipe import error, train
from sketches.nn import BloomierWeights, compress, load_compressed_, load_shared_, share_, shared_weights
from sketches.nn.compression.rate_distortion import quantize
from sketches.nn.torch.compression import state

OURS, EXACT = "ours: Bloomier weights and retraining", "the same network, pruned, float32"
PAPER = "Weightless (Reagen et al. 2018)"
LARGEST = "fc1.weight"
RATE = 1e-3  # of learning, for weights that are not shared


@dataclass(frozen=True)
class Table:
    """How the largest layer is stored: its false positives, and how all weights are shared, with what training."""

    false_positive_rate: float
    sharing: Setting


SETTINGS = {
    "LeNet-300-100": [
        Table(2**-k, Setting(share, 3, bias_step=2**-5, epochs=4, rate=5e-3)) for share, k in ((0.02, 9), (0.01, 10))
    ],
    "LeNet-5": [
        Table(2**-k, Setting(share, 2, bias_step=2**-5, epochs=2, rate=5e-3)) for share, k in ((0.01, 10), (0.006, 11))
    ],
}


def stored(model: nn.Module, setting: Table, images: Images, seed: int) -> dict[str, object]:
    """Store a copy of a pruned model: its tensors, as a file takes them."""
    model, sharing = copy.deepcopy(model), setting.sharing
    free = replace(sharing, rate=RATE)
    layer = model.get_submodule(LARGEST.removesuffix(".weight"))
    share_(layer, sharing.bits)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    hooks = [each.register_hook(lambda gradient, kept=each != 0: gradient * kept) for each in matrices]
    tune(model, images, free, seed)
    table = BloomierWeights.from_weights(
        shared_weights(layer)["weight"], false_positive_rate=setting.false_positive_rate
    )
    load_shared_(layer, {"weight": table.shared()}, trained=False)
    tune(model, images, free, seed)
    for hook in hooks:
        hook.remove()
    others = [module for module in model.children() if module is not layer and hasattr(module, "weight")]
    for module in others:
        share_(module, sharing.bits)
    tune(model, images, sharing, seed)
    tensors = state(model) | {LARGEST: table}
    for name in [name for name in tensors if name.endswith("bias")]:
        tensors[name] = quantize(tensors[name].numpy(), sharing.bias_step)
    return tensors


def points(
    network: str, model: nn.Module, share: float, images: Images, test: Images, seed: int, quick: bool
) -> Iterator[Row]:
    """Give a file's bytes and error for each setting of a network that keeps this share of its weights."""
    whole = 4 * sum(parameter.numel() for parameter in model.parameters())
    for setting in (each for each in SETTINGS[network] if each.sharing.share == share):
        used = replace(setting, sharing=replace(setting.sharing, epochs=0.05)) if quick else setting
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.skn")
            compress(stored(model, used, images, seed), path)
            nbytes, read = os.path.getsize(path), NETWORKS[network]()
            load_compressed_(read, path)
        text = f"{100 * share:g} % of the weights, {100 * setting.false_positive_rate:.2g} % false positives"
        row = Row(OURS, "ours", ERROR, error(read, test), network, whole / nbytes, setting=text, seed=seed)
        yield row
        yield replace(row, measure=RATIO, value=whole / nbytes, x=None)
        yield replace(row, name=EXACT, role="exact", value=error(model, test))


def of_ours(network: str, seed: int, quick: bool) -> Iterator[Row | str]:
    if mnist.absent():
        yield mnist.absent()
        return
    yield from trained(network, mnist.training(), mnist.test(), seed, quick)


def trained(network: str, images: Images, test: Images, seed: int, quick: bool) -> Iterator[Row]:
    """Train and prune one network, and give the figures of each stage that has a setting."""
    least = min(setting.sharing.share for setting in SETTINGS[network])
    torch.manual_seed(seed)
    model = NETWORKS[network]()
    recipe = quickly(RECIPES[network]) if quick else RECIPES[network]
    for stage in train(model, images, recipe, seed):
        yield from points(network, model, stage.share, images, test, seed, quick)
        if stage.share == least:
            return


def known(quick: bool) -> Iterator[Row | str]:
    for network, papers in KNOWN.items():
        ratio, wrong = papers[PAPER]
        yield Row(PAPER, "known", ERROR, wrong, network, ratio)


def jobs() -> dict[str, Job]:
    about = (
        "Networks pruned in stages as in `make networks`. The largest layer's weights share few values, are trained, "
        "and go into a table that has no places, but false positives; these stay where they are, while what is left of "
        "the other layers is trained, then shared, and trained again. All goes into one file, whose bytes and whose "
        "error on all 10,000 test images count. The paper's points are as printed there, of networks trained otherwise."
    )
    title, plots = "Weightless, with retraining: error against bytes", (Plot(ERROR, RATIO),)
    return jobs_of("weightless", Job(title, about, known, plots), of_ours)


JOBS = jobs()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for row in trained(sys.argv[1], *mnist.split(), seed=0, quick=False):
        measure = row.measure.replace("test", "held-out")
        print(f"{row.name}, {row.setting}: {measure} {row.value:g}, {row.x}", flush=True)
