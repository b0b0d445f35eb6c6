"""The commands and their options."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from sketches import Quantiles
from sketches.cli import compress, files, prune, report
from sketches.cli.answers import parse_item, summary
from sketches.cli.errors import InputError, explained, printable
from sketches.cli.output import AsJson, print_json, print_renderable, print_text
from sketches.cli.profile import Profile, profile
from sketches.cli.readers import Format, format_of
from sketches.cli.source import Source
from sketches.cli.stats import stats
from sketches.nn.pruning.prune_file import EMBEDDINGS

__all__ = ["app", "run"]


class ItemType(StrEnum):
    """What the items of a query are."""

    str = "str"
    int = "int"
    float = "float"


_UsageError: Any = typer.BadParameter.__base__  # Typer brings its own Click, or depends on Click, by its version


@contextmanager
def _endings() -> Iterator[None]:
    """Print an error in one line, and leave quietly when interrupted."""
    try:
        yield
    except InputError as error:
        typer.echo(f"sketches: {error}", err=True)
        raise typer.Exit(2) from None
    except _UsageError as error:
        text = " ".join(error.format_message().replace("Value error, ", "").rstrip(".").split())
        command = error.ctx.command_path if error.ctx else "sketches"
        typer.echo(f"sketches: {printable(text[:1].lower() + text[1:])}; see {command} --help", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


class Commands(TyperGroup):
    """The group of commands."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **options: Any) -> Any:
        """Read the arguments before the command's name; where there are none at all, Typer prints the help."""
        if not args:
            return super().make_context(info_name, args, *rest, **options)
        with _endings():
            return super().make_context(info_name, args, *rest, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _endings():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Answer questions about streams from a few kilobytes, with stated errors.",
)


