"""The scans and the object that the benchmarks of the projectors share."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam, Scan

EXTENT_MM, SOD_MM, SDD_MM = 360.0, 570.0, 1040.0


def plane_cases(size: int, n_views: int, n_bins: int) -> dict[str, tuple[Grid, Scan]]:
    """Return the grid and the scan of the plane cases."""
    pixel_mm = EXTENT_MM / size
    grid = Grid((size, size), (pixel_mm, pixel_mm))
    fan_bin_mm = pixel_mm * SDD_MM / SOD_MM
    return {
        "parallel": (grid, ParallelBeam.equally_spaced(n_views, math.pi, n_bins, pixel_mm)),
        "fan": (grid, FanBeam.equally_spaced(n_views, 2 * math.pi, n_bins, fan_bin_mm, SOD_MM, SDD_MM)),
    }


def cone_case(size: int, n_views: int) -> tuple[Grid, Scan]:
    """Return the grid and the scan of the cone beam, whose panel has as many pixels as a slice."""
    voxel_mm = EXTENT_MM / size
    pixel_mm = 1.2 * voxel_mm * SDD_MM / SOD_MM
    scan = ConeBeam.equally_spaced(n_views, 2 * math.pi, (size, size), (pixel_mm, pixel_mm), SOD_MM, SDD_MM)
    return Grid((size,) * 3, (voxel_mm,) * 3), scan


def smooth_object(grid: Grid, n: int) -> Tensor:
    """Return `n` images (N, 1, *grid.shape) in 1/mm of two Gaussians off the middle, each image a little brighter."""
    total = np.zeros(grid.shape, np.float32)
    for part, sd, height in ((0.17, 0.08, 0.02), (-0.13, 0.06, 0.015)):
        centres = [part * extent * (-1) ** axis for axis, extent in enumerate(grid.extent_mm)]
        axes = [grid.coordinates_mm(axis) - centre for axis, centre in enumerate(centres)]
        squares = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
        total += height * np.exp(-squares / (2 * (sd * EXTENT_MM) ** 2)).astype(np.float32)
    return torch.from_numpy(total) * torch.linspace(1.0, 1.5, n).view(n, 1, *(1,) * grid.ndim)
