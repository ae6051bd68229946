"""From the panels into the volume: feature maps smeared back along the rays of each view, and their fusion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from latentct.projectors.shadow import Shadow


def lift(features: Tensor, shadow: Shadow) -> Tensor:
    """Give each voxel the features at its shadow, bilinear between the pixels' centres.

    Args:
        features: maps (A, B, C, V, U); V and U need not be the pixels of the scan, only cover its panel.
        shadow: shadows of the voxels of a grid of (D, H, W) in the A views.

    Returns:
        (A, B, C, D, H, W), zero where a view does not see the voxel.
    """
    n_views, *shape = shadow.visible.shape
    maps = features.flatten(1, 2).float()
    lifted = grid_sample(maps, shadow.position.flatten(1, 2), "bilinear", "border", align_corners=False)
    lifted = lifted.reshape(n_views, maps.shape[1], *shape) * shadow.visible[:, None]
    return lifted.unflatten(1, features.shape[1:3])


def coverage(shadow: Shadow) -> Tensor:
    """Return which share of the views sees each voxel, (D, H, W) in [0, 1]."""
    return shadow.visible.float().mean(0)


def mean_over_views(lifted: Tensor, shadow: Shadow) -> Tensor:
    """Return the mean over the views that see a voxel, (B, C, D, H, W); zero where none does."""
    seen = shadow.visible.sum(0).clamp(min=1)
    return lifted.sum(0) / seen


def max_over_views(lifted: Tensor, shadow: Shadow) -> Tensor:
    """Return the largest value among the views that see a voxel, (B, C, D, H, W); zero where none does."""
    seen = shadow.visible[:, None, None]
    lowest = torch.finfo(lifted.dtype).min
    largest = lifted.masked_fill(~seen, lowest).max(0).values  # its gradient takes half the time of that of amax
    return torch.where(seen.any(0), largest, 0.0)
