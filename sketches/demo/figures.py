"""The report's figures, each as the text of an SVG image that needs nothing beside itself."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from sketches.demo.network import LAYERS, Variant
from sketches.demo.stream import Answer
from sketches.nn import StreamingStatistics

__all__ = ["accuracy", "bounds", "histograms", "memory", "units"]

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, RED, GOLD = "#2a6f97", "#c8553d", "#b7862b"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


class _Drawing:
    svg = ""


@contextmanager
def _drawing(name: str, width: float, height: float, columns: int = 1) -> Iterator[tuple[Any, _Drawing]]:
    """Give the axes of a new figure; when the block ends, `svg` of the drawing holds the image."""
    drawing = _Drawing()
    with rc_context({**STYLE, "svg.hashsalt": name}):  # the salt makes the image reproducible
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.subplots(1, columns, squeeze=False)[0], drawing
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    drawing.svg = re.sub(r' (width|height)="[^"]*pt"', "", svg, count=2)  # the page gives the size


def _spread(answer: Answer, scale: float) -> str:
    """Say how far the farther bound is from the truth."""
    if answer.lower == answer.upper:
        return "exact"
    if answer.percent or not answer.exact:
        return f"≤ {answer.upper:.2%}"
    return f"± {scale / abs(answer.exact):.2%}"


def bounds(answers: Sequence[Answer]) -> str:
    """Draw each estimate and its bounds relative to the truth, each row in units of its own farther bound."""
    with _drawing("bounds", 8.6, 0.42 * len(answers) + 0.9) as ((axes,), drawing):
        for row, answer in enumerate(reversed(answers)):
            scale = max(abs(answer.upper - answer.exact), abs(answer.exact - answer.lower)) or 1.0
            low, middle, high = (
                (value - answer.exact) / scale for value in (answer.lower, answer.estimate, answer.upper)
            )
            axes.plot([low, high], [row, row], color=BLUE, alpha=0.3, linewidth=7, solid_capstyle="butt")
            axes.plot(middle, row, "o", color=BLUE if answer.inside else RED, markersize=5.5)
            axes.text(1.12, row, _spread(answer, scale), color=MUTED, va="center", fontsize=8.5)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(answers)), [answer.question for answer in reversed(answers)])
        axes.set_xlim(-1.1, 1.1)
        axes.set_xticks([-1, 0, 1], ["farther bound", "truth", "farther bound"])
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
    return drawing.svg


def memory(answers: Sequence[Answer]) -> str:
    """Draw what the sketch keeps and what the exact answer keeps, on a logarithmic scale."""
    with _drawing("memory", 8.6, 0.36 * len(answers) + 0.9) as ((axes,), drawing):
        for row, answer in enumerate(reversed(answers)):
            axes.plot([answer.nbytes, answer.exact_nbytes], [row, row], color=GRID, linewidth=3, zorder=1)
        rows = range(len(answers))
        axes.plot([a.nbytes for a in reversed(answers)], rows, "o", color=BLUE, label="sketch")
        axes.plot([a.exact_nbytes for a in reversed(answers)], rows, "o", color=GOLD, label="exact")
        axes.set_xscale("log")
        axes.set_xticks([1e3, 1e4, 1e5, 1e6, 1e7, 1e8], ["1 kB", "10 kB", "100 kB", "1 MB", "10 MB", "100 MB"])
        axes.minorticks_off()
        axes.set_yticks(rows, [answer.question for answer in reversed(answers)])
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawing.svg


def histograms(statistics: StreamingStatistics) -> str:
    """Draw the distribution of each layer's positive activations, from its quantile sketch."""
    with _drawing("histograms", 8.6, 2.7, len(statistics.layers)) as (panels, drawing):
        for axes, name in zip(panels, statistics.layers, strict=True):
            summary = statistics.summary(name)
            high = float(summary.values.quantile(0.9995)) or 1.0
            edges = np.linspace(0.0, high, 61)
            shares = np.diff(summary.values.cdf(edges)) * 100
            axes.stairs(shares, edges, fill=True, color=BLUE, alpha=0.85)
            axes.set_title(f"{name}: {summary.zeros.mean():.0%} zeros")
            axes.set_xlabel("activation above zero")
            axes.margins(x=0.01)
            middle, far = (float(summary.values.quantile(q)) for q in (0.9, 0.99))
            near = far - middle < 0.2 * high  # one label for both
            for value, label in ((middle, "90 and 99 %" if near else "90 %"), (far, "" if near else "99 %")):
                axes.axvline(value, color=RED, linewidth=1, linestyle=(0, (4, 3)))
                side = {"ha": "right"} if value > 0.85 * high else {"ha": "left"}
                axes.text(
                    value, 0.97, f" {label} ", transform=axes.get_xaxis_transform(), color=RED, size=8, va="top", **side
                )
        panels[0].set_ylabel("% of the layer's activations")
    return drawing.svg


