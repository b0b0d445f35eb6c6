"""The tables that the demo prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from sketches.demo.network import Variant
from sketches.demo.stream import Answer
from sketches.demo.text import number, size, value, verdict
from sketches.nn import StreamingStatistics

__all__ = ["of_answers", "of_layers", "of_variants"]


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def of_answers(answers: Sequence[Answer], events: int) -> Table:
    """Set the sketches' answers beside the exact ones."""
    table = _table(f"A stream of {events:,} events", "question", "estimate", "exact", "bytes", "ms")
    for answer in answers:
        found = verdict(answer)
        table.add_row(
            f"{answer.question}\n[dim]{answer.method}[/]",
            f"{value(answer, answer.estimate)}\n[dim]{value(answer, answer.lower)} … {value(answer, answer.upper)}[/]",
            f"{value(answer, answer.exact)}\n" + (f"[dim]{found}[/]" if answer.inside else f"[red]{found}[/]"),
            f"{size(answer.nbytes)}\n[dim]{size(answer.exact_nbytes)}[/]",
            f"{answer.seconds * 1000:,.0f}\n[dim]{answer.exact_seconds * 1000:,.0f}[/]",
        )
    table.caption = "Below: the sketch; its bounds; ✓ if the exact answer is inside; bytes and ms of that."
    table.caption_justify = "left"
    return table


def of_layers(statistics: StreamingStatistics) -> Table:
    """Say what each layer does."""
    samples = statistics.summary(statistics.layers[0]).samples
    title = f"A network while {samples:,} samples stream through: {size(statistics.nbytes)} of statistics"
    names = "units", "zeros", "median", "99 %", "dead", "rare", "patterns", "effective"
    table = _table(title, "layer", *names)
    for name in statistics.layers:
        summary = statistics.summary(name)
        table.add_row(
            name,
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
