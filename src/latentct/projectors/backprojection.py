"""Pixel-driven back-projection for filtered back-projection: linear interpolation on the detector bins."""

from __future__ import annotations

import numpy as np
import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors.numba_layout import interleave, separate
from latentct.projectors.numba_pixels import CURVED, FLAT, PARALLEL, backproject_slice, backproject_slices
from latentct.projectors.numba_vectors import LANES, lanes_for
from latentct.projectors.numba_window import WINDOW

FEW = 2
"""Slices that are back-projected one by one."""


def backproject(q: torch.Tensor, grid: Grid, scan: ParallelBeam | FanBeam, weighted: bool) -> torch.Tensor:
    """Sum over the views what each pixel finds on the detector, ``sum_t w(t, p) q(t, u(t, p))``.

    Not the transpose of a projector: one interpolated value per pixel and view, as filtered back-projection wants it.
    Bins beyond the detector count as zero, reached linearly over one bin. On the CPU the work is done by a compiled
    kernel unless a gradient is asked for.

    Args:
        q: Filtered projections (B, C, A, U).
        grid: Grid of the slices.
        scan: Parallel or fan beam.
        weighted: Whether to multiply by the squared distance weight of fan beams: ``(sod / depth)^2`` for a flat
            detector, depth measured along the central ray, and ``(sod / distance)^2`` for a curved one, each 1 at the
            rotation axis (Kak and Slaney 1988, ch. 3, doi 10.1137/1.9780898719277). Parallel beams have none.

    Returns:
        Sums (B, C, H, W) in the unit of ``q``; the angular step is left to the caller.

    Raises:
        ValueError: The last axes of ``q`` are not ``scan.sinogram_shape``.
    """
    if tuple(q.shape[-2:]) != scan.sinogram_shape:
        raise ValueError(f"projections of this scan end in {scan.sinogram_shape}, not {tuple(q.shape)}")
    stack = q.reshape(-1, *scan.sinogram_shape)
    differentiated = torch.is_grad_enabled() and q.requires_grad
    compiled = q.device.type == "cpu" and q.dtype == torch.float32 and not differentiated
    x = (_compiled if compiled else backproject_reference)(stack, grid, scan, weighted)
    return x.reshape(*q.shape[:-2], *grid.shape)


def backproject_reference(q: torch.Tensor, grid: Grid, scan: ParallelBeam | FanBeam, weighted: bool) -> torch.Tensor:
    """Do the work of `backproject` in torch, from (N, A, U) to (N, H, W), for any device and floating dtype."""
    y_mm, x_mm = (torch.as_tensor(grid.coordinates_mm(axis), device=q.device) for axis in (0, 1))
    padded = torch.nn.functional.pad(q, (1, 1))
    total = q.new_zeros(len(q), *grid.shape)
    for a, t in enumerate(scan.angles_rad):
        across_mm = x_mm * np.cos(t) + y_mm[:, None] * np.sin(t)
        along_mm = y_mm[:, None] * np.cos(t) - x_mm * np.sin(t)
        bin_index, weight = _detector_position(across_mm, along_mm, scan, weighted)
        position = (bin_index + 1.0).clamp(0.0, scan.n_bins + 1.0)
        k = position.long().clamp(max=scan.n_bins)
        right = (position - k).to(q.dtype)
        values = padded[:, a]
        total = total + weight.to(q.dtype) * ((1 - right) * values[:, k] + right * values[:, k + 1])
    return total


def _detector_position(
    across_mm: torch.Tensor, along_mm: torch.Tensor, scan: ParallelBeam | FanBeam, weighted: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the fractional bin index and the distance weight of points given in the frame of a view."""
    u_mm, weight = across_mm, torch.ones_like(across_mm)
    if isinstance(scan, FanBeam):
        depth_mm = scan.sod_mm + along_mm
        curved = scan.curved
        u_mm = scan.sdd_mm * (torch.atan2(across_mm, depth_mm) if curved else across_mm / depth_mm)
        if weighted:
            weight = scan.sod_mm**2 / (depth_mm**2 + across_mm**2 if curved else depth_mm**2)
    return (u_mm - scan.u_mm()[0]) / scan.bin_mm, weight


def _compiled(q: torch.Tensor, grid: Grid, scan: ParallelBeam | FanBeam, weighted: bool) -> torch.Tensor:
    kind, sod_mm, sdd_mm = PARALLEL, 1.0, 1.0
    if isinstance(scan, FanBeam):
        kind, sod_mm, sdd_mm = CURVED if scan.curved else FLAT, scan.sod_mm, scan.sdd_mm
    places = (grid.coordinates_mm(0), grid.coordinates_mm(1), np.cos(scan.angles_rad), np.sin(scan.angles_rad))
    lengths = (float(scan.u_mm()[0]), float(scan.bin_mm), scan.n_bins, float(sod_mm), float(sdd_mm))
    detector = (kind, *lengths, float(weighted))
    x = q.new_empty(len(q), *grid.shape)
    if len(q) <= FEW:
        for one, result in zip(torch.nn.functional.pad(q.detach(), (1, 2 + WINDOW)), x, strict=True):
            backproject_slice(one.numpy(), result.numpy(), places, detector)
        return x
    for part, results in zip(torch.split(q.detach(), LANES[-1]), torch.split(x, LANES[-1]), strict=True):
        lanes = (0,) * lanes_for(len(part))
        bordered = q.new_empty(scan.n_views, scan.n_bins + 3, len(lanes))
        cells = q.new_empty(*grid.shape, len(lanes))
        interleave(part.contiguous().numpy(), bordered.numpy(), 0, 1)
        backproject_slices(bordered.numpy(), cells.numpy(), lanes, places, detector)
        separate(cells.numpy(), results.numpy(), 0, 0)
    return x
