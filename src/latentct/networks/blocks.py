"""Blocks of voxels as channels and back."""

from __future__ import annotations

from torch import Tensor


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
