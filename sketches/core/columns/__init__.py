"""One class for each way in which a column of items lies in memory.

A column is a piece of the input: it hashes its slots block by block into a buffer that the caller owns, names its
nulls, gives numbers where it has numbers, and finds single items again by position.
"""

from __future__ import annotations

import numpy as np

from sketches.core.columns.base import Array, Column, Mask, both, packed
from sketches.core.columns.nested import Dictionary, Nulls, Tuples
from sketches.core.columns.numbers import Instants, Numbers, real
from sketches.core.columns.objects import Boxed, Objects
from sketches.core.columns.text import FixedBytes, FixedText, Slices, Views

__all__ = [
    "Boxed",
    "Column",
    "Dictionary",
    "FixedBytes",
    "FixedText",
    "Instants",
    "Mask",
    "Nulls",
    "Numbers",
    "Objects",
    "Slices",
    "Tuples",
    "Views",
    "from_numpy",
    "real",
]


def from_numpy(array: Array, mask: Mask | None = None) -> Column:
    """Give the column of a one-dimensional array of any supported dtype; `mask` is True at items."""
    if array.ndim != 1:
        raise ValueError(
            f"items have shape {array.shape}; one dimension is accepted (items.ravel() takes every element)"
        )
    if isinstance(array, np.ma.MaskedArray):
        mask = both(mask, ~np.ma.getmaskarray(array))
        array = array.data
    array = np.asarray(array)  # a subclass may have a length or slices of its own
    numbers = real(array)
    if numbers is not None:
        return Numbers(numbers, mask)
    kind = array.dtype.kind
    if kind == "M":
        return Instants(array, mask)
    if kind == "S" and mask is None:
        width = array.dtype.itemsize
        if not width:
            return Objects(array.tolist())
        return FixedBytes(packed(array).view(np.uint8).reshape(len(array), width), strip=True)
    if kind == "U" and mask is None:
        return FixedText(array) if array.dtype.itemsize else Objects(array.tolist())
    if kind in "OTSU":
        return Boxed(array, mask)
    advice = {"m": "; view it as int64", "c": "; pass its real and imaginary parts", "V": "; pass a list of tuples"}
    raise TypeError(
        f"items have dtype {array.dtype}, which is not supported{advice.get(kind, '; convert it to float64')}"
        " (integers, bool, float16 to float64, bfloat16, datetime64, S, U, StringDType and object are)"
    )
