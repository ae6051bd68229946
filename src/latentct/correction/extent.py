"""How far a truncated object extends, estimated from the rays that were measured."""

from __future__ import annotations

import math

import torch

from latentct.correction.edges import Edge
from latentct.geometry import FanBeam, ParallelBeam

_RIDGE = 0.01


def object_end_mm(
    y: torch.Tensor,
    ray_mask: torch.Tensor,
    scan: ParallelBeam | FanBeam,
    edges: tuple[Edge, Edge],
    side: int,
    mu_water: float,
    object_radius_mm: float,
    trust: float,
) -> torch.Tensor:
    """Estimate where the object ends on one side of each view.

    Truncation hides the object's width in one view, but the rays of the view at a right angle run along that width: the
    longest of them, as a length of water, is the width. Half of it, smoothed over the views by a constant and two terms
    in twice the angle as of an ellipse, is drawn by ``1 - trust`` to the radius of a typical object. That the two edges
    of a view differ tells where the object is centred; this is drawn to the axis by ``1 - trust^2``, because one-sided
    anatomy looks the same.

    Args:
        y: Line integrals (B, C, A, U).
        ray_mask: bool (A, U) or (B, 1, A, U); True = measured.
        scan: Parallel or fan beam.
        edges: Right and left edge of the views.
        side: The side asked for.
        mu_water: Attenuation of water in 1/mm.
        object_radius_mm: Radius of a typical object.
        trust: Weight of the measurement, 0 to 1.

    Returns:
        Distance of the end to the rotation axis, outwards on that side, in mm, (B, C, A, 1).
    """
    t = torch.tensor(scan.angles_rad, dtype=torch.float64, device=y.device)
    end_rad = 0.0
    if isinstance(scan, FanBeam):
        end_rad = math.asin(min(object_radius_mm / scan.sod_mm, 0.9))
    direction = t - side * end_rad  # a divergent ray at the end belongs to the parallel view of this angle
    longest_mm = torch.where(ray_mask, y, 0).amax(dim=-1) / (2 * mu_water)
    half_width_mm = _fit_over_views(
        longest_mm, ray_mask.any(dim=-1), _ellipse_terms(t), _ellipse_terms(direction - torch.pi / 2)
    )
    shift_mm, is_known = _shift_mm(edges, mu_water, object_radius_mm)
    center_mm = _fit_over_views(shift_mm, is_known, _center_terms(t), _center_terms(direction))
    end_mm = trust * half_width_mm + (1 - trust) * object_radius_mm + side * trust**2 * center_mm
    return end_mm[..., None]


def _shift_mm(edges: tuple[Edge, Edge], mu_water: float, radius_mm: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the displacement of a water cylinder that explains how the two edges of a view differ, and where known.

    To first order ``p_right - p_left = 4 mu shift e / sqrt(R^2 - e^2)`` for edges at ``+-e``.
    """
    right, left = edges
    e_mm = ((right.position_mm + left.position_mm) / 2).clamp(1e-3, 0.9 * radius_mm)
    is_symmetric = (right.position_mm - left.position_mm).abs() < 0.1 * e_mm
    shift_mm = (right.value - left.value) * (radius_mm**2 - e_mm.square()).sqrt() / (4 * mu_water * e_mm)
    return shift_mm[..., 0], (right.is_cut & left.is_cut & is_symmetric)[..., 0]


def _ellipse_terms(t: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.ones_like(t), torch.cos(2 * t), torch.sin(2 * t)], dim=-1)


def _center_terms(t: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.cos(t), torch.sin(t)], dim=-1)


def _fit_over_views(
    values: torch.Tensor, is_known: torch.Tensor, terms: torch.Tensor, terms_at: torch.Tensor
) -> torch.Tensor:
    """Fit the known views of (B, C, A) by ridged least squares, so that short arcs stay bounded, and evaluate anew."""
    known = terms * is_known[..., None]
    normal = known.mT @ known + _RIDGE * len(terms) * torch.eye(terms.shape[1], dtype=terms.dtype, device=terms.device)
    moments = known.mT @ values.to(terms.dtype)[..., None]
    fitted: torch.Tensor = (torch.linalg.solve(normal, moments).mT @ terms_at.T)[..., 0, :]
    return fitted.to(values.dtype)
