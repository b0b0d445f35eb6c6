"""Hashed weights: the error of a net with 1,000 hidden units on MNIST in the bytes of an 8th and a 64th of it.

`python -m benchmarks.compression.hashed` prints what settings were chosen by.

W. Chen, J. Wilson, S. Tyree, K. Weinberger and Y. Chen, "Compressing neural networks with the hashing trick", ICML
2015, table 1: "3 layers" are 784, 1,000 and 10 units, 795,010 parameters. The budget is 4 bytes for each of an 8th (a
64th) of them. What is counted is a whole file: values, biases, scales, seeds, shapes, names; the error is that of
the net read from this file. Settings of 8 bits, and of float32 at a 64th, were chosen on held-out images: trained on
the first 50,000 training images, judged on the last 10,000; those of the other contenders are not tuned. The test
images are looked at once a run, at the end.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks import mnist
from benchmarks.networks.measure import Goal, Job, Plot, Role, Row
from benchmarks.networks.mnist import Images
from benchmarks.networks.precision import training_precision
from benchmarks.networks.recipe import error, shuffled
from benchmarks.networks.warp import warp
from sketches.nn import HashedLinear, TensorFile, TensorWriter

PIXELS, HIDDEN, CLASSES = 784, 1000, 10
PARAMETERS = (PIXELS + 1) * HIDDEN + (HIDDEN + 1) * CLASSES
HEADER = 704  # bytes left for names, shapes, seeds and scales
SEEDS, BATCH, RISE = 3, 256, 200  # steps in which the rate of learning rises
ERROR, BYTES, MINUTES = "test error, %", "bytes of the file", "training, minutes of one processor"
GOALS = {8: Goal(1.40), 64: Goal(2.5)}
KNOWN = {  # share of the parameters, percent of the test images wrong, as the paper prints them
    "HashedNets (Chen et al. 2015)": {8: 1.45, 64: 2.79},
    "dense net of that size (Chen et al. 2015)": {8: 1.69, 64: 6.28},
}


@dataclass(frozen=True)
class Setting:
    """How a net is stored and trained.

    Parameters
    ----------
    ratio
        Of the parameters, each of 4 bytes, to the bytes of the file.
    last
        Weights of the last layer for each of its values; the first layer has the bytes that are left. 0: nothing is
        hashed, and the net has as many hidden units as fit.
    bits
        Of a value and of a bias: 8 and 16, or 32 and 32.
    warp
        How strongly the training images are deformed, at first and at the end.
    dropout
        Of the pixels, and of the hidden units.
    """

    ratio: int
    last: int
    bits: int = 8
    warp: tuple[float, float] = (0.7, 0.5)
    dropout: tuple[float, float] = (0.0, 0.0)
    rate: float = 8e-3
    epochs: float = 12

    @property
    def budget(self) -> int:
        """The bytes of the file, at most."""
        return 4 * (PARAMETERS // self.ratio)


OURS, FLOATS, PLAIN, DENSE = (
    "ours: hashed, 8 bits a value",
    "ours: hashed, float32",
    "ours: hashed, float32, images as they are",
    "dense net of that size, float32",
)
SETTINGS = {
    (OURS, 8): Setting(8, 2),
    (OURS, 64): Setting(64, 4),
    (FLOATS, 8): Setting(8, 8, 32),
    (FLOATS, 64): Setting(64, 64, 32, (0.4, 0.2)),
    (PLAIN, 8): Setting(8, 8, 32, (0, 0), (0.2, 0.5), 4e-3),
    (PLAIN, 64): Setting(64, 64, 32, (0, 0), (0.1, 0.2), 8e-3),
    (DENSE, 8): Setting(8, 0, 32, rate=2e-3),
    (DENSE, 64): Setting(64, 0, 32, (0.2, 0.0), rate=4e-3),
}


def network(setting: Setting, seed: int) -> nn.Sequential:
    """Give the net that fits the budget."""
    if not setting.last:
        hidden = (setting.budget - HEADER - 4 * CLASSES) // (4 * (PIXELS + 1 + CLASSES))
        layers = nn.Linear(PIXELS, hidden), nn.Linear(hidden, CLASSES)
    else:
        last = math.ceil(HIDDEN * CLASSES / setting.last)
        biases = (HIDDEN + CLASSES) * (2 if setting.bits == 8 else 4)
        first = (setting.budget - HEADER - biases) // (setting.bits // 8) - last
        layers = (
            HashedLinear(PIXELS, HIDDEN, entries=min(first, PIXELS * HIDDEN), seed=2 * seed),
            HashedLinear(HIDDEN, CLASSES, entries=last, seed=2 * seed + 1),
        )
    pixels, units = (nn.Dropout(share) for share in setting.dropout)
    return nn.Sequential(
        OrderedDict(flatten=nn.Flatten(), drop=pixels, fc1=layers[0], relu=nn.ReLU(), drop1=units, fc2=layers[1])
    )


def train(model: nn.Module, images: Images, setting: Setting, seed: int) -> None:
    """Train by Adam; the rate rises for some steps, then falls along a cosine."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), setting.rate)
    batches, steps = shuffled(images, BATCH), round(setting.epochs * len(images) / BATCH)
    first, final = setting.warp
    for step in range(steps):
        share = step / steps
        optimizer.param_groups[0]["lr"] = setting.rate * min(1, (step + 1) / RISE) * (1 + math.cos(math.pi * share)) / 2
        pixels, labels = next(batches)
        if first:
            pixels = warp(pixels, first + (final - first) * share)
        with training_precision():
            scores = model(pixels)
        optimizer.zero_grad()
        functional.cross_entropy(scores.float(), labels).backward()
        optimizer.step()
    model.eval()


