"""Changes pictures at random in ways that their captions allow."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

_TURN = 0.2
"""Radians, at most."""
_SHRINK, _ENLARGE = 1.25, 0.8
"""Sides of the part of the page that is seen, at most and at least."""
_SHIFT = 0.15
"""Of half a side, at most."""
_PAPER = 0.3
"""Share of the pictures whose white paper gets another color."""


def augment(images: Tensor, may_flip: Tensor, generator: torch.Generator) -> Tensor:
    """Returns pictures turned, shifted, enlarged or shrunk, in other light, on other paper.

    Args:
        images: uint8 [B, 3, H, W].
        may_flip: Which of them may be mirrored, bool [B].
        generator: The only source of randomness.

    Returns:
        uint8 [B, 3, H, W].
    """
    count = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    angle, size = uniform(-_TURN, _TURN), uniform(_ENLARGE, _SHRINK)
    mirror = torch.where(may_flip & (uniform(0, 1) < 0.5), -1.0, 1.0)
    stretch = uniform(0.9, 1.1)
    across, down = uniform(-_SHIFT, _SHIFT), uniform(-_SHIFT, _SHIFT)
    cos, sin = size * angle.cos(), size * angle.sin()
    rows = ((cos * mirror, -sin, across), (stretch * sin * mirror, stretch * cos, down))
    maps = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = affine_grid(maps, list(images.shape), align_corners=False)
    moved = grid_sample(images / 255, grid, padding_mode="border", align_corners=False)
    whiteness = ((moved.amin(dim=1, keepdim=True) - 0.9) / 0.1).clamp(0, 1)
    is_colored = (uniform(0, 1, 1, 1, 1) < _PAPER).float()
    paper = whiteness * is_colored * uniform(0.3, 1, 3, 1, 1)
    colored = moved * (1 - whiteness * is_colored) + paper
    lit = (colored - 0.5) * uniform(0.7, 1.2, 1, 1, 1) + 0.5 + uniform(-0.1, 0.1, 1, 1, 1)
    return (lit.clamp(0, 1) * 255).round().to(torch.uint8)
