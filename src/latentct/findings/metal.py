"""Metal in a volume in HU: where, and how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from latentct.correction.metal import segment_metal
from latentct.geometry import Grid
from latentct.tasks import Metal

BoolArray = npt.NDArray[np.bool_]
LEAST_MM3 = 30.0
"""Less than this in the whole volume is a marker, a thin lead or a calcification. In real volumes it separates teeth
with and without fillings; a vein full of undiluted contrast agent is as dense as metal and counts as metal."""


@dataclass(frozen=True, eq=False)
class MetalFinding:
    """Metal, or what attenuates as metal does.

    Attributes:
        mask: bool (D, H, W), True = metal.
        area_mm2: Area in each slice, (D,).
        volume_mm3: Volume in the whole image.
    """

    mask: BoolArray
    area_mm2: npt.NDArray[np.float64]
    volume_mm3: float

    @property
    def slices(self) -> BoolArray:
        """Slices with metal, (D,)."""
        return self.area_mm2 > 0


def find_metal(x_hu: npt.NDArray[np.float32], grid: Grid, task: Metal | None = None) -> MetalFinding:
    """Find metal by the limits of a task.

    Args:
        x_hu: Volume (D, H, W) in HU.
        grid: Its grid, 3-D.
        task: Whose limits are used; None: those of `Metal`.

    Returns:
        What is found; nothing if it is less than `LEAST_MM3` in all.
    """
    limits = task or Metal()
    mask = np.zeros(x_hu.shape, dtype=np.bool_)
    for index in np.flatnonzero([plane.max() > limits.threshold_hu for plane in x_hu]):
        one = torch.from_numpy(np.ascontiguousarray(x_hu[index]))[None, None]
        mask[index] = segment_metal(one, limits.threshold_hu, limits.edge_hu, limits.share_of_peak)[0, 0].numpy()
    area_mm2 = mask.sum(axis=(1, 2)) * grid.spacing_mm[1] * grid.spacing_mm[2]
    volume_mm3 = float(area_mm2.sum() * grid.spacing_mm[0])
    if volume_mm3 < LEAST_MM3:
        return MetalFinding(np.zeros_like(mask), np.zeros(len(mask)), 0.0)
    return MetalFinding(mask, area_mm2, volume_mm3)
