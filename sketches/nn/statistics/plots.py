"""Small plots of a layer, each the text of an SVG image; colours are classes of the page's style."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sketches.core.text import number, share
from sketches.nn.statistics.histogram import Histogram, histogram
from sketches.nn.statistics.layer import LayerSummary
from sketches.quantiles import Quantiles

__all__ = ["STYLE", "firings", "sparkline", "units", "values"]

STYLE = """
svg text { font: 10.5px system-ui, sans-serif; fill: var(--muted); font-variant-numeric: tabular-nums; }
svg .axis { stroke: #c3cad2; stroke-width: 1; } svg .grid { stroke: var(--line); stroke-width: 1; }
svg .fill { fill: #2a6f97; } svg .band { fill: #2a6f97; fill-opacity: .22; }
svg .line { fill: none; stroke: #2a6f97; stroke-width: 1.3; stroke-linejoin: round; }
svg .zero { fill: #b7862b; } svg .other { fill: none; stroke: #c8553d; stroke-width: 1.3; }
"""

Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT = 400, 170
LEFT, RIGHT, TOP, BOTTOM = 40, 14, 14, 24  # margins
BARS = 110  # about so many
SMALLEST = 0.002  # the share of the values other than zero that are drawn as if they were zero, at most
OCTAVES = 40  # below the largest magnitude that are drawn
LARGEST = np.finfo(np.float64).max
APART = 34  # pixels between two labels of an axis, at least
COLUMNS = 400  # of units; more are drawn together


class Axis(NamedTuple):
    """A signed logarithmic axis: magnitudes below `least` share the middle, whose half width is `gap` octaves."""

    least: float
    low: float  # octaves drawn below zero, with the gap; 0 if no value is negative
    high: float
    gap: float

    def place(self, x: Floats) -> Floats:
        """Give places in [0, 1]."""
        with np.errstate(divide="ignore"):
            octaves = np.log2(np.maximum(np.abs(x) / self.least, 1.0)) + self.gap
        near = np.clip(x, -self.least, self.least) / self.least
        inside = np.where(np.abs(x) < self.least, self.gap * near, np.copysign(octaves, x))
        found: Floats = (inside + self.low) / (self.low + self.high)
        return found


def _axis(parts: list[Histogram]) -> Axis:
    lower = np.concatenate([part.lower for part in parts])
    upper = np.concatenate([part.upper for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    far = np.maximum(np.abs(lower), np.abs(upper))
    order = np.argsort(far)
    order = order[far[order] > 0]
    top = float(far.max(initial=0.0))
    if not len(order):
        return Axis(1.0, 1.0, 1.0, 1.0)
    cumulated = np.cumsum(counts[order])
    near = np.minimum(np.abs(lower), np.abs(upper))[order]
    least = float(near[np.searchsorted(cumulated, SMALLEST * cumulated[-1])])
    least = 2.0 ** math.floor(math.log2(max(least, top * 2.0**-OCTAVES, 1e-300)))
    sides = [-float(lower.min()), float(upper.max())]
    octaves = [math.log2(max(side / least, 1.0)) if side > 0 else 0.0 for side in sides]
    gap = max(sum(octaves) / 40, 0.05)
    low, high = (reach + gap if side > 0 else gap for reach, side in zip(octaves, sides, strict=True))
    return Axis(least, low, high, gap)


def _bars(part: Histogram, axis: Axis) -> tuple[Floats, Floats, float]:
    """Give the edges of the bars as places, the share of the values an octave in each, and the share in the middle."""
    inside = np.maximum(np.abs(part.lower), np.abs(part.upper)) <= axis.least
    middle = float(part.counts[inside].sum()) / part.total
    lower, upper, counts = (array[~inside] for array in part)
    octaves = axis.low + axis.high - 2 * axis.gap
    per = 2 ** max(0, min(7, round(math.log2(BARS / max(octaves, 1e-9)))))
    # A bar begins at each of `per` equal steps of the mantissa, as bins do: no bin is cut.
    center = np.abs(lower) / 2 + np.abs(upper) / 2
    mantissa, exponent = np.frexp(center)
    step = np.floor((mantissa * 2 - 1) * per)
    sign = np.where(upper > 0, 1.0, -1.0)
    keys, places = np.unique(sign * ((exponent + 1100.0) * per + step), return_inverse=True)
    heights = np.bincount(places, counts, len(keys)) / part.total
    key = np.abs(keys)
    octave, step = np.floor(key / per) - 1101, key % per
    start, end = 1 + step / per, 1 + (step + 1) / per
    with np.errstate(over="ignore"):
        near, beyond = (np.minimum(np.ldexp(part, octave.astype(int)), LARGEST) for part in (start, end))
    edges = np.sort(np.column_stack([np.sign(keys) * near, np.sign(keys) * beyond]), axis=1)
    return np.clip(axis.place(edges), 0, 1), heights / np.log2(end / start), middle


def _ticks(axis: Axis) -> list[float]:
    """Give powers of ten for both sides, and zero; few enough to be read."""
    found = [0.0]
    for sign, reach in ((-1, axis.low), (1, axis.high)):
        octaves = reach - axis.gap
        if octaves <= 0:
            continue
        top = axis.least * 2.0**octaves
        powers = [10.0**k for k in range(math.ceil(math.log10(axis.least)), math.floor(math.log10(top)) + 1)]
        every = max(1, math.ceil(len(powers) * (axis.low + axis.high) / max(reach, 1e-9) / 9))
        found += [sign * power for power in powers[::-1][::every]]
        if not powers:
            found.append(sign * top)
    return found


def _svg(body: str, label: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{body}</svg>'


def _x(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _y(place: float) -> float:
    return TOP + (1 - place) * (HEIGHT - TOP - BOTTOM)


def _outline(edges: Floats, heights: Floats, base: float) -> str:
    """Draw bars in pixels, those that touch as one shape."""
    parts: list[str] = []
    last = None
    for (start, end), height in zip(edges.tolist(), heights.tolist(), strict=True):
        if last is None or start - last > 0.05:
            parts.append(f"{f'V{base:.1f}' if parts else ''}M{start:.1f} {base:.1f}")
        parts.append(f"V{height:.1f}H{end:.1f}")
        last = end
    return "".join([*parts, f"V{base:.1f}" if parts else ""])


def values(sketch: Quantiles, other: Quantiles | None = None) -> str:
    """Draw the values of a layer, share an octave, on a signed logarithmic axis; those of another as an outline."""
    parts = [histogram(one) for one in (sketch, other) if one is not None]
    if not parts[0].total:
        return ""
    drawn = [part for part in parts if part.total]
    axis = _axis(drawn)
    bars = [_bars(part, axis) for part in drawn]
    top = max(float(heights.max(initial=0.0)) for _, heights, _ in bars) or 1.0
    body: list[str] = []
    labelled: list[float] = []
    for tick in _ticks(axis):
        x = _x(float(axis.place(np.array(tick))))
        if any(abs(x - known) < APART for known in labelled):
            continue
        labelled.append(x)
        body.append(f'<line class=grid x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{_y(0)}"/>')
        body.append(f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{number(tick)}</text>')
    for kind, (edges, heights, middle) in zip(("band", "other"), bars, strict=False):
        left, right = (_x(float(axis.place(np.array(end)))) for end in (-axis.least, axis.least))
        if middle and kind == "band":
            height = min(middle / (2 * axis.gap) / top, 1.0)
            y = _y(height)
            left, right = max(left, _x(0)), min(right, _x(1))
            body.append(
                f'<rect class=zero x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{_y(0) - y:.1f}"/>'
            )
            side = "start" if left < WIDTH / 2 else "end"
            body.append(
                f'<text x="{right + 4 if side == "start" else left - 4:.1f}" y="{TOP + 4}" text-anchor="{side}">'
            )
            body.append(f"{'zero' if axis.least <= 0 else 'at or near zero'}: {share(middle)}</text>")
        shape = _outline(LEFT + edges * (WIDTH - LEFT - RIGHT), _y(0) - heights / top * (_y(0) - TOP), _y(0))
        body.append(f'<path class="{"fill" if kind == "band" else "other"}" d="{shape}"/>')
    body.append(f'<line class=axis x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(0)}" y2="{_y(0)}"/>')
    return _svg("".join(body), "distribution of the values")


def sparkline(sketch: Quantiles) -> str:
    """Draw the same, without words, as large as a word."""
    part = histogram(sketch)
    if not part.total:
        return ""
    axis = _axis([part])
    edges, heights, middle = _bars(part, axis)
    top = float(heights.max(initial=0.0)) or 1.0
    body = ""
    if middle:
        left, right = (float(np.clip(axis.place(np.array(end)), 0, 1)) * 90 for end in (-axis.least, axis.least))
        width, height = max(right - left, 1), 20 * min(middle / (2 * axis.gap) / top, 1.0)
        body = f'<rect class=zero x="{left:.1f}" y="{20 - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    return _svg(f'{body}<path class=fill d="{_outline(edges * 90, 20 - heights / top * 20, 20)}"/>', "values", 90, 21)


def units(summary: LayerSummary) -> str:
    """Draw mean ± standard deviation of each unit, in the order of the units; of neighbours together, if many."""
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.sqrt(summary.variance)
        low, high = summary.mean - deviation, summary.mean + deviation
        drawn = np.isfinite(low) & np.isfinite(high)
    groups = np.array_split(np.arange(len(low)), min(len(low), COLUMNS))
    rows = [(low[g].min(), summary.mean[g].mean(), high[g].max()) for g in groups if drawn[g].all()]
    kept = [i for i, g in enumerate(groups) if drawn[g].all()]
    if not rows:
        return ""
    array = np.array(rows)
    bottom, top = float(array.min()), float(array.max())
    if not math.isfinite(top - bottom):
        return ""
    extent = (top - bottom) or abs(top) or 1.0
    bottom, top = bottom - 0.04 * extent, top + 0.04 * extent
    edges = np.column_stack([kept, np.add(kept, 1)]) / len(groups)
    x = LEFT + edges * (WIDTH - LEFT - RIGHT)
    y = _y(0) - (array - bottom) / (top - bottom) * (_y(0) - TOP)
    body = [_levels(bottom, top)]
    band, line = [], []
    for (start, end), (lowest, middle, highest) in zip(x.tolist(), y.tolist(), strict=True):
        band.append(f"M{start:.1f} {highest:.1f}H{end:.1f}V{lowest + 0.5:.1f}H{start:.1f}Z")
        line.append(f"M{start:.1f} {middle:.1f}H{end:.1f}")
    body.append(f'<path class=band d="{"".join(band)}"/><path class=line d="{"".join(line)}"/>')
    body.append(_numbered("unit", len(low) - 1))
    return _svg("".join(body), "mean and standard deviation of each unit")


def firings(summary: LayerSummary) -> str:
    """Draw how often units fire, the most active first."""
    shares = np.sort(np.nan_to_num(summary.fires))[::-1]
    groups = np.array_split(shares, min(len(shares), COLUMNS))
    heights = np.array([group.mean() for group in groups])
    edges = np.column_stack([np.arange(len(groups)), np.arange(1, len(groups) + 1)]) / len(groups)
    shape = _outline(LEFT + edges * (WIDTH - LEFT - RIGHT), _y(0) - heights * (_y(0) - TOP), _y(0))
    body = [
        f'<line class=grid x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(level):.1f}" y2="{_y(level):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{_y(level) + 4:.1f}" text-anchor="end">{level:.0%}</text>'
        for level in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    body.append(f'<path class=fill d="{shape}"/>{_numbered("units, the most active first", len(shares))}')
    return _svg("".join(body), "share of the samples for which each unit fires")


def _levels(bottom: float, top: float) -> str:
    """Draw lines at three to six round numbers."""
    step = 10.0 ** math.floor(math.log10((top - bottom) / 2))
    step *= next(factor for factor in (5, 2, 1) if (top - bottom) / (factor * step) >= 2.5 or factor == 1)
    parts = []
    for k in range(math.ceil(bottom / step), math.floor(top / step) + 1):
        y = _y((k * step - bottom) / (top - bottom))
        parts.append(f'<line class=grid x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{float(f"{k * step:.6g}"):g}</text>')
    return "".join(parts)


def _numbered(name: str, last: int) -> str:
    return (
        f'<text x="{LEFT}" y="{HEIGHT - 8}">{0 if name == "unit" else 1}</text>'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{name}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{last:,}</text>'
    )
