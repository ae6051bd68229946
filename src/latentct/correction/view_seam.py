"""Join synthesised views to measured ones without a jump from view to view."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentct.correction.seam import smooth_seam
from latentct.geometry import ParallelBeam, Scan2D


def complete_rays(y: Tensor, y_hat: Tensor, ray_mask: Tensor, scan: Scan2D) -> Tensor:
    """Return p = M y + (1 - M) y_hat with smooth joints along the rows of the detector and from view to view.

    Args:
        y: line integrals (B, C, A, U); only those where `ray_mask` is True are read.
        y_hat: synthesised line integrals of the same shape.
        ray_mask: bool (A, U) or (B, 1, A, U), True = measured.
        scan: parallel or fan beam.
    """
    return view_seam(smooth_seam(y, y_hat, ray_mask, scan.bin_mm), y_hat, ray_mask, scan)


def view_seam(
    y_joined: Tensor,
    y_hat: Tensor,
    ray_mask: Tensor,
    scan: Scan2D,
    feather_rad: float = math.radians(20.0),
    reach_mm: float = 40.0,
) -> Tensor:
    """Bend the views that were not measured at all towards the measured views before and after them.

    A jump from one view to the next becomes a streak along the last measured one. In views with measured rays the
    difference d = y_joined - y_hat says how wrong the synthesis is. A view between two of them gets both differences,
    each faded out by half a cosine over `feather_rad`, or over the gap where it is narrower: across the gap of a sparse
    scan the two weights add up to one. What lies at the distance r from the axis moves by up to r times the angle, so
    a difference that is carried over an angle a says nothing of finer detail than that; it is blurred by a Gaussian of
    standard deviation `reach_mm` a.

    Views are cyclic: parallel rays come back mirrored after half a turn, divergent ones after a whole turn.

    Args:
        y_joined: line integrals (B, C, A, U) as `smooth_seam` returns them, complete along each measured row.
        y_hat: synthesised line integrals of the same shape.
        ray_mask: bool (A, U) or (B, 1, A, U), True = measured; a view without a measured ray is bent.
        scan: parallel or fan beam; its views may stand in any order.
        feather_rad: angle over which a difference fades out.
        reach_mm: blur in mm per rad; the radius about which the object's edges lie is too much, because most of what
            is seen moves less.

    Returns:
        Line integrals (B, C, A, U): `y_joined` bit for bit in views with a measured ray.
    """
    has_rays = ray_mask.any(dim=-1).reshape(-1, 1, scan.n_views)
    if bool(has_rays.all()) or not bool(has_rays.any()):
        return y_joined
    d = torch.where(has_rays[..., None], y_joined - y_hat, torch.zeros_like(y_hat))
    before, after = _neighbours(scan, has_rays)
    width = torch.minimum(before[1] + after[1], torch.full_like(before[1], feather_rad))
    shift = torch.zeros_like(d)
    for view, distance_rad in (before, after):
        fade = 0.5 * (1 + torch.cos(torch.pi * (distance_rad / width).clamp(max=1)))
        shift = shift + fade.to(d.dtype)[..., None] * _carried(d, scan, view, distance_rad, reach_mm)
    return torch.where(has_rays[..., None], y_joined, y_joined + shift)


def _neighbours(scan: Scan2D, has_rays: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Find the measured view before and the one after each view, on the cycle of views.

    Args:
        scan: the scan of A views.
        has_rays: whether a view was measured, (B, 1, A).

    Returns:
        Index and distance in rad, both (B, 1, A), of the one before and the one after. Indices count through three
        turns of the cycle, the middle one being the scan's own.
    """
    period_rad = _period_rad(scan)
    own = torch.tensor(scan.angles_rad, dtype=torch.float64, device=has_rays.device)
    turns = torch.cat([own - period_rad, own, own + period_rad])
    step_rad = turns - own[:, None]
    measured = has_rays.repeat(1, 1, 3)[..., None, :]

    def nearest(distance_rad: Tensor) -> tuple[Tensor, Tensor]:
        far = torch.full_like(distance_rad, torch.inf)
        best = torch.where(measured & (distance_rad > 0), distance_rad, far).min(dim=-1)
        return best.indices, best.values.clamp(max=2 * period_rad)

    return nearest(-step_rad), nearest(step_rad)


def _carried(d: Tensor, scan: Scan2D, view: Tensor, distance_rad: Tensor, reach_mm: float) -> Tensor:
    """Return the rows of d at the views asked for, mirrored where their turn is, blurred for their distance."""
    rows = torch.cat([_next_turn(d, scan), d, _next_turn(d, scan)], dim=-2)
    at = view[..., None].expand(*d.shape[:-1], 1).expand(d.shape)
    carried = rows.gather(-2, at)
    n = 2 * scan.n_bins
    frequency = 2 * torch.pi * torch.fft.rfftfreq(n, scan.bin_mm, dtype=torch.float64, device=d.device)
    response = torch.exp(-0.5 * (frequency * reach_mm * distance_rad[..., None]).square())
    blurred: Tensor = torch.fft.irfft(torch.fft.rfft(carried, n) * response.to(d.dtype), n)
    return blurred[..., : scan.n_bins]


def _period_rad(scan: Scan2D) -> float:
    return math.pi if isinstance(scan, ParallelBeam) else 2 * math.pi


def _next_turn(d: Tensor, scan: Scan2D) -> Tensor:
    """Return the rows of d as they are seen a period later."""
    return d.flip(-1) if isinstance(scan, ParallelBeam) else d
