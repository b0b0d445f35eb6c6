"""One HTML page of all jobs' figures: the goals, and for each question its plots and tables."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.html import document, svg, table
from benchmarks.networks.measure import Benchmark, Job, Plot, Row, load, together, verdict

HEADINGS = ("contender", "", "at", "value", "± of seeds", "seeds", "goal", "setting")


def number(value: float | None) -> str:
    """Write a number, or nothing."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def judged(row: Row) -> str:
    """Write the goal, and whether it was reached."""
    return "" if row.goal is None else f"{row.goal}: {verdict(row)}"


def goals(chapters: dict[str, list[Row]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the lines of the table of goals."""
    for rows in chapters.values():
        for row in rows:
            if row.goal is not None:
                kind = "yes" if verdict(row) == "reached" else "no"
                place = ", ".join(filter(None, (row.where, number(row.x), row.setting)))
                found = number(row.value), number(row.spread), str(row.runs), verdict(row)
                yield kind, (row.measure, row.name, place, str(row.goal), *found)


def measure_table(rows: list[Row]) -> str:
    """Give all rows of one measure, without the columns that none of them fills."""
    lines = [
        (
            row.role,
            (
                row.name,
                row.where,
                number(row.x),
                number(row.value),
                number(row.spread),
                "" if row.role == "known" else str(row.runs),
                judged(row),
                row.setting,
            ),
        )
        for row in rows
    ]
    used = [i for i in range(len(HEADINGS)) if any(texts[i] for _, texts in lines)]
    return table([HEADINGS[i] for i in used], ((role, [texts[i] for i in used]) for role, texts in lines))


def draw(rows: list[Row], plot: Plot, title: str) -> str:
    """Give the plot of a measure, a line a contender, with the goals as crosses."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(dict.fromkeys(row.name for row in rows)):
        line = sorted((row for row in rows if row.name == name), key=lambda row: row.x or 0.0)
        axes.errorbar(
            [row.x or 0.0 for row in line],
            [row.value for row in line],
            [row.spread or 0.0 for row in line],
            fmt={"ours": "-", "known": " "}.get(line[0].role, "--"),
            marker="osD^v<>p"[place % 8],
            markersize=5,
            linewidth=1.5 if line[0].role == "ours" else 1,
            capsize=2,
            color=f"C{place % 10}",
            label=name,
        )
    aims = [row for row in rows if row.goal is not None]
    if aims:
        heights = [row.goal.at_most for row in aims if row.goal is not None]
        axes.plot([row.x or 0.0 for row in aims], heights, "kx", markersize=8, label="goal")
    axes.set(xlabel=plot.x, ylabel=plot.measure, title=title)
    if plot.log_x:
        axes.set_xscale("log")
        few_labels(axes.xaxis)
    if plot.log_y:
        axes.set_yscale("log")
        few_labels(axes.yaxis)
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8, framealpha=0.6)
    return svg(figure, f"{plot.measure} {title}")


def few_labels(axis: Axis) -> None:
    """Label a logarithmic axis at six places of each decade: short ones are not bare, long ones not crowded."""
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def chapter(job: Job, rows: list[Row], remarks: list[str]) -> Iterator[str]:
    """Give what the page shows of the jobs of one title."""
    yield f"<h2>{html.escape(job.title)}</h2><p>{html.escape(job.about)}</p>"
    yield from (f"<p>{html.escape(remark)}</p>" for remark in dict.fromkeys(remarks))
    for measure in dict.fromkeys(row.measure for row in rows):
        group = [row for row in rows if row.measure == measure]
        yield f"<h3>{html.escape(measure)}</h3>"
        for plot in job.plots:
            if plot.measure == measure:
                drawn = [row for row in group if row.x is not None]
                for where in dict.fromkeys(row.where for row in drawn):
                    yield draw([row for row in drawn if row.where == where], plot, where)
        yield measure_table(group)


def html_page(benchmark: Benchmark, found: dict[str, tuple[list[Row], list[str], dict[str, Any]]]) -> str:
    """Give the page of the jobs that were found, by name."""
    jobs = benchmark.jobs()
    chapters: dict[str, list[Row]] = {}
    words: dict[str, list[str]] = {}
    for name, (rows, remarks, _) in found.items():
        chapters.setdefault(jobs[name].title, []).extend(rows)
        words.setdefault(jobs[name].title, []).extend(remarks)
    chapters = {title: together(rows) for title, rows in chapters.items()}
    by_title = {job.title: job for job in jobs.values()}
    lines = [("", [name, *(str(about.get(key, "")) for key in RUN)]) for name, (_, _, about) in found.items()]
    return document(
        benchmark.title,
        [
            f"<h1>{html.escape(benchmark.heading)}</h1>",
            "<p>Figures of several seeds are their mean; ± is the standard deviation of one seed's.</p><h2>Goals</h2>",
            table(("measure", "contender", "of", "goal", "measured", "± of seeds", "seeds", ""), goals(chapters)),
            *(part for title, rows in chapters.items() for part in chapter(by_title[title], rows, words[title])),
            "<h2>Runs</h2>",
            table(("job", *RUN), lines),
        ],
    )


RUN = ("scale", "date", "seconds", "processor", "threads", "training", "platform", "python", "torch", "numpy")


def write_page(benchmark: Benchmark, folder: Path) -> Path:
    """Make the page of all results in a folder, and give its path."""
    found = {name: load(folder / f"{name}.json") for name in benchmark.jobs() if (folder / f"{name}.json").is_file()}
    path = folder / f"{benchmark.name}.html"
    path.write_text(html_page(benchmark, found))
    return path
