"""What to look at first: a row for each layer, a row for each unit of one layer, and what seems wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sketches.nn.statistics.layer import LayerSummary
from sketches.nn.statistics.reduction import ROWS
from sketches.nn.statistics.table import Column, Table

__all__ = ["QUANTILES", "Problem", "layers_table", "pooled", "problems", "units_table"]

Integers = npt.NDArray[np.int64]

QUANTILES = {0.001: "0.1 %", 0.01: "1 %", 0.5: "50 %", 0.99: "99 %", 0.999: "99.9 %", 0.9999: "99.99 %"}
LOW_RANK = 0.1  # of the units


class Problem(NamedTuple):
    """What seems wrong with some units of a layer; an empty array means the layer as a whole."""

    layer: str
    kind: str
    units: Integers
    detail: str


def pooled(summary: LayerSummary) -> tuple[float, float]:
    """Give mean and standard deviation of all finite values of a layer, from those of its units; NaN without any."""
    total = int(summary.count.sum())
    if not total:
        return float("nan"), float("nan")
    weights = summary.count / total
    means, variances = np.nan_to_num(summary.mean), np.where(summary.count > 0, summary.variance, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(weights @ means)
        variance = float(weights @ (variances + (means - mean) ** 2))
    return mean, float(np.sqrt(variance))


def layers_table(summaries: Iterable[LayerSummary]) -> Table:
    """Lay layers out, a row each: exact, but for quantiles (relative error 2**-8), patterns and effective rank."""
    rows = list(summaries)
    spreads = [pooled(summary) for summary in rows]
    known = [summary.values if summary.count.any() else None for summary in rows]
    quantiles = np.array([sketch.quantile(list(QUANTILES)) if sketch else [np.nan] * 6 for sketch in known])
    quantiles = quantiles.reshape(-1, len(QUANTILES))
    samples = [summary.samples for summary in rows]
    return Table(
        f"{len(rows)} {'layer' if len(rows) == 1 else 'layers'}",
        [
            Column("layer", [summary.layer for summary in rows]),
            Column("samples", samples, "count"),
            Column("units", [len(summary.mean) for summary in rows], "count"),
            Column("mean", [mean for mean, _ in spreads], "number"),
            Column("std", [deviation for _, deviation in spreads], "number"),
            Column("min", [sketch.minimum if sketch else np.nan for sketch in known], "number"),
            *(Column(name, quantiles[:, i].tolist(), "number") for i, name in enumerate(QUANTILES.values())),
            Column("max", [sketch.maximum if sketch else np.nan for sketch in known], "number"),
            Column("zeros", [float(summary.zeros.mean()) if summary.samples else np.nan for summary in rows], "share"),
            Column("dead", [len(summary.dead) if summary.samples else None for summary in rows], "count"),
            Column("saturated", [len(summary.saturated) for summary in rows], "count"),
            Column("constant", [len(summary.constant) for summary in rows], "count"),
            Column("NaN", [int(summary.nans.sum()) for summary in rows], "count"),
            Column("Inf", [int(summary.infinities.sum()) for summary in rows], "count"),
            Column("patterns", [float(summary.patterns) for summary in rows], "number"),
            Column("rank", [float(summary.effective_rank) for summary in rows], "number"),
        ],
    )


def units_table(summary: LayerSummary) -> Table:
    """Lay the units of a layer out, a row each; all exact."""
    units = len(summary.mean)
    return Table(
        f"layer {summary.layer}: {units} {'unit' if units == 1 else 'units'}, {summary.samples:,} samples",
        [
            Column("unit", list(range(units)), "count"),
            Column("count", summary.count.tolist(), "count"),
            Column("mean", summary.mean.tolist(), "number"),
            Column("std", np.sqrt(summary.variance).tolist(), "number"),
            Column("min", summary.minimum.tolist(), "number"),
            Column("max", summary.maximum.tolist(), "number"),
            Column("zeros", summary.zeros.tolist(), "share"),
            Column("fires", summary.fires.tolist(), "share"),
            Column("beyond", summary.beyond.tolist(), "share"),
            Column("NaN", summary.nans.tolist(), "count"),
            Column("Inf", summary.infinities.tolist(), "count"),
        ],
    )


def problems(summaries: Iterable[LayerSummary]) -> list[Problem]:
    """List what a reader should look at, the gravest kind first, and in it the largest share of a layer first.

    NaN and infinities; saturated units; units that always give zero; units that always give one value other than
    that; units that vary but never above zero, which a ReLU behind them makes dead (not where that is true of a whole
    layer, as of logarithms of probabilities); an effective rank certainly below a tenth of the units, and below a third
    of what the fewest sampled rows can show, where anything varies.
    """
    found: list[tuple[int, float, Problem]] = []
    for summary in summaries:
        units = len(summary.mean)
        silent = summary.dead if summary.samples else np.empty(0, np.int64)
        dead = silent[(summary.minimum[silent] == 0)]
        constant = summary.constant[summary.count[summary.constant] > 1]
        negative = np.setdiff1d(silent[summary.minimum[silent] < 0], constant) if len(silent) < units else silent[:0]
        kinds = (
            ("NaN", np.flatnonzero(summary.nans), _values(summary.nans)),
            ("Inf", np.flatnonzero(summary.infinities), _values(summary.infinities)),
            ("saturated", summary.saturated, "at the ends of the function for 95 % of the samples or more"),
            ("dead", dead, "always zero"),
            ("constant", np.setdiff1d(constant, dead), "always the same value"),
            ("negative", negative, "never above zero: dead if a ReLU follows"),
        )
        for grave, (kind, which, detail) in enumerate(kinds):
            if len(which):
                found.append((grave, -len(which) / units, Problem(summary.layer, kind, which, detail)))
        rank, seen = summary.effective_rank, min(ROWS, summary.samples) - 1
        varies = len(summary.constant) < units
        if varies and rank.upper < LOW_RANK * units and rank.upper < seen / 3:
            detail = f"at most {rank.upper:.1f} of {units:,} directions carry what varies"
            problem = Problem(summary.layer, "low rank", np.empty(0, np.int64), detail)
            found.append((len(kinds), rank.upper / units, problem))
    return [problem for *_, problem in sorted(found, key=lambda entry: entry[:2])]


def _values(counts: Integers) -> str:
    count = int(counts.sum())
    return f"{count:,} {'value' if count == 1 else 'values'}"
