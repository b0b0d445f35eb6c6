"""Numbers and items as people read them: few digits, and bounds that stay true."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np

from sketches import Estimate
from sketches.cli.errors import printable

__all__ = ["bytes_", "count_figures", "figure", "item_text", "value_figures"]

_DIGITS = 4
_EXACT_BELOW = 10**9


def figure(value: float, rounding: str = ROUND_HALF_EVEN) -> str:
    """Write a number: whole ones below 10^9 in full, others to four digits, large and tiny ones as 5.365e9."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < _EXACT_BELOW:
        return f"{int(value):,}"
    number = Context(_DIGITS, rounding).create_decimal(Decimal(value)).normalize()
    exponent = number.adjusted()
    if -5 < exponent < 9:
        return f"{number:,f}"
    return f"{number.scaleb(-exponent):f}e{exponent}"


def count_figures(estimate: Estimate) -> tuple[str, str, str]:
    """Write the estimate of a count, its bounds, and how often these hold.

    A count is whole, so its bounds may be rounded inwards, unless nothing whole would be left between them.
    """
    if math.isfinite(estimate.upper) and math.ceil(estimate.lower) <= math.floor(estimate.upper):
        lower, value, upper = math.ceil(estimate.lower), round(estimate), math.floor(estimate.upper)
        estimate = Estimate(value, lower=lower, upper=upper, confidence=estimate.confidence)
    return value_figures(estimate)


def value_figures(estimate: Estimate) -> tuple[str, str, str]:
    """Write an estimate, its bounds (the lower rounded down, the upper rounded up), and how often these hold."""
    bounds = f"{figure(estimate.lower, ROUND_FLOOR)} … {figure(estimate.upper, ROUND_CEILING)}"
    holds = "always" if estimate.confidence >= 1 else f"{100 * estimate.confidence:.4g} %"
    return figure(estimate), bounds, holds


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
    if isinstance(item, np.datetime64):
        return text.removesuffix("T00:00:00")  # a day
    return repr(text) if text != text.strip() or not text else text
