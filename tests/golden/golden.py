"""Bytes that are frozen: ``python tests/golden/golden.py`` writes the files that do not exist yet, and changes none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
KEY = bytes(range(16))
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


if __name__ == "__main__":
    sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parent.parent)]
    for name, recipe in golden_files().items():
        if not (FOLDER / name).exists():
            (FOLDER / name).write_bytes(build(*recipe))
