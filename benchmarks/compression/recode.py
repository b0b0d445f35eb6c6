"""LeNet-300-100 as pruned by Guo et al. (2016), coded again without retraining: error against the bytes of the file.

Weights and biases become multiples of a step, by the loss's second derivatives on the training images (the Fisher
information of each unit's weights), and go into a file. Steps are tried at several scales, of which the error on the
training images alone chooses one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.networks import mnist
from benchmarks.networks.measure import Goal, Job, Plot, Row
from sketches.nn import CompressedFile, SharedWeights, compress
from sketches.nn.compression.rate_distortion import on_grid, quantize, short_step

Floats = npt.NDArray[np.float32]
Net = Mapping[str, Floats]

LENET = mnist.DATA.parent / "lenet" / "lenet300100-sparse.npz"
LAYERS = ("ip1", "ip2", "ip3")
STEPS = (0.12, 0.15, 0.4)  # of weights, times a scale; their proportions follow those of the weights
BIAS_STEPS = (0.08, 0.08, 0.1)
SCALES = (1.0, 0.85, 0.8, 0.75, 0.7, 0.65)
TEMPERATURE = 2.0  # of the softmax whose Fisher information counts: above 1 it sees more of the images
DAMPING = 0.01
ALLOWED = 0.09  # points that the error on training images may rise: as much as 2.08 % on test images is above 1.99 %

ERROR, BYTES, TRAINING = "test error, %", "bytes of the file", "error on the training images, %"
GOALS = {ERROR: Goal(2.08), BYTES: Goal(3899)}
OURS, CHOSEN = "ours: multiples of a step", "ours: multiples of a step, the scale chosen"
CLUSTERS = {"arithmetic": "ours: 4-bit clusters", "huffman": "ours: 4-bit clusters, by Huffman"}
KNOWN = (  # bytes, percent of the test images wrong
    ("Huffman after 4-bit k-means", 5690, 2.05),
    ("DeepCABAC (Wiedemann et al. 2020)", 4571, 2.08),
    ("DeepCABAC (Wiedemann et al. 2020)", 5474, 2.06),
)


class Images(NamedTuple):
    """Pixels of shape (n, 784), as the net takes them, and labels."""

    pixels: Floats
    labels: npt.NDArray[np.uint8]


def images(name: str) -> Images:
    """Read `train` or `t10k`."""
    pixels = mnist.idx(mnist.DATA / f"{name}-images-idx3-ubyte.gz").reshape(-1, 784)
    labels = mnist.idx(mnist.DATA / f"{name}-labels-idx1-ubyte.gz")
    return Images(pixels.astype(np.float32) * np.float32(0.00390625), labels)


def sums(net: Net, pixels: Floats) -> Iterator[Floats]:
    """Give what each layer's units sum up to."""
    inputs = pixels
    for layer in LAYERS:
        yield (summed := inputs @ net[f"{layer}.weight"].T + net[f"{layer}.bias"])
        inputs = np.maximum(summed, 0)


def error(net: Net, data: Images) -> float:
    """Give the share of images that are taken for something else, in percent."""
    *_, outputs = sums(net, data.pixels)
    return float((outputs.argmax(1) != data.labels).mean() * 100)


def live_part(net: Net) -> Net:
    """Give the net without weights of hidden units that have no inputs, which changes no answer."""
    part, live = dict(net), np.ones(784, bool)
    for layer in LAYERS:
        part[f"{layer}.weight"] = weights = np.where(live, net[f"{layer}.weight"], 0)
        live = weights.any(1)
        if net[f"{layer}.bias"][~live].any():
            raise ValueError(f"{layer}: a unit without inputs has a bias, and is not dead")
    return part


def sensitivities(net: Net, pixels: Floats) -> list[Floats]:
    """Give the Fisher information of each layer's sums: E (d log p(class) / d sum)^2 over the classes, per image."""
    first, second, outputs = sums(net, pixels)
    p = np.exp((outputs - outputs.max(1, keepdims=True)) / TEMPERATURE)
    p /= p.sum(1, keepdims=True)
    found = [np.zeros_like(first), np.zeros_like(second), p * (1 - p)]
    for c in range(p.shape[1]):
        gradient = -p
        gradient[:, c] += 1
        for i, (layer, summed) in enumerate((("ip3", second), ("ip2", first))):
            gradient = gradient @ net[f"{layer}.weight"] * (summed > 0)
            found[1 - i] += p[:, [c]] * gradient**2
    return found


