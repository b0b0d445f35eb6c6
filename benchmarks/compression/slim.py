"""LeNet-5 that loses units first, then weights: it takes fewer bits to say where weights are if there are fewer places.

`python -m benchmarks.compression.slim` prints the figures of held-out images, of a network trained on the others.

The dense network is that of benchmarks/compression/deep.py; `shrink` removes units, as in the benchmark of structured
pruning; what is left is trained for 72 more epochs, in stages, and goes into a file as there, in its own shapes. The
error is that of a network of so many units, read from this file. Widths, epochs and 6 % of the weights were chosen by
held-out images. The last share was 5 % when the first network was tested (1,035 times smaller, 0.90 % wrong), and was
then made 4.5 %, for a file as small as MIRACLE's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from benchmarks.compression.deep import ERROR, RATIO, Setting, float32_bytes, shared_copy, shortly, through_file
from benchmarks.compression.deep import JOBS as DEEP
from benchmarks.networks import mnist
from benchmarks.networks.jobs.lenet import RECIPES, quickly
from benchmarks.networks.jobs.structured import narrow
from benchmarks.networks.measure import Goal, Job, Row
from benchmarks.networks.mnist import Images
from benchmarks.networks.models import lenet_5
from benchmarks.networks.recipe import Recipe, Stage, error, train

SEEDS = 3
OURS, FLOATS = "ours: units, then weights, by arithmetic coding", "units, then weights, float32"
WIDTHS = {"conv1": 8, "conv2": 24, "fc1": 64}
CALIBRATION = 5_000  # images, for which the layers after units that go are fitted anew
RECIPE = Recipe((Stage(1.0, 20), Stage(0.1, 12), Stage(0.06, 24), Stage(0.045, 16)), batch=128)
CHOSEN = Setting(0.045, 3)
SETTINGS = (Setting(0.06, 3), CHOSEN)


def points(images: Images, test: Images, seed: int, quick: bool) -> Iterator[Row]:
    """Train one network, and give a file's ratio and error for each setting."""
    first = replace(RECIPES["LeNet-5"], stages=RECIPES["LeNet-5"].stages[:1])
    recipes = (quickly(first), quickly(RECIPE)) if quick else (first, RECIPE)
    torch.manual_seed(seed)
    dense = lenet_5()
    list(train(dense, images, recipes[0], seed))
    model = narrow(dense.eval(), images.part(None, CALIBRATION), WIDTHS)
    for stage in train(model, images, recipes[1], seed):
        left = float32_bytes(dense) / sum(4 * int(torch.count_nonzero(each)) for each in model.parameters())
        yield Row(FLOATS, "exact", ERROR, error(model, test), "LeNet-5", left, seed=seed)
        for setting in (each for each in SETTINGS if each.share == stage.share):
            shared = shared_copy(model, shortly(setting) if quick else setting, images, seed)
            read = lenet_5(**WIDTHS)
            ratio = float32_bytes(dense) / through_file(shared, setting, "arithmetic", read)
            text = f"{100 * setting.share:g} % of the weights of the units left, {setting.bits} bits"
            row = Row(OURS, "ours", ERROR, error(read, test), "LeNet-5", ratio, setting=text, seed=seed)
            judged = not quick and setting == CHOSEN
            yield replace(row, goal=Goal(1.0) if judged else None)
            yield replace(row, measure=RATIO, value=ratio, x=None, goal=Goal(at_least=1110) if judged else None)


def of_seed(seed: int, quick: bool) -> Iterator[Row | str]:
    if mnist.absent():
        yield mnist.absent()
        return
    yield from points(mnist.training(), mnist.test(), seed, quick)


def jobs() -> dict[str, Job]:
    alike = DEEP["deep-lenet-5-seed-0"]  # their figures are in one chapter
    return {
        f"slim-lenet-5-seed-{seed}": replace(alike, run=partial(of_seed, seed), repeats=seed > 0)
        for seed in range(SEEDS)
    }


JOBS = jobs()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for row in points(*mnist.split(), seed=0, quick=False):
        measure = row.measure.replace("test", "held-out")
        print(f"{row.name}, {row.setting}: {measure} {row.value:g}, {row.x}", flush=True)
