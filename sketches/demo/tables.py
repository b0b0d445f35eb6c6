"""The tables that the demo prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from sketches.demo.network import Variant
from sketches.demo.stream import Answer
from sketches.demo.text import number, size, value, verdict
from sketches.nn import StreamingStatistics

__all__ = ["of_answers", "of_layers", "of_variants"]


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def of_answers(answers: Sequence[Answer], events: int) -> Table:
    """Set the sketches' answers beside the exact ones."""
    title = f"A stream of {events:,} events: bounds, bytes and time of the sketch, and of the exact answer"
    table = _table(title, "question", "estimate", "bounds", "exact", "exact is", "bytes", "exact", "ms", "exact")
    for answer in answers:
        table.add_row(
            f"{answer.question} [dim]{answer.sketch}[/]",
            value(answer, answer.estimate),
            f"{value(answer, answer.lower)} … {value(answer, answer.upper)}",
            value(answer, answer.exact),
            verdict(answer) if answer.inside else f"[red]{verdict(answer)}[/]",
            size(answer.nbytes),
            size(answer.exact_nbytes),
            f"{answer.seconds * 1000:,.0f}",
            f"{answer.exact_seconds * 1000:,.0f}",
        )
    return table


def of_layers(statistics: StreamingStatistics) -> Table:
    """Say what each layer does."""
    title = f"A network while data streams through: {size(statistics.nbytes)} of statistics"
    names = "samples", "units", "zeros", "median", "99 %", "dead", "rare", "patterns", "effective units"
    table = _table(title, "layer", *names)
    for name in statistics.layers:
        summary = statistics.summary(name)
        table.add_row(
            name,
            f"{summary.samples:,}",
            f"{len(summary.mean)}",
            f"{summary.zeros.mean():.1%}",
            number(summary.values.quantile(0.5)),
            number(summary.values.quantile(0.99)),
            f"{len(summary.dead)}",
            f"{len(summary.rare)}",
            number(summary.patterns),
            number(summary.effective_units),
        )
    return table


def of_variants(variants: Sequence[Variant]) -> Table:
    """Set the networks beside each other."""
    names = "removed", "parameters", "bytes", "smaller", "validation", "test"
    table = _table("The network, pruned and hashed: accuracy and bytes", "network", *names)
    for variant in variants:
        table.add_row(
            variant.name,
            f"{variant.sparsity:.1%}",
            f"{variant.parameters:,}",
            size(variant.nbytes),
            f"{variants[0].nbytes / variant.nbytes:.1f}×",
            f"{variant.validation:.1%}",
            f"{variant.test:.1%}",
        )
    return table
