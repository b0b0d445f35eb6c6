"""Numbers as readers want them, for the console and for the report."""

from __future__ import annotations

from sketches.core.text import number, size
from sketches.demo.stream import Answer

__all__ = ["number", "size", "value", "verdict"]


def value(answer: Answer, amount: float) -> str:
    """Write one of an answer's numbers."""
    return f"{amount:.2%}" if answer.percent else number(amount)


def verdict(answer: Answer) -> str:
    """Say whether the truth lies within the bounds, and how sure that was."""
    sure = {1.0: "always", 0.0: "by design"}.get(answer.confidence, f"{answer.confidence:.0%}")
    return f"✓ {sure}" if answer.inside else f"✗ {sure}"
