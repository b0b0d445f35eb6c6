"""Training images, deformed at random: the usual help of MNIST (P. Simard, D. Steinkraus and J. Platt, "Best practices
for convolutional neural networks applied to visual document analysis", ICDAR 2003), at 5 µs an image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SIDE, KNOTS = 28, 6
TURN, SLANT, SCALE, SHIFT, WAVE = 0.26, 0.2, 0.15, 2.0, 1.0  # radians, shares, pixels at most; pixels, on average


def fields() -> Tensor:
    """Give what displacements are sums of, of shape (3 + KNOTS**2, SIDE**2): a constant, x, y, and smooth bumps."""
    centres = (torch.arange(SIDE) * 2 + 1) / SIDE - 1  # grid_sample's places of pixels: edges at -1 and 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    knots = torch.eye(KNOTS**2).reshape(-1, 1, KNOTS, KNOTS)
    bumps = functional.interpolate(knots, (SIDE, SIDE), mode="bicubic", align_corners=False)
    return torch.cat([torch.stack([torch.ones_like(x), x, y]), bumps[:, 0]]).flatten(1)


FIELDS = fields()


def warp(pixels: Tensor, strength: float) -> Tensor:
    """Turn, slant, scale, shift and bend images of shape (n, 1, 28, 28), each in its own way."""

    def draw(*shape: int) -> Tensor:
        return (torch.rand(*shape) * 2 - 1) * strength

    n = len(pixels)
    weights = torch.randn(n, 2, len(FIELDS)) * (WAVE * strength * 2 / SIDE)
    turn, scale = draw(n) * TURN, 1 + draw(n, 2) * SCALE
    weights[:, :, 0] = draw(n, 2) * (SHIFT * 2 / SIDE)
    weights[:, 0, 1], weights[:, 0, 2] = turn.cos() * scale[:, 0], draw(n) * SLANT - turn.sin()
    weights[:, 1, 1], weights[:, 1, 2] = turn.sin(), turn.cos() * scale[:, 1]
    places = (weights.flatten(0, 1) @ FIELDS).reshape(n, 2, SIDE, SIDE).permute(0, 2, 3, 1)
    return functional.grid_sample(pixels, places, align_corners=False)
