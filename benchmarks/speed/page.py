"""The table on a terminal, and one HTML page with tables and plots that needs no other file."""

from __future__ import annotations

import html
from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullLocator
from rich.console import Console
from rich.table import Table

from benchmarks.html import document, svg, table
from benchmarks.speed.jobs import JOBS
from benchmarks.speed.results import Row, times

HEADINGS = (
    "contender",
    "items",
    "ns/item",
    "faster than best peer",
    "time of floor",
    "bytes",
    "error",
    "goal",
    "setting",
)


def by_job(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows by job, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.job, []).append(row)
    return found


def cells(row: Row) -> tuple[str, ...]:
    """Give a row's text under the headings."""
    return (
        row.name,
        f"{row.items:,}",
        f"{row.ns:,.2f}" if row.ns < 1000 else f"{row.ns:,.0f}",
        "" if row.speedup is None else times(row.speedup),
        "" if row.floors is None else times(row.floors),
        "" if row.nbytes is None else f"{row.nbytes:,}",
        row.error,
        "; ".join(f"{v.goal}: {v.measured}, {'reached' if v.reached else 'not reached'}" for v in row.verdicts),
        row.setting,
    )


def is_pivot(rows: list[Row]) -> bool:
    """Tell whether the job's contenders run at several sizes."""
    return any(row.column for row in rows)


def pivot(rows: list[Row], quantity: str = "ns/item") -> tuple[list[str], list[list[str]]]:
    """Give (headings, lines) with a contender a line, in ns/item or bytes."""
    columns = list(dict.fromkeys(row.column for row in rows))
    lines = []
    for name in dict.fromkeys(row.name for row in rows):
        found = {row.column: cells(row)[HEADINGS.index(quantity)] for row in rows if row.name == name}
        if any(found.values()):
            lines.append([name, *(found.get(column, "") for column in columns)])
    return [quantity, *columns], lines


def print_tables(rows: list[Row], console: Console) -> None:
    """Print all tables."""
    for job, group in by_job(rows).items():
        shown = Table(title=JOBS[job].title, title_justify="left")
        if is_pivot(group):
            headings, lines = pivot(group)
        else:
            headings, lines = list(HEADINGS[:-1]), [list(cells(row)[:-1]) for row in group]
        for place, heading in enumerate(headings):
            shown.add_column(heading, justify="left" if not place or heading in ("error", "goal") else "right")
        for line in lines:
            shown.add_row(*line)
        console.print(shown)
        if is_pivot(group):
            for row in group:
                if row.verdicts:
                    console.print(f"{row.name}, {row.column}: {cells(row)[HEADINGS.index('goal')]}")
    reached = [verdict.reached for row in rows for verdict in row.verdicts]
    console.print(f"{sum(reached)} of {len(reached)} goals reached")


def plot(rows: list[Row], axis: str) -> str:
    """Give a plot of ns/item against x as SVG."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(dict.fromkeys(row.name for row in rows)):
        line = [row for row in rows if row.name == name]
        style = {"ours": "-", "peer": "--", "exact": "-.", "floor": ":"}[line[0].role]
        points = [row.x for row in line], [row.ns for row in line]
        axes.plot(*points, style, marker="osD^v<>p"[place % 8], color=f"C{place % 10}", label=name)
    axes.set(xlabel=axis, ylabel="ns/item")
    if axis != "threads":
        axes.set_xscale("log", base=2 if axis == "bytes" else 10)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
    ticks = {row.x: row.column for row in rows}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, which="both", alpha=0.25)
    figure.legend(loc="outside right upper", fontsize="small")
    return svg(figure, axis)


def html_page(rows: list[Row], about: dict[str, str]) -> str:
    """Give the page; `about` says where and with what the run was made."""
    parts = [
        "<h1>Speed, beside peers and the floor</h1>",
        "<p>One thread each. Times are the processor's, summed over threads (of the job threads: the wall's), "
        "and the least of several, which the contenders took in turns. "
        "The floor only hashes the same keys and touches as many random places of a table as large.</p>",
        table(("", "of this run"), (("", item) for item in about.items())),
        "<h2>Goals</h2>",
        table(
            ("job", "contender", "goal", "measured", "reached"),
            (
                (
                    "yes" if v.reached else "no",
                    (JOBS[row.job].title, row.name, v.goal, v.measured, "yes" if v.reached else "no"),
                )
                for row in rows
                for v in row.verdicts
            ),
        ),
    ]
    for job, group in by_job(rows).items():
        parts.append(f"<h2 id={job}>{html.escape(JOBS[job].title)}</h2>")
        if JOBS[job].axis:
            parts.append(plot(group, JOBS[job].axis))
        if is_pivot(group):
            for quantity in ("ns/item", "bytes") if JOBS[job].axis == "items" else ("ns/item",):
                headings, lines = pivot(group, quantity)
                parts.append(table(headings, (("", line) for line in lines)))
        else:
            parts.append(table(HEADINGS, ((row.role, cells(row)) for row in group)))
    return document("Speed", parts)
