"""Augmentations that CT needs and MONAI lacks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor

__all__ = ["RandTabled", "table_profile"]


def table_profile(x: Tensor, height_px: float, half_width_px: float, depth_px: float, thickness_px: float) -> Tensor:
    """Draw the shell of a patient table: a shallow trough, as a soft mask in [0, 1].

    Args:
        x: a slice (1, H, W); gives size and device.
        height_px: row of the trough's lowest point.
        half_width_px: half its width.
        depth_px: how far its ends rise above the lowest point.
        thickness_px: thickness of the shell.

    Returns:
        Mask (1, H, W).
    """
    rows, columns = torch.meshgrid(
        torch.arange(x.shape[-2], device=x.device), torch.arange(x.shape[-1], device=x.device), indexing="ij"
    )
    across = (columns - (x.shape[-1] - 1) / 2) / half_width_px
    surface = height_px - depth_px * across.square()
    shell = (1.0 - (rows - surface).abs() / thickness_px).clamp(0, 1)
    return (shell * (across.abs() <= 1))[None]


class RandTabled(RandomizableTransform, MapTransform):
    """Put a table of random shape under the patient, where the slice holds only air.

    Args:
        keys: slices (1, H, W) in the network range, air at 0.
        prob: how often.
        level: range of the shell's network value above air.
        air_below: network value under which a pixel counts as air.
    """

    def __init__(
        self, keys: KeysCollection, prob: float = 0.2, level: Sequence[float] = (0.02, 0.2), air_below: float = 0.05
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.level = level
        self.air_below = air_below

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with, by chance, one table drawn into all keys."""
        d = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return d
        half_width, depth, gap, thickness = self.R.uniform((0.25, 0.0, 0.0, 0.7), (0.45, 0.12, 0.03, 1.5))
        level = self.R.uniform(*self.level)
        for key in self.key_iterator(d):
            x = d[key]
            n = x.shape[-1]
            occupied = torch.nonzero((x[0] > self.air_below).any(dim=1))
            lowest = float(occupied.max()) if len(occupied) else 0.7 * n
            table = table_profile(x, lowest + (gap + depth) * n + 1, half_width * n, depth * n, thickness)
            d[key] = torch.where(x < self.air_below, torch.maximum(x, level * table), x)
        return d
