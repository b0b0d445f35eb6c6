"""Which range should quantised activations cover?

A quantised network stores a number x as an integer q of few bits: ``x ≈ scale * (q - zero_point)``. Calibration picks
the scale and the zero point from the numbers that a layer gave on some data. Tools keep those numbers, or histograms
whose range must be guessed while data comes; here all that is needed is a `Quantiles` sketch of them, which has the
relative error 2**-8 at every magnitude, so any range can be tried after the fact, for any number of bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sketches.core import bounds
from sketches.nn.statistics.clipping import entropy_threshold, squared_error_ends
from sketches.nn.statistics.histogram import Histogram, histogram, magnitudes
from sketches.quantiles import Quantiles

__all__ = ["METHODS", "CalibrationRange", "calibration_range", "rectified", "unit_ranges"]

METHODS = ("minmax", "percentile", "mse", "entropy")
LEAST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)  # of a scale, a float32 in tools
REACH = 2.0**128  # where the bins of numbers that a float32 holds end


@dataclass(frozen=True)
class CalibrationRange:
    """A quantiser: the integers `quant_min` to `quant_max` stand for ``scale * (q - zero_point)``.

    Attributes
    ----------
    low, high
        The numbers that `quant_min` and `quant_max` stand for; ``low <= 0 <= high``, and zero is exact.
    scale, zero_point
        Step, and the integer that stands for zero.
    bits, symmetric
        Affine: the integers 0 … 2**bits - 1. Symmetric: ± (2**(bits - 1) - 1), with zero point 0.

    Examples
    --------
    >>> byte = CalibrationRange.between(-1.0, 4.1)  # a step is 5.1 / 255
    >>> byte.zero_point, byte.quantize([-1.0, 0.0, 4.1, 9.0]).tolist()
    (50, [0, 50, 255, 255])
    """

    low: float
    high: float
    scale: float
    zero_point: int
    bits: int = 8
    symmetric: bool = False

    @classmethod
    def between(cls, low: float, high: float, *, bits: int = 8, symmetric: bool = False) -> CalibrationRange:
        """Give the quantiser that reaches from `low` to `high`, both widened to include zero.

        With a whole zero point its ends are off by at most half a step. Symmetric: it reaches to the larger magnitude.
        """
        _check_bits(bits)
        if not (abs(low) <= REACH and abs(high) <= REACH):
            raise ValueError(f"low and high are {low} and {high}; magnitudes up to 2**128 are accepted")
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        half = 2 ** (bits - 1) - 1
        steps = half if symmetric else 2**bits - 1
        scale = max(high, -low) / steps if symmetric else high / steps - low / steps
        scale = min(max(scale, LEAST), LARGEST) if low or high else 1.0
        zero_point = 0 if symmetric else round(-low / scale)
        first, last = (-half, half) if symmetric else (0, steps)
        return cls(scale * (first - zero_point), scale * (last - zero_point), scale, zero_point, bits, symmetric)

    @property
    def quant_min(self) -> int:
        """The least integer."""
        return -self.quant_max if self.symmetric else 0

    @property
    def quant_max(self) -> int:
        """The largest integer."""
        return (1 << self.bits - self.symmetric) - 1

    def quantize(self, numbers: Any) -> npt.NDArray[np.int64]:
        """Give the integers that numbers are stored as; NaN is an error of the caller's."""
        steps = np.round(np.asarray(numbers, np.float64) / self.scale) + self.zero_point
        return np.clip(steps, self.quant_min, self.quant_max).astype(np.int64)

    def fake_quantize(self, numbers: Any) -> npt.NDArray[np.float64]:
        """Give numbers as they are after being stored and read again."""
        return self.scale * (self.quantize(numbers) - self.zero_point).astype(np.float64)