def run() -> None:
    """Run the command line."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by the shell
        stream.reconfigure(errors="backslashreplace")  # for terminals without Unicode
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # removes temporary files on the way
    app(prog_name="sketches")


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the report goes.")] = Path("report.html"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything that is drawn.")] = 0,
) -> None:
    """Answer questions about a stream, watch, prune and hash a network, and write a report as one HTML page."""
    try:
        from sketches.demo import run

        with explained(printable(str(output))):
            run(output, Console(highlight=False), seed)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("sklearn", "matplotlib", "threadpoolctl"):
            raise
        raise InputError(f"the demo needs {error.name}; run: pip install 'stream-sketches[demo]'") from error


@app.command("profile")
def profile_command(
    file: Annotated[
        str, typer.Argument(help="Text, CSV, JSON lines or Parquet, also .gz or .zst; - is standard input.")
    ],
    column: Annotated[list[str] | None, typer.Option(help="Only this column; may be repeated.")] = None,
    file_format: Annotated[Format | None, typer.Option("--format", help="Default: by the suffix, else text.")] = None,
    delimiter: Annotated[str | None, typer.Option(help=r"Between the cells of CSV: ';', or \t.")] = None,
    json_: AsJson = False,
    save: Annotated[Path | None, typer.Option(help="Folder for the sketches: COLUMN.QUESTION.sketch.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the hash; only equal seeds merge.")] = 0,
) -> None:
    """Print distinct items, top items, skew and quantiles of each column, in one pass and bounded memory."""
    with Source(file) as source:
        if save is not None:
            with explained(printable(str(save))):
                save.mkdir(parents=True, exist_ok=True)
        read = partial(profile, source, file_format or format_of(file), column or [], seed, delimiter=delimiter)
        found = _with_progress(read, source.size)
    saved = files.save_profile(found, save) if save is not None else {}
    if json_:
        print_json(report.as_json(found, saved))
    else:
        print_renderable(report.as_tables(found))


def _with_progress(read: Callable[..., Profile], size: int | None) -> Profile:
    console = Console(stderr=True)
    if not console.is_terminal:
        return read()
    with Progress(
        TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("", total=size)
        return read(progress=lambda position: bar.update(task, completed=position))


@app.command()
def show(
    file: Annotated[list[Path], typer.Argument(help="Saved sketches, or compressed networks.")], json_: AsJson = False
) -> None:
    """Print what saved sketches are, and their main answers; of compressed networks what became of each tensor."""
    networks = {path: compress.rates(path) for path in file if compress.is_compressed(path)}
    loaded = {path: files.load(path) for path in file if path not in networks}
    if json_:
        print_json(
            [
                compress.as_json(path, *networks[path])
                if path in networks
                else report.sketch_json(str(path), loaded[path])
                for path in file
            ]
        )
        return
    if loaded:
        print_renderable(report.sketches_table([(str(path), loaded[path]) for path in file if path in loaded]))
    for path, rates in networks.items():
        print_renderable(compress.as_table(path, *rates))


@app.command()
def merge(
    file: Annotated[list[Path], typer.Argument(help="Two or more saved sketches of one kind.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the merged sketch goes.")],
) -> None:
    """Merge sketches of parts of a stream into the sketch of the whole."""
    if len(file) < 2:
        raise InputError(f"merge takes two files or more; {len(file)} is given")
    merged = files.merge(file)
    files.save(merged, output)
    print_text(f"{printable(str(output))}: {type(merged).__name__} of {merged.total:,} items, {summary(merged)}")


@app.command()
def query(
    file: Annotated[Path, typer.Argument(help="A saved sketch.")],
    item: Annotated[list[str], typer.Argument(help="What to ask about; negative numbers after --.")],
    type_: Annotated[
        ItemType | None, typer.Option("--type", help="What the items are. Default: str; float where ranks are asked.")
    ] = None,
    json_: AsJson = False,
) -> None:
    """Ask a sketch about items: how often, whether at all, or at which rank."""
    sketch = files.load(file)
    kind = type_ or (ItemType.float if isinstance(sketch, Quantiles) else ItemType.str)
    items = {text: parse_item(text, kind) for text in item}
    if json_:
        print_json(report.answers_json(sketch, items))
    else:
        print_renderable(report.answers_table(sketch, items))


class Scope(StrEnum):
    """Which weights are compared with each other."""

    all = "global"
    layer = "layer"
    row = "row"


@app.command("prune")
def prune_command(
    model: Annotated[Path, typer.Argument(help="Weights, a .safetensors file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the pruned weights go.")],
    sparsity: Annotated[float | None, typer.Option(help="Share of the weights to prune, in [0, 1).")] = None,
    pattern: Annotated[str | None, typer.Option(help="Keep N of each M inputs in a row instead: 2:4.")] = None,
    statistics: Annotated[
        Path | None, typer.Option(help="Saved StreamingStatistics of inputs: score weights as Wanda does.")
    ] = None,
    scope: Annotated[Scope, typer.Option(help="Which weights are compared, if there is no pattern.")] = Scope.all,
    include: Annotated[list[str] | None, typer.Option(help="Only tensors of such names; may be repeated.")] = None,
    exclude: Annotated[list[str], typer.Option(help="No tensors of such names; may be repeated.")] = [EMBEDDINGS],  # noqa: B006
    json_: AsJson = False,
) -> None:
    """Set the weights of a file that matter least to zero, tensor by tensor, in bounded memory."""
    if (sparsity is None) == (pattern is None):
        raise InputError("prune takes either --sparsity or --pattern")
    groups = prune.parse_pattern(pattern)
    pruned = prune.run(model, output, sparsity, scope.value, groups, statistics, include or [], exclude)
    if json_:
        print_json(prune.as_json(model, output, pruned))
    else:
        print_renderable(prune.as_table(output, pruned))


app.command()(stats)


class Coder(StrEnum):
    """What codes shared weights."""

    arithmetic = "arithmetic"
    huffman = "huffman"


@app.command("compress")
def compress_command(
    model: Annotated[Path, typer.Argument(help="Weights, a .safetensors file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the compressed network goes, a .skn file.")],
    sparsity: Annotated[float | None, typer.Option(help="Share of the weights to prune before, in [0, 1).")] = None,
    bits: Annotated[
        int | None, typer.Option(help="Weights share up to 2**BITS values; default: 8 of filters, 5 of matrices.")
    ] = None,
    price: Annotated[
        float | None,
        typer.Option(help="Of a bit, in squared steps, such as 0.1: values are the cheapest multiples of a step."),
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="Keep every bit of every weight instead.")] = False,
    coder: Annotated[Coder, typer.Option(help="What codes shared weights.")] = Coder.arithmetic,
    include: Annotated[
        list[str] | None, typer.Option(help="Share only these tensors' weights; may be repeated.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Keep every bit of these; may be repeated.")] = None,
    json_: AsJson = False,
) -> None:
    """Write weights in few bits: pruned, shared and coded, tensor by tensor; or every bit of them."""
    compress.compress(model, output, sparsity, bits, price, lossless, coder.value, include or [], exclude or [])
    network = output, *compress.rates(output)
    if json_:
        print_json(compress.as_json(*network))
    else:
        print_renderable(compress.as_table(*network))


@app.command("expand")
def expand_command(
    network: Annotated[Path, typer.Argument(help="A compressed network, a .skn file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the weights go, a .safetensors file.")],
) -> None:
    """Write the weights of a compressed network as a safetensors file, tensor by tensor."""
    compress.expand(network, output)
    print_text(f"written to {printable(str(output))}")