def units(statistics: StreamingStatistics) -> str:
    """Draw how often each unit fires, units in descending order, dead ones marked."""
    with _drawing("units", 8.6, 2.5, len(LAYERS)) as (panels, drawing):
        for axes, name in zip(panels, statistics.layers, strict=True):
            summary = statistics.summary(name)
            shares = np.sort(summary.fires)[::-1] * 100
            axes.stairs(shares, fill=True, color=BLUE, alpha=0.85)
            axes.set_title(f"{name}: {len(summary.dead)} of {len(shares)} dead")
            axes.set_xlabel("units, most active first")
            axes.set_ylim(0, 102)
            axes.margins(x=0.01)
        panels[0].set_ylabel("fires in % of the samples")
    return drawing.svg


def accuracy(variants: Sequence[Variant]) -> str:
    """Draw accuracy against the share of weights removed, and against bytes."""
    plain = [variant for variant in variants if not variant.name.startswith("hashed")]
    hashed = [variant for variant in variants if variant.name.startswith("hashed")]
    with _drawing("accuracy", 8.6, 3.3, 2) as ((left, right), drawing):
        for values, color, label in (("test", BLUE, "test"), ("validation", MUTED, "validation")):
            style = "-" if values == "test" else (0, (3, 2))
            heights = [100 * getattr(variant, values) for variant in plain]
            left.plot(
                [100 - 100 * variant.sparsity for variant in plain],
                heights,
                "o",
                ls=style,
                color=color,
                label=label,
                ms=4.5,
            )
        left.set_xscale("log")
        left.invert_xaxis()
        shares = [0, 50, 80, 90, 95, 98]
        left.set_xticks([100 - share for share in shares], [f"{share} %" for share in shares])
        left.minorticks_off()
        left.set_xlabel("of the weights removed (logarithmic in what is left)")
        left.set_ylabel("accuracy, %")
        left.set_title("Pruned step by step")
        left.legend(loc="lower left")
        sizes = [variant.nbytes / 1000 for variant in plain]
        right.plot(sizes, [100 * variant.test for variant in plain], "o-", color=BLUE, ms=4.5, label="dense, pruned")
        if hashed:
            marks = [variant.nbytes / 1000 for variant in hashed], [100 * variant.test for variant in hashed]
            right.plot(*marks, "D", color=RED, ms=6, label="hashed")
        right.set_xscale("log")
        ticks = [5, 10, 20, 50, 100, 200]
        right.set_xticks(ticks, [f"{tick} kB" for tick in ticks])
        right.minorticks_off()
        right.set_xlabel("bytes of the parameters")
        right.set_title("Accuracy on the test part by size")
        right.legend(loc="lower right")
        low = min(100 * min(variant.test, variant.validation) for variant in variants)
        for axes in (left, right):
            axes.set_ylim(max(0.0, np.floor(low - 2)), 100.5)
    return drawing.svg