def quantized(net: Net, pixels: Floats, scale: float) -> dict[str, SharedWeights]:
    """Give weights and biases as levels times steps: each layer after those before it."""
    new, shared = dict(net), {}
    wanted = list(sums(net, pixels))
    for i, layer in enumerate(LAYERS):
        step, bias_step = short_step(STEPS[i] * scale), short_step(BIAS_STEPS[i])
        inputs = pixels if i == 0 else np.maximum(list(sums(new, pixels))[i - 1], 0)
        worth = np.sqrt(sensitivities(new, pixels)[i]).T.copy()
        # The bias is one more weight, of an input that makes its step that of the others.
        columns = np.vstack((inputs.T, np.full(len(inputs), bias_step / step, np.float32)))
        weights = np.hstack((net[f"{layer}.weight"], net[f"{layer}.bias"][:, None] * np.float32(step / bias_step)))
        seconds = {}
        for row in np.flatnonzero(weights.any(1)):
            kept = np.flatnonzero(weights[row])
            weighed = columns[kept] * worth[row]
            second = (weighed @ weighed.T).astype(np.float64) / len(inputs)
            # Units that nothing depends on have no second derivatives at all.
            ridge = np.eye(len(kept)) * (DAMPING * np.trace(second) / len(kept) + 1e-12)
            if i:  # what the layers before it have lost
                lost = (wanted[i][:, row] * worth[row] - weights[row, kept] @ weighed) @ weighed.T / len(inputs)
                weights[row, kept] += np.linalg.solve(second + 3 * ridge, lost)
            seconds[row] = second + ridge
        result = quantize(weights, step, curvature=lambda row, _, of=seconds: of[row]).dense()
        levels = np.rint(result / step).astype(np.int64)
        shared[f"{layer}.weight"] = on_grid(levels[:, :-1], step)
        shared[f"{layer}.bias"] = on_grid(levels[:, -1], bias_step)
        new |= {name: shared[name].dense() for name in (f"{layer}.weight", f"{layer}.bias")}
    return shared


def through_file(tensors: Mapping[str, Any], **options: Any) -> tuple[int, Net]:
    """Write a net to a compressed file, and give the bytes of the file and the net that is read from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.skn")
        compress(tensors, path, **options)
        with CompressedFile(path) as file:
            return os.path.getsize(path), {name: file[name] for name in file.entries}


def rows(name: str, setting: str, nbytes: int, wrong: float, *, judged: bool = False) -> Iterator[Row]:
    for measure, value, x in ((ERROR, wrong, nbytes), (BYTES, nbytes, None)):
        yield Row(name, "ours", measure, value, "", x, GOALS[measure] if judged else None, setting)


def run(quick: bool) -> Iterator[Row | str]:
    for name, nbytes, wrong in KNOWN:
        yield Row(name, "known", ERROR, wrong, x=nbytes)
    if mnist.absent() or not LENET.is_file():
        yield mnist.absent() or f"The pruned LeNet-300-100 is not measured: {LENET} is absent"
        return
    train, test = images("train"), images("t10k")
    with np.load(LENET) as file:
        net = dict(file)
    yield Row("as it was pruned, float32", "exact", ERROR, error(net, test))
    for coder, name in CLUSTERS.items():
        nbytes, read = through_file(net, bits=4, coder=coder)
        yield from rows(name, "no images; biases to the bit", nbytes, error(read, test))
    allowed = error(net, train) + ALLOWED
    found = []
    for scale in SCALES[-2:-1] if quick else SCALES:
        nbytes, read = through_file(quantized(live_part(net), train.pixels, scale))
        learnt, wrong = error(read, train), error(read, test)
        yield from rows(OURS, f"scale {scale:g}", nbytes, wrong)
        yield Row(OURS, "ours", TRAINING, learnt, setting=f"scale {scale:g}; at most {allowed:.3f} are allowed")
        if learnt <= allowed:
            found.append((nbytes, scale, wrong))
    if quick:
        return
    if not found:
        yield "No scale is allowed by the error on the training images."
        return
    nbytes, scale, wrong = min(found)
    yield from rows(CHOSEN, f"scale {scale:g}", nbytes, wrong, judged=True)


JOBS = {
    "recode": Job(
        "A pruned LeNet-300-100, coded again without retraining",
        "The network of Guo et al. (2016), 1,066,440 bytes as float32. Bytes are those of the whole .skn file, with "
        "names, shapes, biases and checksums; errors are on all 10,000 test images, of the network read from the file. "
        "Weights and biases become multiples of steps, by the Fisher information of the training images. The scale of "
        "the steps is the one of the shortest file that is wrong about at most 0.09 points more of the training images "
        "than the pruned network. Clusters take no images. Figures of the literature are as printed there.",
        run,
        (Plot(ERROR, BYTES, log_x=False, log_y=False),),
    )
}
