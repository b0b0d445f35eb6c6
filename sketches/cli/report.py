"""What is printed: tables for people, JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sketches import BinaryFuseFilter, BloomFilter, Quantiles, Sketch
from sketches.cli.answers import ask, estimate_json, item_json, summary
from sketches.cli.errors import printable
from sketches.cli.figures import bytes_, count_figures, figure, item_text, value_figures
from sketches.cli.profile import ColumnProfile, Profile
from sketches.cli.readers import Format

__all__ = ["answers_json", "answers_table", "as_json", "as_tables", "sketch_json", "sketches_table"]

TOP = 10
LEVELS = {0.0: "minimum", 0.01: "1 %", 0.25: "25 %", 0.5: "median", 0.75: "75 %", 0.99: "99 %", 1.0: "maximum"}


def table(*headers: str) -> Table:
    """Make an empty table in the command's style."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for header in headers:
        made.add_column(header)
    return made


def as_tables(found: Profile) -> RenderableType:
    """Lay out a profile: one table a column, then what the pass took."""
    rows = "lines" if found.format is Format.text else "rows"
    parts: list[RenderableType] = [Text.assemble((found.name, "bold"), f"  {found.format}, {found.rows:,} {rows}")]
    parts += [_column(column, found.rows) for column in found.columns]
    parts.append(
        Text(f"\nsketches of {bytes_(found.nbytes)}; {bytes_(found.bytes_read)} read in {found.seconds:.2f} s", "dim")
    )
    return Group(*parts)


def _column(column: ColumnProfile, rows: int) -> RenderableType:
    title = Text.assemble((printable(column.name), "bold cyan"), f"  {_type(column)}")
    if not column.supported:
        return Padding(title.append(": not profiled, since its values are no single items"), (1, 0, 0, 0))
    title.append(f", {column.count:,} items")
    if rows > column.count:
        title.append(f", {rows - column.count:,} nulls")
    if column.misfits:
        title.append(f", {column.misfits:,} misfits taken as strings")
    if not column.count:
        return Padding(title, (1, 0, 0, 0))
    body = table("question", "", "answer", "between", "holds")
    body.columns[2].justify = body.columns[4].justify = "right"
    for number in (0, 2, 3, 4):
        body.columns[number].no_wrap = True  # so that long items alone give way in a narrow terminal
    body.columns[1].min_width = 8

    def add(question: str, which: str, answer: tuple[str, str, str]) -> None:
        value, bounds, holds = answer
        body.add_row(question, _label(which), Text(value, "bold"), bounds, holds)

    add("distinct items", "", count_figures(column.distinct.count()))
    add("skew (F2)", "", count_figures(column.skew.second_moment()))
    body.add_section()
    entries = column.most_frequent(TOP)
    for number, entry in enumerate(entries):
        add("" if number else "most frequent", item_text(entry.item), count_figures(entry.estimate))
    if not entries:
        body.add_row("most frequent", Text("no item is known to repeat", "dim"))
    quantiles = _ranked(column)
    if quantiles is not None:
        body.add_section()
        for number, (level, label) in enumerate(LEVELS.items()):
            add("" if number else "quantiles", label, value_figures(quantiles.quantile(level)))
    return Padding(Group(title, body), (1, 0, 0, 0))


def _type(column: ColumnProfile) -> str:
    return column.type.removeprefix("large_") or "null"


def _ranked(column: ColumnProfile) -> Quantiles | None:
    """Give the quantiles where there are numbers that have ranks (NaN has none)."""
    quantiles = column.quantiles
    return None if quantiles is None or math.isnan(quantiles.minimum) else quantiles


def as_json(found: Profile, saved: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Give a profile as JSON values; `saved` has the path of each sketch, by column and question."""
    return {
        "file": found.name,
        "format": str(found.format),
        "rows": found.rows,
        "bytes_read": found.bytes_read,
        "seconds": found.seconds,
        "sketch_bytes": found.nbytes,
        "columns": [_column_json(column, found.rows, saved.get(column.name, {})) for column in found.columns],
    }


def _column_json(column: ColumnProfile, rows: int, saved: dict[str, str]) -> dict[str, Any]:
    if not column.supported:
        return {"name": column.name, "type": _type(column), "profiled": False}
    quantiles = _ranked(column)
    return {
        "name": column.name,
        "type": _type(column),
        "profiled": True,
        "count": column.count,
        "misfits": column.misfits,
        "nulls": rows - column.count,
        "sketch_bytes": column.nbytes,
        "distinct": estimate_json(column.distinct.count()),
        "top": [
            {"item": item_json(item), "lower": lower, "upper": upper}
            for item, lower, upper in column.most_frequent(TOP)
        ],
        "f2": estimate_json(column.skew.second_moment()),
        "quantiles": [{"q": level, **estimate_json(quantiles.quantile(level))} for level in LEVELS]
        if quantiles is not None
        else None,
        "saved": saved,
    }


def sketches_table(loaded: list[tuple[str, Sketch]]) -> RenderableType:
    """Lay out saved sketches, one a row."""
    body = table("file", "bytes", "total", "answer")
    body.columns[0].overflow = "fold"
    for number in (1, 2):
        body.columns[number].justify = "right"
        body.columns[number].no_wrap = True
    for path, sketch in loaded:
        parameters = ", ".join(f"{name}={value}" for name, value in sketch._parameters().items())
        kind = Text.assemble((printable(path), "bold"), f"\n{type(sketch).__name__}", (f"\n{parameters}", "dim"))
        nulls = f"\n{sketch.nulls:,} nulls" if sketch.nulls else ""
        body.add_row(kind, bytes_(sketch.nbytes), f"{sketch.total:,}{nulls}", Text(summary(sketch)))
        body.add_section()
    return body


def sketch_json(path: str, sketch: Sketch) -> dict[str, Any]:
    """Give a saved sketch as JSON values."""
    return {
        "file": path,
        "class": type(sketch).__name__,
        "parameters": sketch._parameters(),
        "bytes": sketch.nbytes,
        "total": sketch.total,
        "nulls": sketch.nulls,
        "answer": summary(sketch),
    }


def answers_table(sketch: Sketch, items: Mapping[str, Any]) -> RenderableType:
    """Lay out the answers about some items, one a row; `items` gives them by what the user wrote."""
    if isinstance(sketch, BinaryFuseFilter | BloomFilter):
        body = table("item", "seen before?")
        for text, item in items.items():
            body.add_row(_label(item_text(text)), "probably" if item in sketch else "no, for certain")
        return Group(
            body,
            Text(
                f"\n{figure(100 * sketch.false_positive_rate())} % of all items never seen are called probable", "dim"
            ),
        )
    body = table("item", "items ≤ it" if isinstance(sketch, Quantiles) else "count", "between", "holds")
    body.columns[1].justify = body.columns[3].justify = "right"
    for text, item in items.items():
        value, bounds, holds = count_figures(ask(sketch, item))
        body.add_row(_label(item_text(text)), Text(value, "bold"), bounds, holds)
    return body


def answers_json(sketch: Sketch, items: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the answers about some items as JSON values."""
    if isinstance(sketch, BinaryFuseFilter | BloomFilter):
        rate = sketch.false_positive_rate()
        return [{"item": text, "seen": item in sketch, "false_positive_rate": rate} for text, item in items.items()]
    return [{"item": text, **estimate_json(ask(sketch, item))} for text, item in items.items()]


def _label(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
