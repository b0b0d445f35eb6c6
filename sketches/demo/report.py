"""The report: one HTML page with its figures inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sketches.core.estimate import Estimate
from sketches.core.page import STYLE, figure, table, tiles
from sketches.demo import figures
from sketches.demo.network import Variant
from sketches.demo.stream import Answer
from sketches.demo.text import number, size, value, verdict
from sketches.nn import StreamingStatistics

__all__ = ["html"]


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
    return table(("question", "estimate", "bounds", "exact", "inside", "memory", "time"), rows)


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
    return table(header, rows)


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
    return table(("network", "removed", "parameters", "bytes", "smaller", "validation", "test"), rows)


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
    shown = (
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
        tiles=tiles(shown),
        bounds=figure(
            figures.bounds(answers),
            "Estimates (dots) and their bounds (bars) around the truth (line). Each row is scaled to its farther "
            "bound, given at the right relative to the truth.",
        ),
        answers=_answers_table(answers),
        memory=figure(
            figures.memory(answers), "What must be kept to answer, by sketch and exactly (logarithmic scale)."
        ),
        layers=_layers_table(statistics),
        histograms=figure(
            figures.histograms(statistics), "Activations above zero, drawn from the quantile sketch of each layer."
        ),
        units=figure(figures.units(statistics), "How often each unit fires."),
        variants=_variants_table(variants),
        tests=tests,
        epochs=epochs,
        repairs=repairs,
        hashed_epochs=hashed_epochs,
        noise=2 * (dense.test * (1 - dense.test) / tests) ** 0.5,  # two standard errors of a share
        accuracy=figure(figures.accuracy(variants), "Accuracy of the pruned and hashed networks."),
    )
