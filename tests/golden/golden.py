"""Bytes that are frozen: ``python tests/golden/golden.py`` writes the files that do not exist yet, and changes none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
KEY = bytes(range(16))
NETWORK = FOLDER / "v1-network.skn"
LAYOUTS = {"SpaceSaving": (5,), "SpaceSaving-deletions": (40,)}  # of cases that do not go with all of their class's


def golden_files() -> dict[str, tuple]:
    """Give for each file the case and the options and items that its sketch is made of.

    The files of a class's second and later layouts have the layout's number in their names.
    """
    from cases import CASES

    from sketches.core import layouts

    files: dict[str, tuple] = {}
    for case, number in [
        (case, "" if nth == 0 else f"{layout.id}-")
        for case in CASES
        for nth, layout in enumerate(
            each
            for each in layouts.LAYOUTS
            if each.name == case.name.partition("-")[0] and each.id in LAYOUTS.get(case.name, (each.id,))
        )
    ]:
        if case.numbers:
            few = [0, -0.0, 1, 2.5, -1e300, float("inf"), None, float("nan")]
            files[f"v1-{number}{case.name}.sketch"] = case, {}, few
            files[f"v1-{number}{case.name}-many.sketch"] = case, {}, [(-1.5) ** (i % 41) for i in range(2000)]
        else:
            few = [1, 1.0, "é", b"\xff", -(2**70), 2.5, (1, ("x", None)), np.datetime64("2020-02-29"), None]
            files[f"v1-{number}{case.name}.sketch"] = case, {}, few
            files[f"v1-{number}{case.name}-many.sketch"] = case, {"seed": 9}, [i * i % 1009 for i in range(5000)]
            files[f"v1-{number}{case.name}-key.sketch"] = case, {"key": KEY}, few
    return files


def build(case, options: dict, items: list) -> bytes:
    """Make the bytes."""
    return case.built(items, **options).to_bytes()


def golden_tensors() -> dict[str, tuple]:
    """Give tensors of a compressed network by name: the dtype, what is written, and how; every coding is among them."""
    from sketches.nn import BloomierWeights, SharedWeights

    cells = np.arange(40 * 30).reshape(40, 30)
    kept = (cells * cells % 97 < 12) & (cells // 30 % 3 != 1)  # a third of the rows are dead
    sparse = SharedWeights((kept * (1 + cells % 5)).astype(np.uint8), np.array([0, -2, -1, 0.5, 1, 3.25], "f4"), True)
    columns = np.arange(12 * 40).reshape(12, 40)
    after = SharedWeights((columns % 7 * (columns % 40 % 3 != 1)).astype(np.uint16), np.arange(7, dtype="f4") / 8, True)
    dense = SharedWeights((cells % 11).astype(np.uint8), np.array([i**3 - 300.1 for i in range(11)], "f4"), False)
    return {
        "floats": ("F32", (cells / 7).astype("f4"), {}),
        "half": ("F16", np.sqrt(cells[:5]).astype("f2"), {}),
        "brain": ("BF16", (cells[:7] * 53).astype("u2"), {}),
        "odd": ("F64", np.array([np.nan, -0.0, np.inf, 5e-324]), {}),
        "arithmetic": ("F32", sparse, {}),
        "after": ("F32", after, {}),
        "dense": ("F16", dense, {}),
        "huffman": ("BF16", sparse, {"coder": "huffman"}),
        "bloomier": ("F32", BloomierWeights.from_weights(sparse), {}),
        "raw": ("U8", np.array([7], "u1"), {}),
        "deflate": ("BOOL", cells % 2 == 0, {}),
        "shuffle": ("I64", cells * 1000, {}),
        "four": ("F4", np.arange(6, dtype="u1"), {"shape": (3, 4)}),
    }


def write_network(path: Path) -> None:
    """Write them."""
    from sketches.nn import CompressedWriter

    with CompressedWriter(path, {"format": "golden", "ключ": "値"}) as writer:
        for name, (dtype, weights, options) in golden_tensors().items():
            writer.write(name, dtype, weights, **options)


if __name__ == "__main__":
    sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parent.parent)]
    for name, recipe in golden_files().items():
        if not (FOLDER / name).exists():
            (FOLDER / name).write_bytes(build(*recipe))
    if not NETWORK.exists():
        write_network(NETWORK)
