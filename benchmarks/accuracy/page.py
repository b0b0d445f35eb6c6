"""One HTML page with the goals, and for each job its tables and plots."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator

from matplotlib.figure import Figure

from benchmarks.accuracy.jobs import JOBS
from benchmarks.accuracy.measure import Plot, Row, Value
from benchmarks.html import document, svg, table

HEADINGS = (
    "contender", "stream", "n", "bytes", "value", "95 % interval", "replicas", "theory", "÷ theory", "limit",
    "÷ limit", "goal", "setting",
)  # fmt: skip
WIDEST = 6  # sizes that a table shows side by side; more are thinned to powers of ten


def number(value: float | None, digits: int = 4) -> str:
    """Write a number, or nothing."""
    if value is None:
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def interval(value: Value) -> str:
    """Write the interval, or that there is none."""
    return "" if value.low == value.high else f"{number(value.low)} to {number(value.high)}"


def verdict(row: Row) -> str:
    """Say whether the goal was reached, and of a miss, whether chance may have done it."""
    if row.goal is None:
        return ""
    if row.goal.reached(row.value.value):
        return "reached"
    possible = row.goal.at_least <= row.value.high and row.value.low <= row.goal.at_most
    return "missed, within the interval" if possible else "missed"


def cells(row: Row) -> tuple[str, ...]:
    """Give a row's text under the headings."""
    return (
        row.name,
        row.stream,
        number(row.n),
        "" if row.nbytes is None else f"{row.nbytes:,.0f}",
        number(row.value.value),
        interval(row.value),
        f"{row.value.replicas:,}",
        number(row.theory),
        number(row.to_theory, 3),
        number(row.limit),
        number(row.to_limit, 3),
        "" if row.goal is None else f"{row.goal}: {verdict(row)}",
        row.setting,
    )


def goals(rows: dict[str, list[Row]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the lines of the table of goals."""
    for job, found in rows.items():
        for row in found:
            if row.goal is not None:
                reached = row.goal.reached(row.value.value)
                where = ", ".join(filter(None, (row.stream, f"n = {number(row.n)}" if row.n else "", row.setting)))
                yield (
                    "yes" if reached else "no",
                    (
                        JOBS[job].title,
                        row.name,
                        row.measure,
                        where,
                        str(row.goal),
                        number(row.value.value),
                        interval(row.value),
                        verdict(row),
                    ),
                )


def tally(rows: dict[str, list[Row]]) -> str:
    """Say how many goals were reached."""
    found = [verdict(row) for group in rows.values() for row in group if row.goal is not None]
    chance = found.count("missed, within the interval")
    return (
        f"Of {len(found)}, {found.count('reached')} were reached; {chance} missed by no more than chance explains, "
        f"{found.count('missed')} by more. The fewer the replicas, the more are missed by chance."
    )


def measure_table(rows: list[Row]) -> str:
    """Give all rows of one measure: a size a column if they differ in nothing else, a row a line if they do."""
    sizes = sorted({row.n for row in rows if row.n is not None})
    if len(sizes) <= WIDEST or any(row.nbytes is not None for row in rows):
        # Columns in which no row has anything are left out.
        texts = [cells(row) for row in rows]
        used = [i for i in range(len(HEADINGS)) if any(text[i] for text in texts)]
        return table(
            [HEADINGS[i] for i in used],
            ((row.role, [text[i] for i in used]) for row, text in zip(rows, texts, strict=True)),
        )
    sizes = [n for n in sizes if str(n).strip("0") == "1"]
    lines = []
    for name, stream in dict.fromkeys((row.name, row.stream) for row in rows):
        line = {row.n: row for row in rows if (row.name, row.stream) == (name, stream)}
        of = next(iter(line.values()))
        texts = [f"{of.value.replicas:,}"]
        for n in sizes:
            texts.append(with_error(line[n].value) if n in line else "")
        lines.append((of.role, [name, stream, *texts]))
    return table(["contender", "stream", "replicas", *(f"n = {n:,}" for n in sizes)], lines)


def with_error(value: Value) -> str:
    """Write a value and half its interval."""
    return f"{value.value:.3f} ± {(value.high - value.low) / 2:.3f}"


def draw(rows: list[Row], plot: Plot, title: str) -> str:
    """Give the plot of a measure with its intervals."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(dict.fromkeys(row.name for row in rows)):
        line = sorted((r for r in rows if r.name == name), key=lambda r: getattr(r, plot.x) or 0)
        axes.errorbar(
            [getattr(row, plot.x) for row in line],
            [row.value.value for row in line],
            [
                [max(0.0, r.value.value - r.value.low) for r in line],
                [max(0.0, r.value.high - r.value.value) for r in line],
            ],
            fmt="-" if line[0].role == "ours" else "--",
            marker="osD^v<>p"[place % 8],
            markersize=4,
            linewidth=1,
            color=f"C{place % 10}",
            label=name,
        )
    axes.set(xlabel={"n": "items", "nbytes": "bytes", "limit": "least possible"}[plot.x], ylabel=plot.measure)
    if plot.x != "limit":
        axes.set_xscale("log", base=10 if plot.x == "n" else 2)
    if not plot.linear:
        axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.25)
    figure.legend(loc="outside right upper", fontsize="small")
    return svg(figure, f"{title} {plot.measure}")


def html_page(rows: dict[str, list[Row]], remarks: dict[str, list[str]], about: dict[str, str]) -> str:
    """Give the page; `about` says with what the run was made."""
    parts = [
        "<h1>Accuracy, beside peers, theory and the limit</h1>",
        "<p>Each figure comes from so many independent sketches, and with the 95 % confidence interval that these "
        "leave; where there is none, the figure is the worst that was seen, or is no random one. Seeds are literal: "
        "the same versions give the same page.</p>",
        table(("", "of this run"), (("", item) for item in about.items())),
        f"<h2>Goals</h2><p>{tally(rows)}</p>",
        table(("job", "contender", "measure", "", "goal", "measured", "95 % interval", "reached"), goals(rows)),
    ]
    for job, found in rows.items():
        parts.append(f"<h2 id={job}>{html.escape(JOBS[job].title)}</h2><p>{html.escape(JOBS[job].about)}</p>")
        parts += [f"<p>{html.escape(remark)}</p>" for remark in remarks.get(job, ())]
        for measure in dict.fromkeys(row.measure for row in found):
            group = [row for row in found if row.measure == measure]
            parts.append(f"<h3>{html.escape(measure)}</h3>")
            for plot in JOBS[job].plots:
                drawn = [row for row in group if plot.only in (None, row.stream)]
                if plot.measure == measure and drawn:
                    parts.append(draw(drawn, plot, job))
            parts.append(measure_table(group))
    return document("Accuracy", parts)
