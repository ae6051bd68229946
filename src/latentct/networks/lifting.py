"""From the panels into the volume: feature maps smeared back along the rays of each view, and their fusion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from latentct.projectors.shadow import OUTSIDE, Shadow


def lift(features: Tensor, shadow: Shadow) -> Tensor:
    """Give each voxel the features at its shadow, bilinear between the pixels' centres.

    Within half a pixel of the panel's edge they fade towards the zero outside.

    Args:
        features: maps (A, B, C, V, U); V and U need not be the pixels of the scan, only cover its panel.
        shadow: shadows of the voxels of a grid of (D, H, W) in the A views.

    Returns:
        (A, B, C, D, H, W), zero where a view does not see the voxel.
    """
    n_views, *shape = shadow.visible.shape
    position = torch.where(shadow.visible[..., None], shadow.position, OUTSIDE).flatten(1, 2)
    lifted = grid_sample(features.flatten(1, 2).float(), position, "bilinear", "zeros", align_corners=False)
    return lifted.reshape(n_views, *features.shape[1:3], *shape)


def coverage(shadow: Shadow) -> Tensor:
    """Return which share of the views sees each voxel, (D, H, W) in [0, 1]."""
    return shadow.visible.float().mean(0)


def mean_over_views(lifted: Tensor, shadow: Shadow) -> Tensor:
    """Return the mean over the views that see a voxel, (B, C, D, H, W); zero where none does."""
    return lifted.sum(0) / shadow.visible.sum(0).clamp(min=1)


def max_over_views(lifted: Tensor) -> Tensor:
    """Return the largest value among the views, (B, C, D, H, W); a view that does not see a voxel counts as zero."""
    return lifted.max(0).values  # its gradient takes half the time of that of amax


def min_over_views(lifted: Tensor, shadow: Shadow) -> Tensor:
    """Return the smallest value among the views that see a voxel, (B, C, D, H, W); zero where none does."""
    seen = shadow.visible[:, None, None]
    smallest = lifted.masked_fill(~seen, torch.finfo(lifted.dtype).max).amin(0)
    return torch.where(seen.any(0), smallest, 0.0)
