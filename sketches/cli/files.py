"""Sketches in files: read, and written whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import sketches
from sketches import Sketch
from sketches.cli.errors import InputError, explained, printable, reason
from sketches.cli.profile import Profile

__all__ = ["check_apart", "load", "merge", "save", "save_profile"]


def load(path: Path) -> Sketch:
    """Read a sketch of any class."""
    with explained(printable(str(path))):
        try:
            return sketches.load(path)
        except ValueError as error:
            text = reason(error).replace("pass key=", "sketches.load in Python takes it, this command takes none")
            raise InputError(f"{printable(str(path))}: {text}") from error


def save(sketch: Sketch, path: Path) -> None:
    """Write a sketch; an interrupted write leaves the file as it was."""
    with explained(printable(str(path))):
        sketch.save(path)


def check_apart(output: Path, *others: Path | None) -> None:
    """Refuse to write over a file that is read, or written, by the same command."""
    for other in others:
        if other is None or (os.path.exists(output) and not os.path.isfile(output)):
            continue  # devices and pipes keep nothing
        linked = os.path.exists(output) and os.path.exists(other) and os.path.samefile(output, other)
        if linked or os.path.realpath(output) == os.path.realpath(other):
            raise InputError(f"{printable(str(output))}: would replace {printable(str(other))}; give another file")


def merge(paths: list[Path]) -> Sketch:
    """Merge sketches of parts of a stream into that of the whole."""
    first, *others = paths
    merged = load(first)
    for path in others:
        try:
            merged.merge(load(path))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{printable(str(path))}: {reason(error)}") from error
    return merged


def save_profile(found: Profile, folder: Path) -> dict[str, dict[str, str]]:
    """Write every sketch of a profile as ``<column>.<question>.sketch``; give the paths by column and question."""
    paths: dict[str, dict[str, str]] = {}
    for column in found.columns:
        if column.supported:
            stem = _file_name(column.name)
            paths[column.name] = {name: str(folder / f"{stem}.{name}.sketch") for name in column.sketches()}
            for question, sketch in column.sketches().items():
                save(sketch, Path(paths[column.name][question]))
    return paths


def _file_name(name: str) -> str:
    """Escape what a file name may not hold as %XX."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|%]', lambda found: f"%{ord(found[0]):02X}", name)
