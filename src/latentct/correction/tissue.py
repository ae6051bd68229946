"""Air, soft tissue and bone in slices whose HU may be off: thresholds that follow the slice."""

from __future__ import annotations

import torch
from torch.nn import functional

AIR_HU, SOFT_HU, BONE_HU = -1000.0, 0.0, 1000.0
AIR_RANGE_HU = (-700.0, -300.0)
BONE_RANGE_HU = (200.0, 500.0)
N_ROUNDS = 10


def tissue_thresholds_hu(x_hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the thresholds between air, soft tissue and bone of each slice.

    They lie half-way between the means that three clusters reach from their usual values (Lloyd 1982,
    doi 10.1109/TIT.1982.1056489), but never outside ``AIR_RANGE_HU`` and ``BONE_RANGE_HU``, so that a slice without
    bone or full of artefacts is not cut in odd places.

    Args:
        x_hu: Slices (B, 1, H, W) in HU.

    Returns:
        Air to soft tissue and soft tissue to bone, in HU, each (B, 1, 1, 1).
    """
    means = x_hu.new_tensor([AIR_HU, SOFT_HU, BONE_HU]).repeat(len(x_hu), 1)
    values = x_hu.flatten(1)
    for _ in range(N_ROUNDS):
        limits = (means[:, 1:] + means[:, :-1]) / 2
        cluster = torch.searchsorted(limits, values)
        counts = torch.zeros_like(means).scatter_add_(1, cluster, torch.ones_like(values))
        sums = torch.zeros_like(means).scatter_add_(1, cluster, values)
        means = torch.where(counts > 0, sums / counts.clamp(min=1), means)
    limits = (means[:, 1:] + means[:, :-1]) / 2
    air_hu, bone_hu = limits[:, 0].clamp(*AIR_RANGE_HU), limits[:, 1].clamp(*BONE_RANGE_HU)
    return air_hu[:, None, None, None], bone_hu[:, None, None, None]


def smooth(x: torch.Tensor, spacing_mm: tuple[float, ...], sd_mm: float) -> torch.Tensor:
    """Smooth slices (B, 1, H, W) by a Gaussian of standard deviation ``sd_mm``; the border is continued."""
    for axis, step_mm in zip((-2, -1), spacing_mm, strict=True):
        reach = max(1, round(3 * sd_mm / step_mm))
        at_mm = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device) * step_mm
        kernel = torch.softmax(-0.5 * (at_mm / sd_mm) ** 2, dim=0)
        padding = (reach, reach, 0, 0) if axis == -1 else (0, 0, reach, reach)
        shape = (1, 1, 1, -1) if axis == -1 else (1, 1, -1, 1)
        x = functional.conv2d(functional.pad(x, padding, mode="replicate"), kernel.reshape(shape))
    return x
