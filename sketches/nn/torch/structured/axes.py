"""Where the axis of units goes when a tensor is moved, indexed or reshaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import fx

__all__ = ["Units", "flat", "indexed", "moved", "operation", "reshaped", "sized"]

Integers = npt.NDArray[np.int64]


class Units(NamedTuple):
    """The axis of a tensor along which there are units, and the unit of each position."""

    axis: int
    units: Integers


def operation(node: fx.Node) -> str:
    """Name the function or method that a node calls, without the ending of those that work in place.

    Functions of others than PyTorch get their module's name as well, since they may do anything.
    """
    if isinstance(node.target, str):
        return node.target.rstrip("_")
    name = getattr(node.target, "__name__", repr(node.target)).rstrip("_")
    home = getattr(node.target, "__module__", None) or "torch"
    return name if home.partition(".")[0] in ("torch", "_operator") else f"{home}.{name}"


def flat(arguments: Any) -> list[Any]:
    """Give the sizes or axes of a call, whether they came one by one or in a tuple."""
    if not isinstance(arguments, tuple | list):
        return [arguments]
    return [part for argument in arguments for part in flat(argument)]


def moved(operation: str, value: Units, axes: Sequence[Any], ndim: int) -> Units | None:
    """Follow units through permute, transpose (swapaxes) and unsqueeze; None if an axis is not known before the run."""
    if not all(isinstance(axis, int) for axis in axes):
        return None
    if operation == "unsqueeze":
        return Units(value.axis + (axes[0] % (ndim + 1) <= value.axis), value.units)
    if operation == "permute":
        return Units([axis % ndim for axis in axes].index(value.axis), value.units)
    one, other = (axis % ndim for axis in axes)
    return Units({one: other, other: one}.get(value.axis, value.axis), value.units)


def indexed(value: Units, index: Any) -> Units | None:
    """Follow units through ``tensor[index]`` of integers and slices; None for any other, or if it selects units."""
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(part, int | slice) for part in index):
        return None
    if value.axis < len(index) and index[value.axis] != slice(None):
        return None
    return Units(value.axis - sum(isinstance(part, int) for part in index[: value.axis]), value.units)


def reshaped(value: Units, before: tuple[int, ...], after: tuple[int, ...]) -> Units | None:
    """Follow units through a reshape; None if afterwards more axes than one tell them apart."""
    if len(value.units) == 1:  # nothing tells one unit apart: see where a second would be
        two = _doubled(before, value.axis)
        for axis in sorted(range(len(after)), key=lambda axis: (axis != value.axis, -axis)):
            if _axes(np.arange(2), value.axis, two, _doubled(after, axis)) == [axis]:
                return Units(axis, np.repeat(value.units, after[axis]))
        return None
    axes = _axes(value.units, value.axis, before, after)
    if len(axes) != 1:
        return None
    whole = _whole(value.units, value.axis, before).reshape(after)
    return Units(axes[0], np.moveaxis(whole, axes[0], -1).reshape(-1, after[axes[0]])[0].copy())


def sized(operation: str, value: Units, length: int, index: Any) -> Units | None:
    """Follow units to ``tensor.size(index)`` or ``tensor.shape[index]``; None if this is not their number."""
    if operation in ("size", "getitem") and isinstance(index, int):
        return value if index % length == value.axis else None
    if operation == "getitem" and isinstance(index, slice):
        left = list(range(length))[index]
        return Units(left.index(value.axis), value.units) if value.axis in left else None
    return value


def _whole(units: Integers, axis: int, shape: tuple[int, ...]) -> Integers:
    """Give every element of a tensor its unit."""
    ones = [1] * len(shape)
    ones[axis] = -1
    return np.broadcast_to(units.reshape(ones), shape)


def _axes(units: Integers, axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> list[int]:
    """Find the axes along which units differ after a reshape."""
    whole = _whole(units, axis, before).reshape(after)
    return [axis for axis in range(len(after)) if (whole != whole.take([0], axis)).any()]


def _doubled(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])
