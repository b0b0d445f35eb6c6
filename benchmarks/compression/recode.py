"""LeNet-300-100 as pruned by Guo et al. (2016), coded again without retraining; chosen by training images alone.

Weights become multiples of a step, by the loss's second derivatives on the training images (the Fisher information of
each unit's weights); then come the arithmetic coder's bytes, all of them: weights, biases, codebooks, lengths. Hidden
units that are dead are known to both sides from the layer before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.networks import mnist
from sketches.nn.compression.arithmetic import decode_arithmetic, encode_arithmetic
from sketches.nn.compression.rate_distortion import on_grid, quantize, short_step

Floats = npt.NDArray[np.float32]
Net = dict[str, Floats]

LENET = mnist.DATA.parent / "lenet" / "lenet300100-sparse.npz"
LAYERS = ("ip1", "ip2", "ip3")
STEPS = (0.12, 0.15, 0.4)  # of weights, times a scale; their proportions follow those of the weights
BIAS_STEPS = (0.08, 0.08, 0.1)
SCALES = (1.0, 0.85, 0.8, 0.75, 0.7, 0.65)
TEMPERATURE = 2.0  # of the softmax whose Fisher information counts: above 1 it sees more of the images
DAMPING = 0.01
ALLOWED = 0.09  # points that the error on training images may rise: as much as 2.08 % on test images is above 1.99 %


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


def live_part(net: Net) -> tuple[Net, list[npt.NDArray[np.intp]]]:
    """Give the net without hidden units that have no inputs, and which units of each layer are left."""
    kept = [np.arange(784)]
    part = {}
    for layer in LAYERS:
        weights, bias = net[f"{layer}.weight"][:, kept[-1]], net[f"{layer}.bias"]
        if bias[~weights.any(1)].any():
            raise ValueError(f"{layer}: a unit without inputs has a bias, and is not dead")
        kept.append(np.flatnonzero(weights.any(1)))
        part |= {f"{layer}.weight": weights[kept[-1]], f"{layer}.bias": bias[kept[-1]]}
    return part, kept


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


def quantized(net: Net, train: Images, scale: float) -> Net:
    """Give the net with levels times steps for weights and biases: each layer after those before it."""
    new = dict(net)
    wanted = list(sums(net, train.pixels))
    for i, layer in enumerate(LAYERS):
        step, bias_step = short_step(STEPS[i] * scale), short_step(BIAS_STEPS[i])
        inputs = train.pixels if i == 0 else np.maximum(list(sums(new, train.pixels))[i - 1], 0)
        worth = np.sqrt(sensitivities(new, train.pixels)[i]).T.copy()
        # The bias is one more weight, of an input that makes its step that of the others.
        columns = np.vstack((inputs.T, np.full(len(inputs), bias_step / step, np.float32)))
        weights = np.hstack((net[f"{layer}.weight"], net[f"{layer}.bias"][:, None] * np.float32(step / bias_step)))
        seconds = {}
        for row in range(len(weights)):
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
        bias = np.rint(result[:, -1] / step) * bias_step
        new |= {f"{layer}.weight": result[:, :-1], f"{layer}.bias": bias.astype(np.float32)}
    return new


def code(net: Net, kept: list[npt.NDArray[np.intp]]) -> dict[str, bytes]:
    """Code all weights and biases, of the dead units, too; each can be read again."""
    codes = {}
    live = None
    for i, layer in enumerate(LAYERS):
        rows, columns = (300, 100, 10)[i], (784, 300, 100)[i]
        weights, bias = np.zeros((rows, columns), np.float32), np.zeros(rows, np.float32)
        weights[np.ix_(kept[i + 1], kept[i])], bias[kept[i + 1]] = net[f"{layer}.weight"], net[f"{layer}.bias"]
        for name, values, step in (("weight", weights, short_step(1)), ("bias", bias, short_step(BIAS_STEPS[i]))):
            step = np.abs(np.diff(np.unique(values))).min(initial=step)
            shared = on_grid(np.rint(values / step).astype(np.int64), float(step))
            codes[f"{layer}.{name}"] = encode_arithmetic(shared, live)
            found = decode_arithmetic(codes[f"{layer}.{name}"], values.shape, live)
            if not (found.dense() == values).all():
                raise RuntimeError(f"{layer}.{name} was coded, but something else was decoded")
            live = weights.any(1)
    return codes


class Recoded(NamedTuple):
    """A net in so many bytes, of all parts; errors in percent."""

    scale: float
    codes: dict[str, bytes]
    train_error: float
    test_error: float

    @property
    def nbytes(self) -> int:
        """Bytes of all parts, and of their lengths, two each."""
        return sum(len(code) + 2 for code in self.codes.values())


def recodings() -> Iterator[Recoded]:
    """Give what every scale of steps comes to."""
    with np.load(LENET) as file:
        net, kept = live_part(dict(file))
    train, test = images("train"), images("t10k")
    for scale in SCALES:
        new = quantized(net, train, scale)
        yield Recoded(scale, code(new, kept), error(new, train), error(new, test))


def choice(found: list[Recoded]) -> Recoded:
    """Give the shortest of those whose error on training images rose by no more than what is allowed."""
    with np.load(LENET) as file:
        allowed = error(dict(file), images("train")) + ALLOWED
    return min((each for each in found if each.train_error <= allowed), key=lambda each: each.nbytes)
