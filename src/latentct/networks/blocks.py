"""Blocks of voxels as channels and back, and a linear code of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

LEAST_VARIANCE = 1e-8
"""Variance that a component has at least, so that a code of unit variance exists."""


def space_to_depth(x: Tensor, fold: int) -> Tensor:
    """Move blocks of ``fold`` voxels along each axis to the channels, (B, C, D, H, W) to (B, C fold^3, D / fold, ...).

    >>> import torch
    >>> space_to_depth(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    b, c, d, h, w = x.shape
    blocks = x.reshape(b, c, d // fold, fold, h // fold, fold, w // fold, fold)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * fold**3, d // fold, h // fold, w // fold)


def depth_to_space(x: Tensor, fold: int) -> Tensor:
    """Undo `space_to_depth`."""
    b, c, d, h, w = x.shape
    blocks = x.reshape(b, c // fold**3, fold, fold, fold, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(b, c // fold**3, d * fold, h * fold, w * fold)


class BlockCode(NamedTuple):
    """A linear code of blocks: ``code = to_code (block - mean)`` of unit variance, ``block = from_code code + mean``.

    Attributes:
        blocks: the blocks that it was made from, (N, C fold^3), float64.
        kept: which blocks of the volumes these are, bool (all blocks,).
        mean: their mean (C fold^3,).
        to_code: matrix (n, C fold^3).
        from_code: matrix (C fold^3, n).
    """

    blocks: Tensor
    kept: Tensor
    mean: Tensor
    to_code: Tensor
    from_code: Tensor


def principal_blocks(x: Tensor, fold: int, n: int, empty_below: float) -> BlockCode:
    """Return the code of blocks of volumes by their first principal components.

    Args:
        x: volumes (B, C, D, H, W).
        fold: voxels of a block along each axis.
        n: number of components.
        empty_below: blocks that nowhere reach this value are air and tell nothing.
    """
    blocks = space_to_depth(x, fold).movedim(1, -1).flatten(0, -2)
    kept = blocks.amax(dim=1) >= empty_below
    blocks = blocks[kept].double()
    variances, components = torch.linalg.eigh(torch.cov(blocks.T))
    std = variances[-n:].flip(0).clamp_min(LEAST_VARIANCE).sqrt()
    components = components[:, -n:].flip(1)
    return BlockCode(blocks, kept, blocks.mean(dim=0), (components / std).T, components * std)


def set_linear(layer: nn.Conv3d, weight: Tensor, bias: Tensor) -> None:
    """Set a convolution of size 1 from a matrix (C_out, C_in) and a vector (C_out,); call it without gradients."""
    assert layer.bias is not None
    layer.weight.copy_(weight.reshape_as(layer.weight))
    layer.bias.copy_(bias)
