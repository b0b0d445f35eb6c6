"""Tables that print well in a terminal and a notebook, and that are lists of records to programs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any, Literal, NamedTuple, overload

from sketches.core.text import number, printable, share, shortened

__all__ = ["Column", "Table"]

NAME = 40  # characters of a text in a terminal
FORMATS: dict[str, Callable[[Any], str]] = {
    "text": printable,
    "number": number,
    "share": share,
    "count": lambda count: f"{count:,}",
}


class Column(NamedTuple):
    """A column: its heading, a Python value a row (None where there is none), and how these are written."""

    heading: str
    values: Sequence[Any]
    kind: Literal["text", "number", "share", "count"] = "text"

    def texts(self) -> list[str]:
        """Give the cells as they are printed."""
        write = FORMATS[self.kind]
        return ["" if value is None else write(value) for value in self.values]


class Table(Sequence[dict[str, Any]]):
    """Some columns of equal length. ``str`` lays it out for a terminal, notebooks show it as HTML.

    As a sequence it holds one dict a row, with plain Python numbers: ``pandas.DataFrame(table)``,
    ``polars.DataFrame(list(table))``, ``json.dumps(table.records())``.

    Examples
    --------
    >>> table = Table("two layers", [Column("layer", ["fc1", "fc2"]), Column("zeros", [0.5, 0.0], "share")])
    >>> print(table)
    two layers
    layer   zeros
    fc1    50.0 %
    fc2       0 %
    >>> table[0]
    {'layer': 'fc1', 'zeros': 0.5}
    """

    def __init__(self, title: str, columns: Sequence[Column]) -> None:
        self.title = title
        self.columns = tuple(columns)

    def __len__(self) -> int:
        return len(self.columns[0].values)

    @overload
    def __getitem__(self, row: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, row: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, row: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(row, slice):
            return self.records()[row]
        return {column.heading: column.values[row] for column in self.columns}

    def records(self, *, finite: bool = False) -> list[dict[str, Any]]:
        """Give the rows; `finite` puts None for NaN and infinities, which JSON does not have."""
        rows = [self[row] for row in range(len(self))]
        if finite:
            rows = [{heading: _finite(value) for heading, value in row.items()} for row in rows]
        return rows

    def __str__(self) -> str:
        return "\n".join([printable(self.title), *self._lines(shutil.get_terminal_size().columns)])

    __repr__ = __str__

    def _lines(self, width: int) -> Iterator[str]:
        """Lay the columns out, in blocks as wide as the terminal that each begin with the first column."""
        blocks = []
        for column in self.columns:
            texts = [shortened(text, NAME) for text in (column.heading, *column.texts())]
            widest = max(map(len, texts))
            blocks.append([text.ljust(widest) if column.kind == "text" else text.rjust(widest) for text in texts])
        first, *others = blocks
        while True:
            shown = [first]
            while others and (len(shown) == 1 or sum(len(block[0]) + 2 for block in [*shown, others[0]]) - 2 <= width):
                shown.append(others.pop(0))
            yield from ("  ".join(cells).rstrip() for cells in zip(*shown, strict=True))
            if not others:
                return
            yield ""

    def _repr_html_(self) -> str:
        """Give the table as HTML, which notebooks show; names are escaped."""

        def cell(tag: str, column: Column, text: str) -> str:
            side = "left" if column.kind == "text" else "right"
            return f'<{tag} style="text-align:{side}">{escape(text)}</{tag}>'

        head = "".join(cell("th", column, column.heading) for column in self.columns)
        texts = [column.texts() for column in self.columns]
        body = "".join(
            f"<tr>{''.join(cell('td', *pair) for pair in zip(self.columns, row, strict=True))}</tr>"
            for row in zip(*texts, strict=True)
        )
        caption = f"<caption>{escape(printable(self.title))}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
