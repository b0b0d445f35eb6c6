"""Codes of weights: a function for each row of the table. ``python -m benchmarks.compression.coders`` prints them all.

MNIST and the pruned LeNet-300-100 are looked for where `benchmarks.networks.mnist` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from bitarray import bitarray
from bitarray.util import canonical_decode
from torch import nn

from benchmarks.compression import recode
from benchmarks.networks import mnist
from sketches.nn.compression.arithmetic import decode_arithmetic, encode_arithmetic
from sketches.nn.compression.floats import decode_floats, encode_floats
from sketches.nn.compression.huffman import CanonicalCode, decode_huffman, encode_huffman
from sketches.nn.compression.rate_distortion import on_grid
from sketches.nn.compression.shared import SharedWeights

Row = dict[str, Any]

SIDE = 4096
REPEATS = 3


def entropy_bytes(symbols: npt.NDArray[Any]) -> float:
    """Give the zero-order entropy of all symbols."""
    share = np.unique(symbols, return_counts=True)[1] / symbols.size
    return float(-(share * np.log2(share)).sum()) * symbols.size / 8


def pruned_lenet(show: Callable[[str], None] = print) -> Row:
    """Give bytes and errors of the pruned LeNet-300-100, coded again without retraining."""
    found = []
    for each in recode.recodings():
        found.append(each)
        errors = f"{each.train_error:.3f} % of training images wrong, {each.test_error:.2f} % of test images"
        show(f"scale {each.scale}: {each.nbytes} B, {errors}")
    best = recode.choice(found)
    parts = {name: len(code) for name, code in best.codes.items()}
    return {"scale": best.scale, "bytes": best.nbytes, **parts} | {
        "train error": best.train_error,
        "test error": best.test_error,
    }


def dense_net(seed: int = 1, epochs: int = 3) -> dict[str, npt.NDArray[np.float32]]:
    """Train a small convolutional net on MNIST; give the weights of its convolutions."""
    torch.manual_seed(seed)
    train, held_out = mnist.split()
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * 0.3**epoch
        for batch in torch.randperm(len(train)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(train.pixels[batch]), train.labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        wrong = (net(held_out.pixels).argmax(1) != held_out.labels).float().mean()
    print(f"dense convolutional net: {100 * float(wrong):.2f} % of the images held out are taken for something else")
    return {name: weights.numpy() for name, weights in net.state_dict().items() if weights.ndim == 4}


def dense_convolutions(bits: int, layers: dict[str, npt.NDArray[np.float32]]) -> Row:
    """Give the bytes of layers, rounded to so many bits each, beside each layer's entropy; lossless from there."""
    size = {"arithmetic": 0, "huffman": 0}
    entropy = 0.0
    for weights in layers.values():
        levels = np.rint(weights / np.abs(weights).max() * (2 ** (bits - 1) - 1)).astype(np.int64)
        shared = on_grid(levels, 2.0**-bits)
        code = encode_arithmetic(shared)
        if not (decode_arithmetic(code, levels.shape).dense() == shared.dense()).all():
            raise RuntimeError("something else was decoded")
        size["arithmetic"] += len(code)
        size["huffman"] += len(encode_huffman(shared))
        entropy += entropy_bytes(levels)
    return {"bits": bits, "entropy": round(entropy)} | size | {"ratio": size["arithmetic"] / entropy}


def tensor(kind: str) -> SharedWeights:
    """Give 4096 × 4096 weights at random: pruned to 8 %, or dense of 16 values."""
    rng = np.random.default_rng(1)
    if kind == "8 % kept":
        levels = np.where(rng.random((SIDE, SIDE)) < 0.08, rng.integers(1, 16, (SIDE, SIDE)), 0)
        codebook = np.concatenate(([0], np.linspace(-1, 1, 15))).astype(np.float32)
        return SharedWeights(levels.astype(np.uint8), codebook, True)
    levels = np.clip(np.rint(rng.normal(size=(SIDE, SIDE)) * 2.5 + 8), 0, 15)
    return SharedWeights(levels.astype(np.uint8), np.linspace(-1, 1, 16, dtype=np.float32), False)


def seconds(job: Callable[[], Any]) -> float:
    """Give the least time that the job took the processor, on one core."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return min(times)


def speed(coder: str, kind: str) -> Row:
    """Give millions of weights a second, encoded and decoded."""
    encode = {"huffman": encode_huffman, "arithmetic": encode_arithmetic}[coder]
    decode = {"huffman": decode_huffman, "arithmetic": decode_arithmetic}[coder]
    shared = tensor(kind)
    code = encode(shared)
    million = shared.indices.size / 1e6
    return {
        "coder": coder,
        "weights": kind,
        "bits a weight": 8 * len(code) / shared.indices.size,
        "encode M/s": million / seconds(lambda: encode(shared)),
        "decode M/s": million / seconds(lambda: decode(code, shared.indices.shape)),
    }


def bitarray_speed() -> Row:
    """Give millions of symbols a second that bitarray decodes of the same code."""
    symbols = tensor("dense").indices.reshape(-1)[: 2**21]
    frequencies = np.bincount(symbols)
    code = CanonicalCode.of(frequencies)
    bits = bitarray()
    bits.frombytes(code.encode(symbols, frequencies))
    lengths = np.repeat(np.arange(len(code.count)), code.count)
    bits = bits[: int((frequencies[code.symbols] * lengths).sum())]
    count, order = code.count.tolist(), code.symbols.tolist()
    spent = seconds(lambda: np.fromiter(canonical_decode(bits, count, order), np.uint8, len(symbols)))
    return {"coder": "bitarray", "weights": "dense", "decode M/s": len(symbols) / 1e6 / spent}


def float_speed(dtype: str) -> Row:
    """Give bytes and speed of 2**20 normal numbers, exactly."""
    numbers = (np.random.default_rng(1).normal(size=(1024, 1024)) * 0.02).astype(np.float32)
    array = (numbers.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else numbers.astype(dtype)
    code = encode_floats(array)
    return {
        "floats": dtype,
        "share of bytes": len(code) / array.nbytes,
        "encode M/s": array.size / 1e6 / seconds(lambda: encode_floats(array)),
        "decode M/s": array.size / 1e6 / seconds(lambda: decode_floats(code, array.shape, array.dtype)),
    }


def main() -> None:
    """Print all rows."""
    torch.set_num_threads(1)
    for coder in ("huffman", "arithmetic"):
        for kind in ("8 % kept", "dense"):
            print(speed(coder, kind), flush=True)
    print(bitarray_speed())
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        print(float_speed(dtype), flush=True)
    if not mnist.absent():
        print(pruned_lenet(), flush=True)
        layers = dense_net()
        for bits in (5, 6, 7, 8):
            print(dense_convolutions(bits, layers), flush=True)


if __name__ == "__main__":
    main()
