"""The classical first guess, whatever is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from latentct.correction import adaptive_detruncation, linear_interpolation
from latentct.correction.interpolation import outermost_mask
from latentct.geometry import Grid, Scan2D
from latentct.recon import fbp
from latentct.units import MU_WATER_70KEV

ROUNDING_RAD = 1e-9
"""Margin by which the first view of an arc stays the first when its angle is rounded."""


def first_reconstruction(
    y: torch.Tensor,
    ray_mask: torch.Tensor,
    grid: Grid,
    scan: Scan2D,
    mu_water: float = MU_WATER_70KEV,
    filter_name: str = "ram-lak",
) -> torch.Tensor:
    """Reconstruct by filtered back-projection what the measured rays show, the missing ones mended without learning.

    Views that no slice has a ray of are left out, and the others weighted by the arc that remains. Within a view gaps
    are interpolated linearly and a truncated detector is extrapolated by `adaptive_detruncation`.

    Args:
        y: Line integrals (B, 1, A, U); what is not measured is not read.
        ray_mask: bool (A, U) or (B, 1, A, U), True = measured.
        grid: Grid of the slices.
        scan: Parallel or fan beam.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
        filter_name: One of `latentct.recon.filters.FILTER_NAMES`.

    Returns:
        Slices (B, 1, H, W) in 1/mm.
    """
    views = measured_views(ray_mask)
    seen = scan_of_views(scan, views)
    y, mask = y[..., views, :], ray_mask[..., views, :]
    between = outermost_mask(mask)
    filled = linear_interpolation(y, mask)
    if not bool(between.all()):
        filled = adaptive_detruncation(filled, between, seen, mu_water)
    return fbp(filled, grid, seen, filter_name)


def measured_views(ray_mask: torch.Tensor) -> torch.Tensor:
    """Return the indices of the views that have a measured ray in any slice; of all views if none has."""
    has_rays = ray_mask.flatten(0, -3).any(dim=0) if ray_mask.ndim > 2 else ray_mask
    views = torch.nonzero(has_rays.any(dim=-1)).flatten()
    return views if len(views) else torch.arange(ray_mask.shape[-2], device=ray_mask.device)


def scan_of_views(scan: Scan2D, views: torch.Tensor) -> Scan2D:
    """Return the scan that has some of the views, their angles on one arc.

    An arc that passes the full turn is put together by moving what lies before its widest gap one turn on, so that
    the gap is not taken for a step between neighbouring views.

    Args:
        scan: Parallel or fan beam.
        views: Indices of the views.
    """
    if len(views) == scan.n_views:
        return scan
    angles_rad = np.asarray(scan.angles_rad)[views.cpu().numpy()]
    if np.ptp(angles_rad) < 2 * np.pi:
        order_rad = np.sort(np.mod(angles_rad, 2 * np.pi))
        gaps_rad = np.diff(order_rad, prepend=order_rad[-1] - 2 * np.pi)
        first_rad = order_rad[gaps_rad.argmax()] - ROUNDING_RAD
        angles_rad = first_rad + np.mod(angles_rad - first_rad, 2 * np.pi)
    return replace(scan, angles_rad=tuple(angles_rad))
