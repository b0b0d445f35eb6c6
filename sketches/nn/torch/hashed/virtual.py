"""Virtual weights from stored values, differentiable: compiled on the CPU, by gathering elsewhere, with one result.

On the CPU no index is kept. Up to `WHOLE` weights, the virtual matrix of a linear layer is made in each pass and kept
until its backward pass: measured with 2048 × 2048 weights, a training step of batch 32 took 44 ms so, 51 ms by an
index and 59 ms by blocks. Above, in float32 and float64 without autocast, it is never made: a block of rows at a time
is made, multiplied and forgotten, in the forward and again in the backward pass; with 4096 × 4096 weights, 55 ms
forward for batch 1 instead of 74 ms, and a training step takes as long as with the whole matrix, whose 64 MiB are
saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from sketches.nn.hashed_fit import row_blocks
from sketches.nn.torch.hashed.places import Places

__all__ = ["compiled", "linear", "rows", "weights"]

Chosen = tuple[int, int] | Tensor  # rows from start to stop, or of these numbers (int64)

WHOLE = 2**23  # weights that `linear` makes at once, 32 MiB of float32
DTYPES = torch.float32, torch.float64  # of the kernel; others are computed as float32 and rounded


def weights(values: Tensor, places: Places) -> Tensor:
    """Give the virtual array."""
    made = _make(_exact(values, places), places, (0, places.shape[0]))
    return made.view(places.shape).to(values.dtype)


def rows(values: Tensor, places: Places, ids: Tensor) -> Tensor:
    """Give the rows with these numbers, of shape (*ids.shape, width)."""
    made = _make(_exact(values, places), places, ids.reshape(-1).long())
    return made.view(*ids.shape, places.width).to(values.dtype)


def linear(x: Tensor, values: Tensor, bias: Tensor | None, places: Places) -> Tensor:
    """Multiply by the virtual matrix: x @ weights.T + bias."""
    blockwise = (
        places.total > WHOLE
        and x.dtype == values.dtype
        and values.dtype in DTYPES
        and compiled(values)
        and compiled(x)
        and not _autocast()
    )
    if not blockwise:
        return functional.linear(x, weights(values, places), bias)
    y: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), _exact(values, places), places)  # type: ignore[no-untyped-call]
    y = y.view(*x.shape[:-1], places.shape[0])
    return y if bias is None else y + bias


def compiled(tensor: Tensor) -> bool:
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


def _exact(values: Tensor, places: Places) -> Tensor:
    if values.shape != (places.entries,):
        raise ValueError(f"values have shape {tuple(values.shape)}; {(places.entries,)} is accepted")
    return values if values.dtype in DTYPES else values.float()


def _make(values: Tensor, places: Places, chosen: Chosen) -> Tensor:
    """Make rows of the virtual array, of shape (rows, width): those of these numbers, or from start to stop."""
    if compiled(values) and (isinstance(chosen, tuple) or compiled(chosen)):
        return _Rows.apply(values, places, chosen)  # type: ignore[no-untyped-call, no-any-return]
    signed = torch.cat([values, -values])
    parts = [signed.index_select(0, each) for each in _index(values, places, chosen)]
    total = parts[0]
    for part in parts[1:]:  # in the kernel's order
        total = total + part
    return total.view(-1, places.width)


def _collect(dense: Tensor, places: Places, chosen: Chosen) -> Tensor:
    """Do the transpose: add up what the gradients of such rows give to the values."""
    if compiled(dense) and (isinstance(chosen, tuple) or compiled(chosen)):
        return _Sums.apply(dense, places, chosen)  # type: ignore[no-untyped-call, no-any-return]
    signed = dense.new_zeros(2 * places.entries)
    for each in _index(dense, places, chosen):
        signed = signed.index_add(0, each, dense.reshape(-1))
    return signed[: places.entries] - signed[places.entries :]


def _index(like: Tensor, places: Places, chosen: Chosen) -> Iterator[Tensor]:
    """Give the signed places of these rows' weights (see `Places.index`), for each hash."""
    if isinstance(chosen, tuple):
        start, stop = chosen[0] * places.width, chosen[1] * places.width
        return (each[start:stop] for each in places.index(like.device))
    positions = chosen[:, None] * places.width + torch.arange(places.width, device=chosen.device)
    return (each.reshape(-1) for each in places.locate(positions))


class _Rows(Function):
    """Rows of the virtual array, by the kernel."""

    generate_vmap_rule = True  # for values that a transformation does not touch: `compiled` keeps away the others

    @staticmethod
    def forward(values: Tensor, places: Places, chosen: Chosen) -> Tensor:
        return places.fill(values, chosen)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        _keep(ctx, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _collect(gradient, ctx.places, _kept(ctx)), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Any:
        return _make(tangent, ctx.places, _kept(ctx))


class _Sums(Function):
    """Its transpose: what the rows' gradients give to the values."""

    generate_vmap_rule = True

    @staticmethod
    def forward(dense: Tensor, places: Places, chosen: Chosen) -> Tensor:
        sums = np.zeros(places.entries)
        places.gather(dense, chosen, sums)
        return torch.from_numpy(sums).to(dense.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        _keep(ctx, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _make(gradient, ctx.places, _kept(ctx)), None, None


def _keep(ctx: Any, places: Places, chosen: Chosen) -> None:
    """Keep what was chosen until the backward pass, which is an error if numbers of rows have changed by then."""
    ctx.places = places
    ctx.range, ids = (chosen, None) if isinstance(chosen, tuple) else (None, chosen)
    ctx.save_for_backward(ids)
    ctx.save_for_forward(ids)


def _kept(ctx: Any) -> Chosen:
    return ctx.range or ctx.saved_tensors[0]  # type: ignore[no-any-return]


class _Product(Function):
    """x @ weights.T, a block of rows at a time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, values: Tensor, places: Places) -> Tensor:
        out = x.new_empty(len(x), places.shape[0])
        for start, stop in row_blocks(places.shape):
            out[:, start:stop] = x @ places.fill(values, (start, stop)).t()
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        x, values, ctx.places = inputs
        ctx.save_for_backward(x, values)
        ctx.save_for_forward(x, values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, values = ctx.saved_tensors
        places = ctx.places
        if torch.is_grad_enabled() or not compiled(gradient):  # to be differentiated again, or of many at once
            every = (0, places.shape[0])
            found = (
                gradient @ _make(values, places, every),
                _collect(gradient.t() @ x, places, every),
            )
            return *found, None
        for_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        sums = np.zeros(places.entries) if ctx.needs_input_grad[1] else None
        for start, stop in row_blocks(places.shape):
            slopes = gradient[:, start:stop]
            if for_x is not None:
                for_x.addmm_(slopes, places.fill(values, (start, stop)))
            if sums is not None:
                places.gather(slopes.t() @ x, (start, stop), sums)
        return for_x, None if sums is None else torch.from_numpy(sums).to(values.dtype), None

    @staticmethod
    def jvp(ctx: Any, x_tangent: Tensor | None, values_tangent: Tensor | None, _: None) -> Any:
        x, values = ctx.saved_tensors
        terms = [(x_tangent, values), (x, values_tangent)]
        return sum(a @ weights(b, ctx.places).t() for a, b in terms if a is not None and b is not None)
