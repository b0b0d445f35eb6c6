"""Virtual weights from stored values, differentiable: compiled on the CPU, by gathering elsewhere, with one result.

On the CPU no index is kept. Up to `WHOLE` weights, the virtual matrix of a linear layer is made in each pass and kept
until its backward pass: measured with 2048 × 2048 weights, a training step of batch 32 took 44 ms so, 51 ms by an
index and 59 ms by blocks. Above, it is never made: a block of rows at a time is made, multiplied and forgotten, in the
forward and again in the backward pass; with 4096 × 4096 weights, 55 ms forward for batch 1 instead of 74 ms, and a
training step takes as long as with the whole matrix, whose 64 MiB are saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from sketches.nn.torch.hashed.places import Places

__all__ = ["linear", "rows", "weights"]

WHOLE = 2**23  # weights that `linear` makes at once, 32 MiB of float32
BLOCK = 2**18  # of a block, if there are more
DTYPES = torch.float32, torch.float64  # of the kernel; others are computed as float32 and rounded


def weights(values: Tensor, places: Places) -> Tensor:
    """Give the virtual array."""
    exact = values if values.dtype in DTYPES else values.float()
    if _compiled(exact):
        made = _make(exact, places, (0, places.shape[0]))
    else:
        made = _picked(exact, places.index(exact.device))
    return made.view(places.shape).to(values.dtype)


def rows(values: Tensor, places: Places, ids: Tensor) -> Tensor:
    """Give the rows with these numbers, of shape (*ids.shape, width)."""
    exact = values if values.dtype in DTYPES else values.float()
    if _compiled(exact) and _compiled(ids):
        made = _make(exact, places, ids.reshape(-1).long())
    else:
        positions = ids.long()[..., None] * places.width + torch.arange(places.width, device=ids.device)
        made = _picked(exact, places.locate(positions))
    return made.view(*ids.shape, places.width).to(values.dtype)


def linear(x: Tensor, values: Tensor, bias: Tensor | None, places: Places) -> Tensor:
    """Multiply by the virtual matrix: x @ weights.T + bias."""
    blockwise = (
        places.total > WHOLE
        and x.dtype == values.dtype
        and values.dtype in DTYPES
        and _compiled(values)
        and _compiled(x)
        and not _autocast()
    )
    if not blockwise:
        return functional.linear(x, weights(values, places), bias)
    y: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), values, places)  # type: ignore[no-untyped-call]
    y = y.view(*x.shape[:-1], places.shape[0])
    return y if bias is None else y + bias


def _compiled(tensor: Tensor) -> bool:
    """Tell whether the kernel can read a tensor: on the CPU, traced by no compiler, wrapped by no transformation."""
    if torch.compiler.is_compiling() or tensor.device.type != "cpu" or type(tensor) not in (Tensor, torch.nn.Parameter):
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def _autocast() -> bool:
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # before PyTorch 2.4
        return torch.is_autocast_cpu_enabled()


def _make(values: Tensor, places: Places, chosen: Tensor | tuple[int, int]) -> Tensor:
    found: Tensor = _Rows.apply(values, places, chosen)  # type: ignore[no-untyped-call]
    return found


def _collect(dense: Tensor, places: Places, chosen: Tensor | tuple[int, int]) -> Tensor:
    found: Tensor = _Sums.apply(dense, places, chosen)  # type: ignore[no-untyped-call]
    return found


def _picked(values: Tensor, index: Tensor) -> Tensor:
    signed = torch.cat([values, -values])
    parts = [signed.index_select(0, each.reshape(-1)) for each in index]
    total = parts[0]
    for part in parts[1:]:  # in the kernel's order
        total = total + part
    return total


class _Rows(Function):
    """Rows of the virtual array, by number or as (start, stop)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Places, chosen: Any) -> Tensor:
        ctx.places, ctx.chosen = places, chosen
        return places.fill(values, chosen)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _collect(gradient, ctx.places, ctx.chosen), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Any:
        return ctx.places.fill(tangent, ctx.chosen)


class _Sums(Function):
    """Its transpose: what the rows' gradients give to the values."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, places: Places, chosen: Any) -> Tensor:
        ctx.places, ctx.chosen = places, chosen
        sums = np.zeros(places.entries)
        places.gather(dense, chosen, sums)
        return torch.from_numpy(sums).to(dense.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _make(gradient, ctx.places, ctx.chosen), None, None


class _Product(Function):
    """x @ weights.T, a block of rows at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, places: Places) -> Tensor:
        ctx.save_for_backward(x, values)
        ctx.places = places
        out = x.new_empty(len(x), places.shape[0])
        for start, stop in _blocks(places):
            out[:, start:stop] = x @ places.fill(values, (start, stop)).t()
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, values = ctx.saved_tensors
        places = ctx.places
        if torch.is_grad_enabled():  # to be differentiated again
            every = (0, places.shape[0])
            found = gradient @ _make(values, places, every), _collect(gradient.t() @ x, places, every)
            return *found, None
        for_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        sums = np.zeros(places.entries) if ctx.needs_input_grad[1] else None
        for start, stop in _blocks(places):
            slopes = gradient[:, start:stop]
            if for_x is not None:
                for_x.addmm_(slopes, places.fill(values, (start, stop)))
            if sums is not None:
                places.gather(slopes.t() @ x, (start, stop), sums)
        return for_x, None if sums is None else torch.from_numpy(sums).to(values.dtype), None


def _blocks(places: Places) -> Iterator[tuple[int, int]]:
    step = max(1, BLOCK // places.width)
    for start in range(0, places.shape[0], step):
        yield start, min(start + step, places.shape[0])
