"""The commands `compress` and `expand`, and what `show` tells of a compressed file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from sketches.cli.errors import InputError, explained, printable, reason
from sketches.cli.files import check_apart
from sketches.cli.report import table
from sketches.nn.compression.compress import compress as compress_model
from sketches.nn.compression.compress import expand as expand_model
from sketches.nn.compression.compressed_file import CompressedFile
from sketches.nn.compression.directory import MAGIC
from sketches.nn.compression.rates import TensorRates, tensor_rates

__all__ = ["as_json", "as_table", "compress", "expand", "is_compressed", "rates"]

WIDE = 110  # characters of a line that has room for the bits of weights and gaps


def compress(
    model: Path,
    output: Path,
    sparsity: float | None,
    bits: int | None,
    price: float | None,
    lossless: bool,
    coder: str,
    include: Sequence[str],
    exclude: Sequence[str],
) -> None:
    """Compress a file; what is wrong is said in one line, which begins with the file that has it."""
    if lossless and (include or exclude or (sparsity, bits, price) != (None, None, None)):
        raise InputError("compress takes --lossless without --sparsity, --bits, --price, --include and --exclude")
    _check(model, output)
    with _named(model, output):
        compress_model(
            model,
            output,
            sparsity=sparsity,
            bits=bits,
            price=price,
            lossless=lossless,
            coder=coder,
            include=include or ["*"],
            exclude=exclude,
        )


def expand(model: Path, output: Path) -> None:
    """Expand a compressed file; errors as for `compress`."""
    _check(model, output)
    with _named(model, output):
        expand_model(model, output)


def is_compressed(path: Path) -> bool:
    """Tell whether a file begins as a compressed network does."""
    with explained(printable(str(path))), open(path, "rb") as file:
        return file.read(3) == MAGIC[:3]


def rates(path: Path) -> tuple[int, list[TensorRates]]:
    """Give the size of a compressed file, and what became of each tensor."""
    with _named(path, path), CompressedFile(path) as file:
        return file.nbytes, tensor_rates(file)


def as_table(path: Path, nbytes: int, tensors: list[TensorRates]) -> RenderableType:
    """Lay out the tensors as the paper does: what is left after each stage, and of all the whole file."""
    told = ("bits: weight", "index", "coded", "index") if Console().width >= WIDE else ()
    body = table("tensor", "weights", "kept", *told, "P", "P+Q", "file", "coding")
    body.columns[0].overflow = "fold"
    for column in body.columns[1:-1]:
        column.justify = "right"
    for tensor in tensors:
        bits = (tensor.weight_bits, tensor.index_bits, tensor.coded_weight_bits, tensor.coded_index_bits)
        texts = [f"{number:.3g}" if number else "" for number in bits[: len(told)]]
        share = _percent(tensor.kept, tensor.size)
        stages = [_percent(part, tensor.dense) for part in (tensor.pruned, tensor.shared, tensor.stored)]
        body.add_row(Text(printable(tensor.name)), f"{tensor.size:,}", share, *texts, *stages, tensor.coding)
    size, kept = sum(tensor.size for tensor in tensors), sum(tensor.kept for tensor in tensors)
    dense, pruned, shared = (sum(getattr(tensor, part) for tensor in tensors) for part in ("dense", "pruned", "shared"))
    body.add_section()
    stages = [_percent(part, dense) for part in (pruned, shared, nbytes)]
    body.add_row(Text("all", "bold"), f"{size:,}", _percent(kept, size), *[""] * len(told), *stages, "")
    ratio = f", {dense / nbytes:.1f} times smaller" if nbytes else ""
    said = f"\n{printable(str(path))}: {nbytes:,} bytes for {dense:,}{ratio}"
    return Group(body, Text(said, "dim"))


def as_json(path: Path, nbytes: int, tensors: list[TensorRates]) -> dict[str, Any]:
    """Give the same as JSON values."""
    dense = sum(tensor.dense for tensor in tensors)
    return {
        "file": str(path),
        "class": "CompressedFile",
        "bytes": nbytes,
        "dense": dense,
        "ratio": dense / nbytes,
        "tensors": [vars(tensor) | {"shape": list(tensor.shape)} for tensor in tensors],
    }


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else ""


def _check(model: Path, output: Path) -> None:
    check_apart(output, model)
    if not model.is_file():
        with explained(printable(str(model))):
            open(model, "rb").close()
        raise InputError(f"{printable(str(model))}: not a file")


@contextmanager
def _named(model: Path, output: Path) -> Iterator[None]:
    """Say in one line what is wrong, and with which file."""
    try:
        yield
    except OSError as error:
        name = output if error.filename is None or Path(error.filename) != model else model
        raise InputError(f"{printable(str(name))}: {reason(error)}") from error
    except (TypeError, ValueError, MemoryError) as error:
        raise InputError(f"{printable(str(model))}: {reason(error)}") from error
