"""Compiles floor.c with the system's C compiler, and offers it as contenders."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.contender import Contender

HERE = Path(__file__).parent
INCLUDE = HERE.parents[1] / "cython_ext" / "include"
ADDRESS, INT64, INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
ARGUMENTS = {
    "floor_integers": [ADDRESS, INT64, ADDRESS, INT64, INT64, INT, INT, INT],
    "floor_strings": [ADDRESS, ADDRESS, INT64, ADDRESS, INT64, INT64, INT, INT, INT],
    "floor_floats": [ADDRESS, INT64, ADDRESS],
}


@cache
def library(folder: Path) -> ctypes.CDLL:
    """Give the compiled loops; they are built once a folder."""
    path = folder / "floor.so"
    if not path.exists():
        compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
        unfinished = folder / f"floor.{os.getpid()}.so"
        options = ["-O3", "-march=native", "-shared", "-fPIC", f"-I{INCLUDE}"]
        subprocess.run([compiler, *options, "-o", str(unfinished), str(HERE / "floor.c")], check=True)  # noqa: S603
        unfinished.replace(path)
    loops = ctypes.CDLL(str(path))
    for name, arguments in ARGUMENTS.items():
        getattr(loops, name).argtypes = arguments
        getattr(loops, name).restype = ctypes.c_uint64
    return loops


def floor(
    folder: Path,
    items: Any,
    rows: int = 0,
    width: int = 1,
    *,
    stride: int = 1,
    write: bool = True,
    fresh: bool = True,
    **where: Any,
) -> list[Contender]:
    """Hash the items, an int64 array or an Arrow array of strings, and touch a word in each row of a table.

    Parameters
    ----------
    rows, width, stride
        The table's rows, entries a row, and words an entry; no rows: hash only.
    write
        Whether the word is raised or only read.
    fresh
        Whether the table's memory is new each time, as a new sketch's is. (What is only read never is: all new memory
        is one page of zeros until it is written to.)
    where
        The contender's column, x and repeats.
    """
    loops = library(folder)
    if isinstance(items, np.ndarray):
        feed = (items.ctypes.data, len(items))
        loop = loops.floor_integers
    else:
        _, ends, data = items.buffers()
        feed = (ends.address + 4 * items.offset, data.address, len(items))
        loop = loops.floor_strings
    table = np.zeros if fresh and write else np.ones
    touched = (
        f"{'write' if write else 'read'} {rows} of {8 * stride * rows * width:,} bytes" if rows else "touch nothing"
    )

    def contender(name: str, fetch: int) -> Contender:
        shape = (width, stride, rows, int(write), fetch)
        return Contender(
            name=name,
            role="floor",
            items=len(items),
            prepare=lambda: table(max(rows, 1) * width * stride, np.uint64),
            run=lambda table: loop(*feed, table.ctypes.data, *shape),
            size=lambda table: table.nbytes if rows else 0,
            setting=f"hash, {touched}",
            **where,
        )

    if not rows:
        return [contender("floor: hash", 0)]
    if 8 * rows * width * stride < 2**18:
        return [contender("floor", 0)]
    return [contender("floor", 0), contender("floor, fetching ahead", 1)]


def floor_of_floats(folder: Path, numbers: npt.NDArray[np.float32], **where: Any) -> Contender:
    """Raise the counter that the top bits of each number pick."""
    loop = library(folder).floor_floats
    return Contender(
        name="floor: bins",
        role="floor",
        items=len(numbers),
        prepare=lambda: np.zeros(2**16, np.uint64),
        run=lambda table: loop(numbers.ctypes.data, len(numbers), table.ctypes.data),
        setting="raise the counter of the top 16 bits",
        **where,
    )
