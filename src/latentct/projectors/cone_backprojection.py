"""Voxel-driven back-projection of a circular cone beam: bilinear interpolation on the panel."""

from __future__ import annotations

import numpy as np
import torch

from latentct.geometry import ConeBeam, Grid
from latentct.projectors.numba_panel import MARGIN, backproject_panel
from latentct.projectors.numba_window import N_LANES


def backproject_cone(q: torch.Tensor, grid: Grid, scan: ConeBeam) -> torch.Tensor:
    """Sum over the views what each voxel finds on the panel, ``sum_t (sod / depth)^2 q(t, v(t, p), u(t, p))``.

    Not the transpose of a projector: one interpolated value per voxel and view, as the algorithm of Feldkamp wants it,
    with the depth of the voxel from the source along the central ray. Pixels beyond the panel count as zero, reached
    linearly over one pixel. On the CPU the work is done by a compiled kernel unless a gradient is asked for.

    Args:
        q: Filtered projections (B, C, A, V, U).
        grid: Grid of the volumes, between source and panel.
        scan: Circular cone beam.

    Returns:
        Sums (B, C, D, H, W) in the unit of ``q``; the angular step is left to the caller.

    Raises:
        ValueError: The last axes of ``q`` are not ``scan.sinogram_shape``.
    """
    if tuple(q.shape[-3:]) != scan.sinogram_shape:
        raise ValueError(f"projections of this scan end in {scan.sinogram_shape}, not {tuple(q.shape)}")
    stack = q.reshape(-1, *scan.sinogram_shape)
    differentiated = torch.is_grad_enabled() and q.requires_grad
    compiled = q.device.type == "cpu" and q.dtype == torch.float32 and not differentiated
    x = (_compiled if compiled else backproject_cone_reference)(stack, grid, scan)
    return x.reshape(*q.shape[:-3], *grid.shape)


def backproject_cone_reference(q: torch.Tensor, grid: Grid, scan: ConeBeam) -> torch.Tensor:
    """Do the work of `backproject_cone` in torch, from (N, A, V, U) to (N, D, H, W), for any device and dtype."""
    z_mm, y_mm, x_mm = (torch.as_tensor(grid.coordinates_mm(axis), device=q.device) for axis in range(3))
    n_rows, n_columns = scan.detector_shape
    total = q.new_zeros(len(q), *grid.shape)
    for a, t in enumerate(scan.angles_rad):
        depth_mm = scan.sod_mm + y_mm[:, None] * np.cos(t) - x_mm * np.sin(t)
        u_mm = scan.sdd_mm * (x_mm * np.cos(t) + y_mm[:, None] * np.sin(t)) / depth_mm
        v_mm = scan.sdd_mm * z_mm[:, None, None] / depth_mm
        at_u = ((u_mm - scan.offset_mm[1]) * 2 / (scan.pixel_mm[1] * n_columns)).expand_as(v_mm)
        at_v = (v_mm - scan.offset_mm[0]) * 2 / (scan.pixel_mm[0] * n_rows)
        places = torch.stack([at_u, at_v], dim=-1).to(q.dtype).reshape(1, len(z_mm), -1, 2)
        values = torch.nn.functional.grid_sample(q[None, :, a], places, align_corners=False)[0]
        total = total + ((scan.sod_mm / depth_mm) ** 2).to(q.dtype) * values.reshape(total.shape)
    return total


def _compiled(q: torch.Tensor, grid: Grid, scan: ConeBeam) -> torch.Tensor:
    n_rows, n_columns = scan.detector_shape
    depth, height, width = grid.shape
    places = (*(grid.coordinates_mm(axis) for axis in range(3)), np.cos(scan.angles_rad), np.sin(scan.angles_rad))
    lengths = (scan.v_mm()[0], scan.u_mm()[0], *scan.pixel_mm, scan.sod_mm, scan.sdd_mm)
    panel = (n_rows, *(float(length) for length in lengths))
    panels = q.new_zeros(scan.n_views, n_columns, n_rows + 2 * MARGIN)
    volume = q.new_empty(height, width, depth + N_LANES)
    x = q.new_empty(len(q), *grid.shape)
    for one, result in zip(q.detach(), x, strict=True):
        panels[..., MARGIN : MARGIN + n_rows] = one.transpose(1, 2)
        backproject_panel(panels.numpy(), volume.numpy(), places, panel)
        result.copy_(volume[..., :depth].permute(2, 0, 1))
    return x
