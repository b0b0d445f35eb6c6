"""Which Python objects are items, and which of them are the same item.

Equality follows Python's: ``1``, ``1.0``, ``True`` and ``np.int8(1)`` are one item, and ``"1"`` is another. A ``str``
is its UTF-8 bytes. Instants are equal where they name the same moment, whatever their unit.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["canonical", "split_instants"]

Instants = npt.NDArray[np.datetime64]
Int64s = npt.NDArray[np.int64]

_ACCEPTED = "int, float, bool, str, bytes, tuple, date, datetime, numpy scalars and None are accepted"
_COARSE = {"W": 604_800, "D": 86_400, "h": 3_600, "m": 60, "s": 1}  # seconds in a unit
_FINE = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}  # units in a second
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_INT64_MAX = 2**63 - 1
_NUMPY = (np.generic, np.ndarray)


def split_instants(instants: Instants) -> tuple[Int64s, Int64s]:
    """Split instants of any unit into whole seconds since 1970 and the remaining attoseconds.

    Raises ``ValueError`` where the seconds do not fit into 64 bits. NaT must have been removed.
    """
    unit, step = np.datetime_data(instants.dtype)
    if unit in ("Y", "M"):
        instants, unit, step = instants.astype("M8[D]"), "D", 1
    if unit == "generic":
        raise TypeError("items are datetime64 without a unit; give one, such as datetime64[s]")
    ticks = instants.astype(instants.dtype.newbyteorder("=")).view(np.int64)
    factor = step * _COARSE.get(unit, 1)
    if ticks.size and max(abs(int(ticks.min())), abs(int(ticks.max()))) > _INT64_MAX // factor:
        raise ValueError(f"items are datetime64[{unit}] with an instant outside the 64-bit range of seconds")
    ticks = ticks * factor
    if unit in _COARSE:
        return ticks, np.zeros_like(ticks)
    per_second = _FINE[unit]
    seconds, rest = np.divmod(ticks, per_second)
    return seconds, rest * (10**18 // per_second)


def _canonical_instant(item: np.datetime64) -> np.datetime64 | None:
    """Give the same instant in the coarsest of s, ms, us, … that holds it exactly; NaT is None."""
    if np.isnat(item):
        return None
    (seconds,), (attoseconds,) = split_instants(np.array([item]))
    if not attoseconds:
        return np.datetime64(int(seconds), "s")
    unit = next(unit for unit, per_second in _FINE.items() if not attoseconds % (10**18 // per_second))
    ticks = int(seconds) * _FINE[unit] + int(attoseconds) // (10**18 // _FINE[unit])
    return np.array([ticks], f"M8[{unit}]")[0]  # type: ignore[no-any-return]


def canonical(item: Any) -> Any:
    """Give the one representative of all items that equal `item`: what a sketch stores and reports.

    Returns ``None`` for a null, else an ``int`` (also for bools and integral floats), ``float``, ``str``, ``bytes``,
    ``tuple`` of such, or ``np.datetime64``. Raises ``TypeError`` for anything else.
    """
    if item is None or type(item) in (int, str, bytes):
        return item
    if isinstance(item, np.datetime64):
        return _canonical_instant(item)
    if isinstance(item, _NUMPY) and item.ndim == 0 and not isinstance(item, np.longdouble):
        if isinstance(item, np.ndarray) and item.dtype.kind == "M":
            return _canonical_instant(item.reshape(1)[0])
        if isinstance(item, np.timedelta64):
            raise TypeError(f"item is a timedelta64; convert it to an integer number of its unit ({_ACCEPTED})")
        if isinstance(item, np.void):
            raise TypeError(f"item is a structured scalar; convert it to a tuple ({_ACCEPTED})")
        item = item.item()
    if isinstance(item, float):
        if item != item:
            return float("nan")
        return int(item) if item.is_integer() else float(item)
    if isinstance(item, int):
        return int(item)
    if isinstance(item, str):
        return str.__str__(item)
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    if isinstance(item, tuple):
        return tuple(canonical(member) for member in item)
    if item is None or (type(item).__name__ in ("NAType", "NaTType") and type(item).__module__.startswith("pandas.")):
        return None
    if isinstance(item, datetime.datetime):
        moment = item if item.tzinfo else item.replace(tzinfo=datetime.UTC)
        delta = moment - _EPOCH
        micros = (delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds
        nanos = getattr(item, "nanosecond", 0)  # pandas.Timestamp
        return _canonical_instant(np.datetime64(micros * 1000 + nanos, "ns") if nanos else np.datetime64(micros, "us"))
    if isinstance(item, datetime.date):
        return _canonical_instant(np.datetime64(item, "D"))
    raise TypeError(f"item has type {type(item).__name__}; {_ACCEPTED}")
