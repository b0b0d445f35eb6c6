"""What each class of sketch answers: in general, and about one item; as text and as JSON."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from sketches import (
    AMS,
    BinaryFuseFilter,
    BloomFilter,
    Entropy,
    Estimate,
    FlajoletMartin,
    Quantiles,
    Sketch,
    SpaceSaving,
)
from sketches.cli.errors import InputError
from sketches.cli.figures import count_figures, figure, item_text, value_figures

__all__ = ["Counted", "ask", "estimate_json", "item_json", "parse_item", "summary", "top"]


class Counted(NamedTuple):
    """A frequent item: ``lower <= truth <= upper``, always."""

    item: Any
    lower: int
    upper: int

    @property
    def estimate(self) -> Estimate:
        """The count, which is never too small, with its bounds."""
        return Estimate(self.upper, lower=self.lower, upper=self.upper)


def top(sketch: SpaceSaving, most: int) -> list[Counted]:
    """Give the most frequent items: only those that are known to have occurred more than once."""
    found = [Counted(item, int(count) - int(error), int(count)) for item, count, error in sketch.top(most).tolist()]
    return [entry for entry in found if entry.lower > 1]


def summary(sketch: Sketch) -> str:
    """Give a sketch's main answer with its bounds, or else its error, in one line."""
    if isinstance(sketch, FlajoletMartin):
        return "{} distinct items ({}; {})".format(*count_figures(sketch.count()))
    if isinstance(sketch, AMS):
        return "second moment {} ({}; {})".format(*count_figures(sketch.second_moment()))
    if isinstance(sketch, Entropy) and sketch.total > 0:
        return "entropy {} nats ({}; {})".format(*value_figures(sketch.entropy()))
    if isinstance(sketch, SpaceSaving):
        for entry in top(sketch, 1):
            _, bounds, holds = count_figures(entry.estimate)
            return f"most frequent: {item_text(entry.item)} ({bounds} times; {holds})"
        return "no item is known to repeat"
    if isinstance(sketch, Quantiles) and not math.isnan(sketch.minimum):
        return "median {} ({}; {})".format(*value_figures(sketch.quantile(0.5)))
    if isinstance(sketch, BinaryFuseFilter | BloomFilter):
        return f"{figure(100 * sketch.false_positive_rate())} % false positives"
    return sketch._error()


def parse_item(text: str, kind: str) -> str | int | float:
    """Read an item of a query as a str, an int or a float."""
    try:
        return text if kind == "str" else int(text) if kind == "int" else float(text)
    except ValueError as error:
        raise InputError(f"item {text!r} is no {kind}") from error


def ask(sketch: Sketch, item: str | int | float) -> Estimate:
    """Give an item's count, or its rank among the numbers: how many are less or equal."""
    if isinstance(sketch, Quantiles):
        if isinstance(item, str) or math.isnan(item):
            raise InputError(f"item {item!r} has no rank; numbers have (--type float)")
        return sketch.rank(float(item))
    if not hasattr(sketch, "__getitem__"):
        raise InputError(f"{type(sketch).__name__} answers nothing about single items; see `sketches show`")
    found: Estimate = sketch[item]
    return found


def _number_json(value: float) -> float | None:
    """Give a number as JSON has it: no NaN and no infinity."""
    return value if math.isfinite(value) else None


def estimate_json(estimate: Estimate) -> dict[str, float | None]:
    """Give an estimate with its bounds."""
    numbers = {
        "estimate": float(estimate),
        "lower": estimate.lower,
        "upper": estimate.upper,
        "confidence": estimate.confidence,
        "standard_error": estimate.standard_error,
    }
    return {name: _number_json(value) for name, value in numbers.items()}


def item_json(item: Any) -> Any:
    """Give an item: finite numbers and strings as they are, other items as text."""
    if isinstance(item, float) and not math.isfinite(item):
        return str(item)
    if isinstance(item, bytes):
        return item.decode("utf-8", "backslashreplace")
    return item if isinstance(item, int | float | str) else item_text(item)