def write(model: nn.Module, setting: Setting, path: Path) -> int:
    """Write all that the net is regenerated from, and give the bytes of the file."""
    tensors: dict[str, tuple[str, np.ndarray[Any, Any]]] = {}
    for name, tensor in model.state_dict().items():
        array = tensor.numpy()
        if array.dtype == np.int64:
            tensors[name] = "I64", array
        elif setting.bits == 32:
            tensors[name] = "F32", array
        elif name.endswith("bias"):
            tensors[name] = "F16", array.astype(np.float16)
        else:
            scale = np.abs(array).max(keepdims=True) / 127
            tensors[f"{name}.scale"] = "F32", scale.astype(np.float32)
            tensors[name] = "I8", np.rint(array / scale).astype(np.int8)
    order = sorted(tensors, key=lambda name: -tensors[name][1].itemsize)  # so that all are aligned
    with TensorWriter(path, {name: (tensors[name][0], tensors[name][1].shape) for name in order}) as file:
        for name in order:
            file.write(name, tensors[name][1])
    return path.stat().st_size


def read(path: Path) -> nn.Module:
    """Make the net of a file, and of nothing else."""
    with TensorFile(path) as file:
        state = {name: torch.from_numpy(np.array(file[name])) for name in file.names}
    for name in [name for name in state if name.endswith(".scale")]:
        scale = state.pop(name)
        values = name.removesuffix(".scale")
        state[values] = state[values].float() * scale
    layers = OrderedDict[str, nn.Module](flatten=nn.Flatten())
    for name in ("fc1", "fc2"):
        if name == "fc2":
            layers["relu"] = nn.ReLU()
        if f"{name}._extra_state" in state:
            _, seed, _, outputs, inputs = state[f"{name}._extra_state"].tolist()
            entries = len(state[f"{name}.values"])
            layers[name] = HashedLinear(inputs, outputs, entries=entries, seed=seed)
        else:
            layers[name] = nn.Linear(*reversed(state[f"{name}.weight"].shape))
    model = nn.Sequential(layers)
    model.load_state_dict({name: each.float() if each.is_floating_point() else each for name, each in state.items()})
    return model.eval()


def measure(setting: Setting, seed: int, images: Images, judged: Images) -> tuple[float, int, float]:
    """Give the error of the net in its file, the file's bytes, and the minutes of training."""
    torch.manual_seed(seed)
    model, begun = network(setting, seed), time.process_time()
    train(model, images, setting, seed)
    minutes = (time.process_time() - begun) / 60
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        nbytes = write(model, setting, path)
        if nbytes > setting.budget:
            raise ValueError(f"the file has {nbytes} bytes; {setting.budget} are the budget")
        return error(read(path), judged), nbytes, minutes


def run(name: str, ratio: int, seed: int, quick: bool) -> Iterator[Row | str]:
    """Train on all training images, and look at the test images."""
    if mnist.absent():
        yield mnist.absent()
        return
    setting = SETTINGS[name, ratio]
    if quick:
        setting = replace(setting, epochs=setting.epochs / 20)
    wrong, nbytes, minutes = measure(setting, seed, mnist.training(), mnist.test())
    role: Role = "peer" if name == DENSE else "ours"
    goal = GOALS[ratio] if name == OURS and not quick else None
    for measured, value in ((ERROR, wrong), (BYTES, nbytes), (MINUTES, minutes)):
        goal_here = goal if measured == ERROR else None
        yield Row(name, role, measured, value, "784-1000-10 on MNIST", setting.budget, goal_here, seed=seed)


def known(quick: bool) -> Iterator[Row | str]:
    for name, points in KNOWN.items():
        for ratio, wrong in points.items():
            yield Row(name, "known", ERROR, wrong, "784-1000-10 on MNIST", 4 * (PARAMETERS // ratio))


def jobs() -> Iterator[tuple[str, Job]]:
    about = (
        "A net of 784, 1,000 and 10 units whose weights are regenerated by hash, in no more bytes than an 8th or a "
        "64th of its parameters take as float32. Ours with 8 bits keeps more values in these bytes: one byte each and "
        "a scale a layer, biases as float16. Training images are deformed at random unless it says otherwise; those of "
        "the literature were not. The dense net has as many hidden units as fit, and the same training."
    )
    plots, title = (Plot(ERROR, "bytes of the file"),), "Hashed weights: error against bytes"
    yield "hashed-known", Job(title, about, known, plots)
    short = {OURS: "8-bit", FLOATS: "float32", PLAIN: "plain", DENSE: "dense"}
    for seed in range(SEEDS):
        for name, ratio in SETTINGS:
            job = Job(title, about, partial(run, name, ratio, seed), plots, repeats=seed > 0)
            yield f"hashed-{short[name]}-{ratio}-seed-{seed}", job


JOBS = dict(jobs())


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for (name, ratio), setting in SETTINGS.items():
        wrong, nbytes, minutes = measure(setting, 0, *mnist.split())
        print(f"{name}, 1/{ratio}: {wrong:.2f} % of the images held out, {nbytes} bytes, {minutes:.1f} min", flush=True)
