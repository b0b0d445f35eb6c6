"""The report: one HTML page with its figures inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from sketches.core.estimate import Estimate
from sketches.demo import figures
from sketches.demo.network import Variant
from sketches.demo.stream import Answer
from sketches.demo.text import number, size, value, verdict
from sketches.nn import StreamingStatistics

__all__ = ["html"]

STYLE = """
:root { --ink: #1f2933; --muted: #616e7c; --line: #e4e7eb; --accent: #2a6f97; }
* { box-sizing: border-box; }
body { margin: 0; background: #f7f8fa; color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; margin: 3.2rem 0 .6rem; }
p { max-width: 44rem; margin: .5rem 0 1rem; }
.lead, figcaption, .note { color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem; margin: 2rem 0; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: .9rem; }
figure, .table { background: #fff; border: 1px solid var(--line); border-radius: .6rem; margin: 1.2rem 0;
  padding: 1.2rem 1.2rem 1rem; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: .9rem; margin-top: .8rem; max-width: 48rem; }
.table { overflow-x: auto; padding: .4rem 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--muted); padding: .55rem .5rem; white-space: nowrap; }
td { text-align: right; border-top: 1px solid var(--line); padding: .5rem; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; }
th:last-child, td:last-child { padding-right: 0; }
td small { color: var(--muted); }
.no { color: #c8553d; font-weight: 600; }
@media (max-width: 44rem) {
  main { padding: 2rem .8rem 3rem; }
  figure { overflow-x: auto; }
  figure svg { min-width: 30rem; }
  .table { padding: .4rem .7rem; }
  th, td { padding-left: .3rem; padding-right: .3rem; }
}
"""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; cells are HTML already."""
    lines = [
        "<div class=table><table><thead><tr>",
        *(f"<th>{escape(name)}</th>" for name in header),
        "</tr></thead><tbody>",
    ]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "".join([*lines, "</tbody></table></div>"])


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _tiles(tiles: Iterable[tuple[str, str]]) -> str:
    inner = "".join(f"<div class=tile><b>{escape(big)}</b><span>{escape(small)}</span></div>" for big, small in tiles)
    return f"<div class=tiles>{inner}</div>"


def _answers_table(answers: Sequence[Answer]) -> str:
    rows = []
    for answer in answers:
        low, high = (value(answer, bound) for bound in (answer.lower, answer.upper))
        found = verdict(answer)
        rows.append(
            (
                f"{escape(answer.question)}<br><small>{escape(answer.method)}</small>",
                value(answer, answer.estimate),
                f"{low} … {high}",
                value(answer, answer.exact),
                found if answer.inside else f'<span class="no">{found}</span>',
                f"{size(answer.nbytes)}<br><small>{size(answer.exact_nbytes)}</small>",
                f"{answer.seconds * 1000:,.0f} ms<br><small>{answer.exact_seconds * 1000:,.0f} ms</small>",
            )
        )
    return _table(("question", "estimate", "bounds", "exact", "inside", "memory", "time"), rows)


def _with_bounds(estimate: Estimate) -> str:
    return f"{number(estimate)}<br><small>{number(estimate.lower)} … {number(estimate.upper)}</small>"


def _layers_table(statistics: StreamingStatistics) -> str:
    rows = []
    for name in statistics.layers:
        found = statistics.summary(name)
        top = ", ".join(map(str, found.active["unit"][:3].tolist()))
        rows.append(
            (
                escape(name),
                f"{len(found.mean)}",
                f"{found.samples:,}",
                f"{found.zeros.mean():.1%}",
                number(float(found.values.quantile(0.99))),
                f"{len(found.dead)}",
                f"{len(found.rare)}",
                top,
                _with_bounds(found.patterns),
                _with_bounds(found.effective_units),
            )
        )
    header = (
        "layer",
        "units",
        "samples",
        "zeros",
        "99 % value",
        "dead",
        "rare",
        "most active",
        "patterns",
        "effective units",
    )
    return _table(header, rows)


def _variants_table(variants: Sequence[Variant]) -> str:
    whole = variants[0]
    rows = [
        (
            escape(variant.name),
            f"{variant.sparsity:.1%}" if variant.sparsity else "–",
            f"{variant.parameters:,}",
            size(variant.nbytes),
            f"{whole.nbytes / variant.nbytes:.1f}×",
            f"{variant.validation:.1%}",
            f"{variant.test:.1%}",
        )
        for variant in variants
    ]
    return _table(("network", "removed", "parameters", "bytes", "smaller", "validation", "test"), rows)


PAGE = """<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>sketches: the demo</title>
<style>{style}</style>
</head>
<body><main>
<h1>Big streams, small answers</h1>
<p class=lead>{events:,} events and {samples:,} samples through a network, each seen once. Computed in {seconds:.0f}
seconds, with seed {seed}.</p>
{tiles}
<h2>A stream, asked seven ways</h2>
<p>Every question is answered twice: by a sketch that saw each event once, and exactly, from everything. “Always” marks
bounds that hold on any stream; a percentage is the share of hash functions for which they hold; “by
design” is what a filter below its capacity promises. ✓: the exact answer is
inside.</p>
{bounds}
{answers}
<p class=note>Memory and time: above those of the sketch, below those of the quickest exact answer NumPy or Python
gives. What an exact answer keeps is a table of distinct users (with counts where they are needed), a set of pages, or
all latencies.</p>
{memory}
<h2>A network, watched while data streams through</h2>
<p>A perceptron with 300 and 100 hidden units classifies scikit-learn’s handwritten digits. Its training images, shifted
and with noise, stream through; what enters each matrix of weights is summarised in a fixed number of bytes.</p>
{layers}
<p class=note>Dead units never fired. Rare ones made up, for certain, at most 0.1 % of the layer’s firings. Patterns:
distinct sets of units that fire together. Effective units: as many equally active units would have the same energy (sum
of squared firings).</p>
{histograms}
{units}
<h2>The same network, smaller</h2>
<p>Pruned: step by step, on a cubic schedule to 90 % and then beyond, the weights go whose size times the strength of
their input, as just streamed, is least; what is left is trained. Hashed: the weights of each matrix are looked up, by
hash, in a vector an eighth (a sixteenth) as long, which is then trained.</p>
{variants}
<p class=note>The {tests} images of the test part tell an accuracy to about ±{noise:.1%}. Bytes: 4 for every weight and
bias that is stored; a pruned matrix adds the smaller of one bit for each weight, removed or not, and compressed rows
(2 bytes for each column number, 4 for each row). The dense network was trained for {epochs} epochs, then pruned and
trained for {repairs} more at each step, or hashed and trained for {hashed_epochs} more. All choices were made on the
validation part; the network named at the top is the smallest that loses at most 1 % there.</p>
{accuracy}
</main></body>
</html>
"""


def html(
    answers: Sequence[Answer],
    statistics: StreamingStatistics,
    variants: Sequence[Variant],
    *,
    events: int,
    tests: int,
    epochs: int,
    repairs: int,
    hashed_epochs: int,
    seconds: float,
    seed: int,
) -> str:
    """Write the whole page."""
    summaries = [statistics.summary(name) for name in statistics.layers]
    activations = sum(summary.samples * len(summary.mean) for summary in summaries)
    dense, latency = variants[0], answers[-1]
    good = (variant for variant in variants if variant.validation >= dense.validation - 0.01)
    smallest = min(good, key=lambda variant: variant.nbytes)
    inside = sum(answer.inside for answer in answers)
    tiles = (
        (f"{inside} of {len(answers)}", "exact answers within the bounds of their estimates"),
        (size(latency.nbytes), f"for the quantiles of {events:,} latencies; exactly {size(latency.exact_nbytes)}"),
        (size(statistics.nbytes), f"of statistics for {size(4 * activations)} of activations"),
        (
            f"{dense.nbytes / smallest.nbytes:.0f}× smaller",
            f"{smallest.name}: {smallest.test:.1%} right; dense: {dense.test:.1%}",
        ),
    )
    return PAGE.format(
        style=STYLE,
        events=events,
        samples=summaries[0].samples,
        seconds=seconds,
        seed=seed,
        tiles=_tiles(tiles),
        bounds=_figure(
            figures.bounds(answers),
            "Estimates (dots) and their bounds (bars) around the truth (line). Each row is scaled to its farther "
            "bound, given at the right relative to the truth.",
        ),
        answers=_answers_table(answers),
        memory=_figure(
            figures.memory(answers), "What must be kept to answer, by sketch and exactly (logarithmic scale)."
        ),
        layers=_layers_table(statistics),
        histograms=_figure(
            figures.histograms(statistics), "Activations above zero, drawn from the quantile sketch of each layer."
        ),
        units=_figure(figures.units(statistics), "How often each unit fires."),
        variants=_variants_table(variants),
        tests=tests,
        epochs=epochs,
        repairs=repairs,
        hashed_epochs=hashed_epochs,
        noise=2 * (dense.test * (1 - dense.test) / tests) ** 0.5,  # two standard errors of a share
        accuracy=_figure(figures.accuracy(variants), "Accuracy of the pruned and hashed networks."),
    )
