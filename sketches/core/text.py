"""Numbers and names as readers want them."""

from __future__ import annotations

import math

__all__ = ["number", "printable", "share", "shortened", "size"]


def printable(text: str) -> str:
    """Escape what would disturb a terminal: control characters, line breaks, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, longest: int) -> str:
    """Leave out the middle of a long text."""
    if len(text) <= longest:
        return text
    tail = longest // 2
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


def number(value: float) -> str:
    """Write a number with as many digits as a reader wants."""
    if value != value:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    if abs(value) >= 1e9:
        return f"{value / 1e9:,.4g} bn"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def share(value: float) -> str:
    """Write a share in percent; only none and all are 0 and 100 %."""
    if value != value:
        return "–"
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    if value < 0.001:
        return "<0.1 %"
    if value > 0.999:
        return ">99.9 %"
    return f"{100 * value:.1f} %"


def size(nbytes: float) -> str:
    """Write a number of bytes."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= factor:
            return f"{nbytes / factor:.3g} {unit}" if nbytes < 999.5 * factor else f"{nbytes / factor:.0f} {unit}"
    return f"{nbytes:.0f} B"
