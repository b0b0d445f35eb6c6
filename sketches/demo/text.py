"""Numbers as readers want them, for the console and for the report."""

from __future__ import annotations

from sketches.demo.stream import Answer

__all__ = ["number", "size", "value", "verdict"]


def number(value: float) -> str:
    """Write a number with as many digits as a reader wants."""
    if value != value:
        return "–"
    if abs(value) >= 1e9:
        return f"{value / 1e9:.4g} bn"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def size(nbytes: float) -> str:
    """Write a number of bytes."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= factor:
            return f"{nbytes / factor:.3g} {unit}" if nbytes < 999.5 * factor else f"{nbytes / factor:.0f} {unit}"
    return f"{nbytes:.0f} B"


def value(answer: Answer, amount: float) -> str:
    """Write one of an answer's numbers."""
    return f"{amount:.2%}" if answer.percent else number(amount)


def verdict(answer: Answer) -> str:
    """Say whether the truth lies within the bounds, and how sure that was."""
    sure = {1.0: "always", 0.0: "by design"}.get(answer.confidence, f"{answer.confidence:.0%}")
    return f"✓ {sure}" if answer.inside else f"✗ {sure}"
