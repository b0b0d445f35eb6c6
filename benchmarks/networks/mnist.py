"""MNIST as tensors, from the four idx files of LeCun, Cortes and Burges.

The environment variable `SKETCHES_DATA` names the folder that has `mnist/`; without it, ../shared/data is looked at.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

DATA = Path(os.environ.get("SKETCHES_DATA", Path(__file__).parents[3] / "shared" / "data")) / "mnist"
HELD_OUT = 10_000  # of the training images, the last ones: what choices are made on, never on the test images


class Images(NamedTuple):
    """Images, float32 in [0, 1] of shape (n, 1, 28, 28), and their labels, int64 of shape (n,)."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int | None, stop: int | None) -> Images:
        """Give some of them."""
        return Images(self.pixels[start:stop], self.labels[start:stop])


def absent() -> str:
    """Say why there are no images, or nothing."""
    return "" if DATA.is_dir() else f"MNIST is not measured: {DATA} is absent; SKETCHES_DATA may name the folder above"


def idx(path: Path) -> np.ndarray:
    """Read an idx file of bytes: two zeros, the type 8, the number of dimensions, the sizes in four bytes each."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no idx file of bytes: it begins with {content[:3]!r}")
    start = 4 + 4 * content[3]
    return np.frombuffer(content, np.uint8, offset=start).reshape(np.frombuffer(content[4:start], ">i4"))


def images(name: str) -> Images:
    """Read the images of `train` or `t10k`."""
    pixels = torch.from_numpy(idx(DATA / f"{name}-images-idx3-ubyte.gz").astype(np.float32) / 255)
    labels = torch.from_numpy(idx(DATA / f"{name}-labels-idx1-ubyte.gz").astype(np.int64))
    return Images(pixels[:, None], labels)


def training() -> Images:
    """Give the 60,000 training images."""
    return images("train")


def test() -> Images:
    """Give the 10,000 test images, which nothing is chosen by."""
    return images("t10k")


def split() -> tuple[Images, Images]:
    """Give the training images without those held out, and those held out."""
    whole = training()
    return whole.part(None, -HELD_OUT), whole.part(-HELD_OUT, None)
