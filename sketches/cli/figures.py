"""Numbers and items as people read them: few digits, and bounds that are never rounded inwards."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from sketches.cli.errors import printable

__all__ = ["between", "bytes_", "figure", "holds", "item_text", "whole"]

_DIGITS = 4
_EXACT_BELOW = 10**9


def figure(value: float, rounding: str = ROUND_HALF_EVEN) -> str:
    """Write a number: whole ones below 10^9 in full, others to four digits, large and tiny ones as 5.365e9."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < _EXACT_BELOW:
        return f"{int(value):,}"
    number = Decimal(value)
    number = number.quantize(Decimal(1).scaleb(number.adjusted() - _DIGITS + 1), rounding)
    exponent = number.adjusted()
    if -5 < exponent < 9:
        return f"{number:,f}"
    return f"{number.scaleb(-exponent):f}e{exponent}"


def whole(value: float, rounding: str = ROUND_HALF_EVEN) -> str:
    """Write a count, which is whole however it was estimated."""
    if not math.isfinite(value) or abs(value) >= _EXACT_BELOW:
        return figure(value, rounding)
    return f"{int(Decimal(value).quantize(Decimal(1), rounding)):,}"


def between(lower: float, upper: float, write: Any = figure) -> str:
    """Write bounds, the lower rounded down and the upper rounded up."""
    return f"{write(lower, ROUND_FLOOR)} … {write(upper, ROUND_CEILING)}"


def holds(confidence: float) -> str:
    """Say how often the bounds hold."""
    return "always" if confidence >= 1 else f"{100 * confidence:.4g} %"


def bytes_(count: float) -> str:
    """Write a size in KiB or MiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:,.1f} {unit}"


def item_text(item: Any) -> str:
    """Write an item: strings as they are, unless that would hide something."""
    if isinstance(item, bytes):
        item = item.decode("utf-8", "backslashreplace")
    text = printable(str(item))
    return repr(text) if text != text.strip() or not text else text
