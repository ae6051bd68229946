"""Where on the detector each voxel casts its shadow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.projectors.rays import FloatArray, cone_vectors

OUTSIDE = 4.0
"""The position, beyond any panel, of what casts no shadow on it."""


class Shadow(NamedTuple):
    """The shadows of all voxel centres in all views.

    Attributes:
        position: (A, D, H, W, 2), the place (u, v) on the panel as ``torch.nn.functional.grid_sample`` reads it with
            ``align_corners=False``: -1 and 1 are the outer edges of the first and the last pixel.
        visible: bool (A, D, H, W), True where the ray through the voxel meets the panel between its edges, the voxel
            being before the source.
    """

    position: torch.Tensor
    visible: torch.Tensor


def cast_shadow(grid: Grid, scan: ConeBeam | VectorConeBeam, device: str | torch.device = "cpu") -> Shadow:
    """Return where the voxel centres of a grid appear on the panel in each view, and whether they do.

    A ray from the source ``s`` meets the panel's plane, with middle ``d`` and pixel steps ``u`` and ``v``, in
    ``d + a u + b v``. A point p lies on it if ``p - s = c (d + a u + b v - s)``; so ``(c a, c b, c)`` solves a linear
    system of three equations, whose matrix is inverted once a view. Of a panel of U columns the position is
    ``2 a / U``.

    Args:
        grid: Voxels (D, H, W).
        scan: The views.
        device: Where the tensors shall be.

    Returns:
        Positions in float32, `OUTSIDE` where a voxel is not before the source, and visibility.
    """
    source_mm, inverse = _to_panel(scan)
    z_mm, y_mm, x_mm = (torch.from_numpy(grid.coordinates_mm(axis)) for axis in range(3))
    rays = [axis_mm - torch.from_numpy(source_mm[:, i : i + 1]) for i, axis_mm in enumerate((z_mm, y_mm, x_mm))]
    m = torch.from_numpy(inverse)
    parts = [(m[:, :, i, None] * rays[i][:, None]).to(device, torch.float32) for i in range(3)]
    along_u, along_v, depth = (
        parts[0][:, k, :, None, None] + parts[1][:, k, None, :, None] + parts[2][:, k, None, None, :] for k in range(3)
    )
    n_rows, n_columns = scan.detector_shape
    before = depth > 0
    scale = torch.where(before, depth, 1.0).reciprocal_().mul_(2.0)
    position = torch.stack([along_u * scale / n_columns, along_v * scale / n_rows], dim=-1)
    position = torch.where(before[..., None], position, OUTSIDE).clamp_(-OUTSIDE, OUTSIDE)
    return Shadow(position, (position.abs() <= 1).all(-1))


def view_direction(scan: ConeBeam | VectorConeBeam, grid: Grid) -> FloatArray:
    """Return the unit vectors from the sources to the middle of a grid, shape (A, 3) as (z, y, x)."""
    direction = np.asarray(grid.center_mm) - cone_vectors(scan)[0]
    unit: FloatArray = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    return unit


def pixel_at_center_mm(scan: ConeBeam | VectorConeBeam, grid: Grid) -> tuple[float, float]:
    """Return the distance (dv, du) in mm of neighbouring rays at the middle of a grid, the mean over the views."""
    source_mm, inverse = _to_panel(scan)
    depth = np.einsum("ai,ai->a", inverse[:, 2], np.asarray(grid.center_mm) - source_mm)
    _, _, v_mm, u_mm = cone_vectors(scan)
    dv_mm, du_mm = (float(np.mean(depth * np.linalg.norm(step_mm, axis=1))) for step_mm in (v_mm, u_mm))
    return dv_mm, du_mm


def _to_panel(scan: ConeBeam | VectorConeBeam) -> tuple[FloatArray, FloatArray]:
    """Return the sources (A, 3) in mm and the matrices (A, 3, 3) from ``p - s`` to ``(c a, c b, c)``, zyx."""
    source_mm, corner_mm, v_mm, u_mm = cone_vectors(scan)
    n_rows, n_columns = scan.detector_shape
    middle_mm = corner_mm + (n_rows - 1) / 2 * v_mm + (n_columns - 1) / 2 * u_mm
    inverse: FloatArray = np.linalg.inv(np.stack([u_mm, v_mm, middle_mm - source_mm], axis=-1))
    return np.ascontiguousarray(source_mm), inverse
