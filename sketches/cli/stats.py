"""The command `stats`: statistics of the tensors of a model's file, or those that were saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sketches.cli.errors import InputError, explained, printable, reason
from sketches.cli.files import check_apart
from sketches.cli.output import AsJson, print_json, print_text
from sketches.core.wire import MAGIC
from sketches.nn import StreamingStatistics, Table, TensorFile
from sketches.nn.tensor_file import REAL

__all__ = ["stats"]

OF_ACTIVATIONS = frozenset({"dead", "saturated", "patterns", "rank"})  # columns that say nothing about one matrix


def stats(
    file: Annotated[Path, typer.Argument(help="A safetensors file, or saved statistics.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the statistics go.")] = None,
    page: Annotated[Path | None, typer.Option("--report", help="Where a report goes, as one HTML page.")] = None,
    json_: AsJson = False,
) -> None:
    """Print moments and quantiles of each tensor of a model; a unit is a row, the weights of one output."""
    if output is not None:
        check_apart(output, file, page)
    if page is not None:
        check_apart(page, file)
    saved = _is_statistics(file)
    statistics, skipped = (_load(file), {}) if saved else of_tensors(file)
    table = statistics.table()
    if not saved:
        table = Table(
            f"{printable(str(file))}: {len(table)} tensors",
            [
                column._replace(heading={"layer": "tensor"}.get(column.heading, column.heading))
                for column in table.columns
                if column.heading not in OF_ACTIVATIONS
            ],
        )
    if output is not None:
        with explained(printable(str(output))):
            statistics.save(output)
    if page is not None:
        with explained(printable(str(page))):
            statistics.report(page)
    if json_:
        print_json({"file": str(file), "layers": table.records(finite=True), "skipped": skipped})
        return
    lines = [str(table)]
    if skipped:
        lines.append(f"skipped: {', '.join(f'{printable(name)} ({why})' for name, why in skipped.items())}")
    print_text("\n".join(lines))


def of_tensors(path: Path) -> tuple[StreamingStatistics, dict[str, str]]:
    """Give the statistics of a file's tensors, and which were skipped, with the reason.

    A tensor's units are its rows (the first axis: the outputs of a linear layer or a convolution, the entries of an
    embedding), its samples the weights in each; a vector is one unit. One tensor at a time is in memory.
    """
    statistics, skipped = StreamingStatistics(), {}
    name = str(path)
    with explained(printable(name)):
        try:
            with TensorFile(path) as file:
                for tensor in file.names:
                    dtype, shape = file.dtype(tensor), file.shape(tensor)
                    if dtype not in REAL or dtype[0] not in "FB" or dtype == "BOOL":
                        skipped[tensor] = dtype
                    elif 0 in shape:
                        skipped[tensor] = "empty"
                    else:
                        weights = file[tensor]
                        units = shape[0] if len(shape) > 1 else 1
                        statistics.observe(tensor, weights.reshape(units, -1).T)
        except ValueError as error:
            raise InputError(f"{printable(name)}: {reason(error)}") from error
    return statistics, skipped


def _is_statistics(path: Path) -> bool:
    with explained(printable(str(path))), open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _load(path: Path) -> StreamingStatistics:
    with explained(printable(str(path))):
        try:
            return StreamingStatistics.load(path)
        except ValueError as error:
            raise InputError(f"{printable(str(path))}: {reason(error)}") from error