def calibration_range(
    values: Quantiles, method: str = "mse", *, bits: int = 8, symmetric: bool = False, share: float = 0.999
) -> CalibrationRange:
    """Choose the range of a quantiser for a stream of numbers.

    Infinities and NaN among them are left out, but for ``"minmax"``, which has no answer then.

    Parameters
    ----------
    values
        The sketch of the numbers, as ``statistics.summary(layer).values``.
    method
        - ``"minmax"``: all numbers lie inside; exact.
        - ``"percentile"``: the share `share` of them lies inside. If they are of one sign, or `symmetric`, what is cut
          off lies at one end (of the magnitudes); else half of it at each. Each end is within 2**-8 of the exact
          quantile, relative to it.
        - ``"mse"``: the least mean squared error between numbers and quantised numbers, of all ranges that a search
          tries; the error itself is exact if numbers are spread evenly within their bins, whose relative width is
          2**-7. Never worse than ``"minmax"`` by that measure.
        - ``"entropy"``: the least relative entropy between the magnitudes and the quantised ones (Migacz 2017, see
          `clipping.entropy_threshold`).
    bits
        In [2, 16].
    symmetric
        See `CalibrationRange`.
    share
        For ``"percentile"``, in (0, 1].

    Raises
    ------
    TypeError, ValueError
        For another method, number of bits or share; if there are no numbers, or some that no float32 holds; if an
        extreme is infinite for ``"minmax"``.

    Examples
    --------
    Of 0, 1, …, 1000 and one outlier, 99.9 % lie at or below 1000, the 1001st of 1002 numbers:

    >>> values = Quantiles()
    >>> values.update([*range(1001), 1e6])
    >>> round(calibration_range(values, "minmax").high)
    1000000
    >>> abs(calibration_range(values, "percentile", share=0.999).high - 1000) <= 2**-8 * 1000
    True
    """
    _check_bits(bits)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; accepted are {', '.join(map(repr, METHODS))}")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; a number in (0, 1] is accepted")
    bins = histogram(values)
    if not bins.total:
        raise ValueError("the sketch holds no finite numbers, so that no range exists")
    if max(-bins.lower[0], bins.upper[-1]) > REACH:
        raise ValueError("the sketch holds numbers of magnitudes above 2**128; those that a float32 holds are accepted")
    low, high = _ends(values, bins, method, bits, symmetric, share)
    return CalibrationRange.between(low, high, bits=bits, symmetric=symmetric)


def unit_ranges(
    minimum: npt.ArrayLike, maximum: npt.ArrayLike, *, bits: int = 8, symmetric: bool = True
) -> list[CalibrationRange]:
    """Give a range for each unit, from the exact extremes of a `LayerSummary`; of a unit without values: scale 1."""
    low, high = np.asarray(minimum, np.float64), np.asarray(maximum, np.float64)
    if low.shape != high.shape or low.ndim != 1:
        raise ValueError(f"minimum and maximum have shapes {low.shape} and {high.shape}; one entry a unit is accepted")
    pairs = np.where(np.isnan(low) | np.isnan(high), 0.0, [low, high]).T.tolist()
    return [CalibrationRange.between(*pair, bits=bits, symmetric=symmetric) for pair in pairs]


def rectified(values: Quantiles) -> Quantiles:
    """Give the sketch of ``max(x, 0)`` for the numbers x of another, exactly."""
    fields = values._fields()
    below = int(fields["negatives"].sum()) + fields["negative_infinities"]
    fields |= {"negatives": np.empty(0, np.int64), "negative_low": 0, "negative_infinities": 0}
    fields["zeros"] += below
    if below:
        fields |= {"minimum": 0.0, "maximum": max(fields["maximum"], 0.0)}
    return Quantiles._from_fields(fields, values._envelope(), values.hasher)


def _check_bits(bits: int) -> None:
    bounds.check_integer("bits", bits, 2, 16)


def _ends(
    values: Quantiles, bins: Histogram, method: str, bits: int, symmetric: bool, share: float
) -> tuple[float, float]:
    if method == "minmax":
        return values.minimum, values.maximum
    steps = 2 * (2 ** (bits - 1) - 1) if symmetric else 2**bits - 1
    low, high = float(bins.lower[0]), float(bins.upper[-1])
    if method == "mse":
        return squared_error_ends(bins, steps, symmetric) if low or high else (0.0, 0.0)
    one_sided = symmetric or low >= 0 or high <= 0
    if method == "percentile" and not one_sided:
        return _quantile(bins, (1 - share) / 2), _quantile(bins, (1 + share) / 2)
    sizes = magnitudes(values)
    if not sizes.total:
        return 0.0, 0.0
    if method == "percentile":
        above = share * bins.total - (bins.total - sizes.total)  # in ranks of numbers that are not zero
        most = _quantile(sizes, above / sizes.total) if above > 0 else 0.0
    else:
        most = entropy_threshold(sizes, 2 ** (bits - 1) if symmetric or not one_sided else 2**bits)
    return max(-most, low), min(most, high)


def _quantile(bins: Histogram, share: float) -> float:
    """Give the middle of the bin that has the rank `share`, as `Quantiles.quantile`."""
    cumulated = np.cumsum(bins.counts)
    place = int(np.searchsorted(cumulated, np.ceil(share * cumulated[-1])))
    place = min(place, len(cumulated) - 1)
    return float(bins.lower[place] / 2 + bins.upper[place] / 2)
