"""Statistics as one HTML page: what seems wrong, all layers at a glance, and each layer in detail."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sketches.core import page
from sketches.core.estimate import Estimate
from sketches.core.text import number, printable, share, shortened, size
from sketches.nn.statistics import plots
from sketches.nn.statistics.drift import Drift, LayerDrift, drift
from sketches.nn.statistics.layer import LayerSummary
from sketches.nn.statistics.overview import QUANTILES, Problem, layers_table, problems

if TYPE_CHECKING:
    from sketches.nn.statistics.streaming import StreamingStatistics

__all__ = ["html"]

STYLE = (
    page.STYLE
    + plots.STYLE
    + """
main { max-width: 100rem; }
h2 { margin-top: 2.4rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.name { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
td .name { white-space: nowrap; }
.all th:first-child, .all td:first-child { position: sticky; left: 0; background: #fff; }
.all table { font-size: .74rem; } .all .name { font-size: 11.5px; }
.table { padding: .2rem 1rem; } table { font-size: .8rem; }
th, td { padding: .32rem .4rem; } td.text .no { white-space: nowrap; }
td svg { display: block; width: 90px; height: 21px; }
td.text, th.text { text-align: left; white-space: normal; }
.kind { font-weight: 600; margin-right: .7rem; } .grave { color: #c8553d; } .mild { color: #8a6416; }
details { background: #fff; border: 1px solid var(--line); border-radius: .6rem; margin: .6rem 0; }
summary { cursor: pointer; padding: .6rem 1rem; } summary .note { margin-left: .8rem; font-size: .88rem; }
details > div { padding: 0 1rem 1rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1rem 1.4rem; }
.plots figure { border: 0; margin: 0; padding: 0; } .plots figcaption { margin-top: .1rem; font-size: .82rem; }
details .table { border: 0; padding: 0; margin: .8rem 0 0; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(28rem, 1fr)); gap: 0 2rem; align-items: start; }
h3 { font-size: .9rem; margin: 1rem 0 0; }
"""
)
OPEN = 3  # layers shown unfolded, if there are no more
HEAVY = 8  # units listed
PROBLEMS = 30  # listed at once
LISTED = 12  # problems' units, or ranges of them


def html(statistics: StreamingStatistics, against: StreamingStatistics | None = None) -> str:
    """Write the page; with other statistics `against` these, also how they differ."""
    summaries = [statistics.summary(name) for name in statistics.layers]
    found = problems(summaries)
    moved = drift(against, statistics) if against is not None else None
    number_of = {summary.layer: i for i, summary in enumerate(summaries)}
    values = sum(int(summary.count.sum()) for summary in summaries)
    shown = (
        (f"{len(summaries):,}", "layers"),
        (number(values), "values seen"),
        (size(statistics.nbytes), f"of statistics; as float32 the values take {size(4 * values)}"),
        (f"{len({problem.layer for problem in found}):,}", "layers with something to look at"),
    )
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1"><title>Statistics of a network</title>',
        f"<style>{STYLE}</style></head><body><main><h1>Statistics of a network</h1>",
        "<p class=lead>Moments, extremes and counts are exact. Quantiles are within 0.4 % of their value (2⁻⁸), "
        "always. Patterns and ranks are estimates with bounds.</p>",
        page.tiles(shown),
    ]
    if found:
        parts += ["<h2>What to look at</h2>", _problems(found, number_of)]
    if moved is not None:
        parts += ["<h2>What changed</h2>", _drift(moved, number_of)]
    parts += [
        "<h2>All layers</h2>",
        "<p class=note>Values: their share an octave, on a signed logarithmic axis; yellow: at or near zero.</p>",
        _overview(summaries, found, number_of),
        "<h2>Each layer</h2>",
    ]
    drifts = {layer.layer: layer for layer in moved.layers} if moved is not None else {}
    for i, summary in enumerate(summaries):
        mine = [problem for problem in found if problem.layer == summary.layer]
        parts.append(_details(summary, i, mine, drifts.get(summary.layer), len(summaries) <= OPEN))
    return "".join([*parts, "</main></body></html>\n"])


def _link(layer: str, number_of: dict[str, int], longest: int = 60) -> str:
    name = printable(layer)
    text = f'<span class=name title="{escape(name)}">{escape(shortened(name, longest))}</span>'
    return f'<a href="#layer-{number_of[layer]}">{text}</a>' if layer in number_of else text


def _kind(kind: str) -> str:
    return f'<span class="kind {_gravity(kind)}">{kind}</span>'


def _gravity(kind: str) -> str:
    return "grave" if kind in ("NaN", "Inf", "saturated", "dead") else "mild"


def _problems(found: list[Problem], number_of: dict[str, int]) -> str:
    rows = [
        (
            _link(problem.layer, number_of),
            _kind(problem.kind),
            f"{len(problem.units):,}" if len(problem.units) else "",
            escape(problem.detail),
            _ranges(problem.units),
        )
        for problem in found
    ]
    header, left = ("layer", "what", "units", "", "which"), (1, 3, 4)
    if len(rows) <= PROBLEMS:
        return page.table(header, rows, left)
    return (
        f"{page.table(header, rows[:PROBLEMS], left)}<details><summary>{len(rows) - PROBLEMS:,} more</summary>"
        f"<div>{page.table(header, rows[PROBLEMS:], left)}</div></details>"
    )


def _ranges(units: npt.NDArray[np.int64]) -> str:
    """Write ascending numbers shortly: 1, 4–6, 9."""
    if not len(units):
        return ""
    runs = np.split(units, np.flatnonzero(np.diff(units) > 1) + 1)
    texts = [f"{run[0]}" if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs[:LISTED]]
    return ", ".join(texts) + (" …" if len(runs) > LISTED else "")


def _overview(summaries: list[LayerSummary], found: list[Problem], number_of: dict[str, int]) -> str:
    """Write the table of all layers, with small histograms; what is wrong stands in one column."""
    table = layers_table(summaries)
    texts = {column.heading: column.texts() for column in table.columns}
    first = ("samples", "units", "zeros", "rank", "patterns", "mean", "std")  # the others may lie beyond the edge
    rest = [name for name in texts if name in ("min", *QUANTILES.values(), "max")]
    rows = []
    for i, summary in enumerate(summaries):
        counts = [
            f'<span class="no {_gravity(kind)}">{f"{len(units):,} " if len(units) else ""}{kind}</span>'
            for layer, kind, units, _ in found
            if layer == summary.layer
        ]
        cells = [_link(summary.layer, number_of, 34), plots.sparkline(summary.values)]
        cells.append("<br>".join(counts))
        rows.append(cells + [texts[name][i] for name in (*first, *rest)])
    return f"<div class=all>{page.table(['layer', 'values', 'look at', *first, *rest], rows, left=(1, 2))}</div>"


def _bounds(estimate: Estimate) -> str:
    if estimate.lower == estimate.upper:
        return number(estimate)
    return f"{number(estimate)} <small>{number(estimate.lower)} … {number(estimate.upper)}</small>"


def _drift(found: Drift, number_of: dict[str, int]) -> str:
    rows = [
        (
            _link(layer.layer, number_of),
            _bounds(layer.distance),
            number(layer.chance),
            "<span class=no>drifted</span>" if layer.drifted else "",
            _bounds(layer.moved),
            ", ".join(f"{unit} ({layer.shift[unit]:+.3g})" for unit in layer.most_shifted(3).tolist()),
            f"{len(layer.died):,}",
            f"{len(layer.revived):,}",
        )
        for layer in found.layers
    ]
    header = ("layer", "distance", "by chance", "", "moved by", "units most shifted", "died", "revived")
    parts = [page.table(header, rows)]
    for which, names in (("before", found.only_before), ("now", found.only_after)):
        if names:
            listed = ", ".join(f"<span class=name>{escape(printable(name))}</span>" for name in names)
            parts.append(f"<p class=note>Only {which}: {listed}</p>")
    parts.append(
        "<p class=note>Distance: the largest difference between the two distribution functions of a layer’s values "
        "(Kolmogorov–Smirnov). By chance: what it stays below with 99 % if nothing changed and samples are "
        "independent; places of one image are not, so for convolutions that is too low. Moved by: the mean way between "
        "the distributions (Wasserstein-1). Shifted: difference of a unit’s means over its standard deviation. "
        "Bounds always hold.</p>"
    )
    return "".join(parts)


def _details(summary: LayerSummary, i: int, found: list[Problem], moved: LayerDrift | None, unfolded: bool) -> str:
    width = len(summary.mean)
    kinds = " ".join(_kind(problem.kind) for problem in found)
    head = (
        f"<span class=name><b>{escape(printable(summary.layer))}</b></span>"
        f"<span class=note>{width:,} {'unit' if width == 1 else 'units'}, {summary.samples:,} samples</span> {kinds}"
    )
    figures = "".join(_figures(summary, moved))
    facts = [
        ("distinct patterns", _bounds(summary.patterns)),
        ("effective rank", _bounds(summary.effective_rank)),
        ("stable rank", _bounds(summary.stable_rank)),
        ("effective units", _bounds(summary.effective_units)),
    ]
    facts += [
        (
            f"which are {problem.kind}" if problem.kind not in ("NaN", "Inf") else f"which gave {problem.kind}",
            _ranges(problem.units),
        )
        for problem in found
        if len(problem.units)
    ]
    body = (
        f"<div class=plots>{figures}</div><div class=two>"
        f"<div><h3>Units that carry most of the squared values</h3>{_heavy(summary)}</div>"
        f"<div><h3>The layer</h3>{page.table(('', ''), facts)}</div></div>"
    )
    return f"<details id=layer-{i}{' open' if unfolded else ''}><summary>{head}</summary><div>{body}</div></details>"


def _figures(summary: LayerSummary, moved: LayerDrift | None) -> Iterator[str]:
    other = moved.before.values if moved is not None else None
    caption = "Values, on a signed logarithmic axis" + ("; red: before" if other is not None else "")
    for svg, text in (
        (plots.values(summary.values, other), caption),
        (plots.units(summary), "Mean ± standard deviation of each unit"),
        (plots.firings(summary), "Share of the samples for which a unit is above zero"),
    ):
        if svg:
            yield page.figure(svg, text)


def _heavy(summary: LayerSummary) -> str:
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.nan_to_num(summary.norms) ** 2
        shares = squares / squares.sum() if squares.any() else squares
    rows = [
        (
            f"{unit}",
            share(float(shares[unit])),
            number(float(summary.mean[unit])),
            number(float(np.sqrt(summary.variance[unit]))),
            number(float(summary.minimum[unit])),
            number(float(summary.maximum[unit])),
            share(float(summary.zeros[unit])),
            share(float(summary.fires[unit])),
        )
        for unit in np.argsort(-shares, kind="stable")[:HEAVY].tolist()
    ]
    return page.table(("unit", "of Σx²", "mean", "std", "min", "max", "zeros", "fires"), rows)
