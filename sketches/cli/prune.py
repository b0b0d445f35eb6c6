"""The command `prune`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sketches.cli.errors import InputError, explained, printable, reason
from sketches.cli.files import check_apart
from sketches.cli.report import table
from sketches.nn import StreamingStatistics
from sketches.nn.pruning.masks import check_sparsity
from sketches.nn.pruning.prune_file import PrunedTensor, prune_file

__all__ = ["as_json", "as_table", "parse_pattern", "run"]


def run(
    model: Path,
    output: Path,
    sparsity: float | None,
    scope: str,
    pattern: tuple[int, int] | None,
    statistics: Path | None,
    include: Sequence[str],
    exclude: Sequence[str],
) -> list[PrunedTensor]:
    """Prune a file; what is wrong is said in one line, which begins with the file that has it."""
    if sparsity is not None:
        try:
            check_sparsity("sparsity", sparsity)
        except ValueError as error:
            raise InputError(reason(error)) from error
    check_apart(output, model, statistics)
    known = None if statistics is None else _statistics(statistics)
    if not model.is_file():
        with explained(printable(str(model))):
            open(model, "rb").close()
        raise InputError(f"{printable(str(model))}: not a file")
    try:
        return prune_file(
            model,
            output,
            sparsity,
            scope=scope,
            pattern=pattern,
            statistics=known,
            include=include or ["*"],
            exclude=exclude,
        )
    except OSError as error:
        name = output if error.filename is None or Path(error.filename) != model else model
        raise InputError(f"{printable(str(name))}: {reason(error)}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{printable(str(model))}: {reason(error)}") from error


def parse_pattern(text: str | None) -> tuple[int, int] | None:
    """Read ``2:4``."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,7}):(\d{1,7})", text, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= 2**20:
        raise InputError(f"--pattern is {printable(text)}; N:M with 1 <= N <= M is accepted, such as 2:4")
    return int(found[1]), int(found[2])


def as_table(output: Path, tensors: list[PrunedTensor]) -> RenderableType:
    """Lay out what became of each tensor, and of all."""
    body = table("tensor", "dtype", "shape", "weights", "kept", "share")
    body.columns[0].overflow = "fold"
    for column in body.columns[3:]:
        column.justify = "right"
        column.no_wrap = True
    for tensor in tensors:
        shape = " × ".join(map(str, tensor.shape))
        body.add_row(Text(printable(tensor.name)), tensor.dtype, shape, *_counts(tensor.size, tensor.kept))
    size, kept = sum(tensor.size for tensor in tensors), sum(tensor.kept for tensor in tensors)
    body.add_section()
    body.add_row(Text("all", "bold"), "", "", *_counts(size, kept))
    return Group(body, Text(f"\nwritten to {printable(str(output))}", "dim"))


def as_json(model: Path, output: Path, tensors: list[PrunedTensor]) -> dict[str, Any]:
    """Give what became of each tensor as JSON values."""
    size, kept = sum(tensor.size for tensor in tensors), sum(tensor.kept for tensor in tensors)
    return {
        "file": str(model),
        "output": str(output),
        "weights": size,
        "kept": kept,
        "sparsity": (size - kept) / size if size else 0.0,
        "tensors": [
            {
                "name": tensor.name,
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "weights": tensor.size,
                "kept": tensor.kept,
            }
            for tensor in tensors
        ],
    }


def _statistics(path: Path) -> StreamingStatistics:
    with explained(printable(str(path))):
        data = path.read_bytes()
    try:
        return StreamingStatistics.from_bytes(data)
    except ValueError as error:
        raise InputError(f"{printable(str(path))}: {reason(error)}") from error


def _counts(size: int, kept: int) -> tuple[str, str, str]:
    return f"{size:,}", f"{kept:,}", f"{100 * kept / size:.2f} %" if size else ""
