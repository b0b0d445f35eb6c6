"""What every command prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.padding import Padding

from sketches.cli.errors import InputError, explained

__all__ = ["AsJson", "output", "print_json", "print_renderable", "print_text"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_renderable(renderable: RenderableType) -> None:
    """Print what Rich lays out."""
    with output():
        Console(highlight=False).print(Padding(renderable, (1, 1)))


def print_text(text: str) -> None:
    """Print text as it is."""
    with output():
        typer.echo(text)


def print_json(value: Any) -> None:
    """Print a value as JSON, escaped as JSON has it where standard output is not UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    print_text(json.dumps(value, indent=2, ensure_ascii=not is_utf8, allow_nan=False))


@contextmanager
def output() -> Iterator[None]:
    """Explain why standard output, flushed here, cannot be written; of a closed pipe Typer disposes quietly."""
    try:
        with explained("standard output"):
            yield
            if sys.stdout is not None:
                sys.stdout.flush()
    except InputError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at the end
        raise
