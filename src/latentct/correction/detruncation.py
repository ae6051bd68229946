"""Extrapolation of truncated projections, without learning.

Every function takes line integrals (B, C, A, U) of a detector that was too narrow on one side or both, and returns
them with the missing rays filled in: y bit for bit where measured. Views without a measured ray, and gaps between
measured rays, stay zero. Lengths are measured by how far a ray passes from the rotation axis, so that they mean the
same for parallel and fan beams.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from latentct.correction.edges import LEFT, RIGHT, Edge, fit_edge
from latentct.correction.extent import object_end_mm
from latentct.geometry import FanBeam, ParallelBeam
from latentct.units import MU_WATER_70KEV

_SHORTEST_REACH_MM = 10.0
_RELIABLE_CYLINDER_REACH_MM = 70.0


def zero_fill(y: torch.Tensor, ray_mask: torch.Tensor) -> torch.Tensor:
    """Set the rays that were not measured to zero: no correction at all.

    Args:
        y: Line integrals (B, C, A, U) or (B, C, A, V, U); unmeasured values do not matter, NaN included.
        ray_mask: bool, broadcastable to ``y``; True = measured.
    """
    return torch.where(ray_mask, y, torch.zeros_like(y))


def cosine_extrapolation(
    y: torch.Tensor,
    ray_mask: torch.Tensor,
    scan: ParallelBeam | FanBeam,
    *,
    length_mm: float = 100.0,
) -> torch.Tensor:
    """Let the projection fall from its edge value to zero along a quarter of a cosine.

    ``p(s) = p(0) cos(pi s / (2 length_mm))`` at the distance ``s`` outside the edge.

    Args:
        y: Line integrals (B, C, A, U).
        ray_mask: bool (A, U) or (B, 1, A, U); True = measured.
        scan: Parallel or fan beam.
        length_mm: Where zero is reached.
    """

    def profile(edge: Edge) -> torch.Tensor:
        return (
            edge.value
            * torch.cos(torch.pi / 2 * edge.beyond_mm / length_mm).clamp(min=0)
            * (edge.beyond_mm < length_mm)
        )

    return _extrapolate(y, ray_mask, _edges(y, ray_mask, scan, 0.0), profile)


def water_cylinder_extrapolation(
    y: torch.Tensor,
    ray_mask: torch.Tensor,
    scan: ParallelBeam | FanBeam,
    mu_water: float = MU_WATER_70KEV,
    *,
    longest_reach_mm: float = 150.0,
    fit_mm: float = 5.0,
) -> torch.Tensor:
    """Continue each view as the projection of the water cylinder that has its value and slope at the edge.

    A cylinder of radius ``R`` whose axis lies ``a`` inside the edge projects to ``2 mu sqrt(R^2 - (a + s)^2)`` at the
    distance ``s`` outside it; value ``p`` and slope ``p'`` give ``a = -p p' / (4 mu^2)`` and
    ``R^2 = a^2 + (p / 2 mu)^2``. Hsieh, Chao, Thibault, Grekowicz, Horst, McOlash and Myers 2004,
    doi 10.1118/1.1776673.

    Args:
        y: Line integrals (B, C, A, U).
        ray_mask: bool (A, U) or (B, 1, A, U); True = measured.
        scan: Parallel or fan beam.
        mu_water: Attenuation of water in 1/mm; the default is at 70 keV (NIST XCOM).
        longest_reach_mm: The farthest a cylinder may reach outside the edge. Where anatomy makes the projection rise
            outwards, the cylinder could be of any size; it then keeps the value and gives up the slope.
        fit_mm: Width over which the slope is fitted; at least two rays are taken.
    """

    def profile(edge: Edge) -> torch.Tensor:
        half_chord_mm, inside_mm = _water_cylinder(edge, mu_water)
        nearest_mm = (half_chord_mm.square() - longest_reach_mm**2) / (2 * longest_reach_mm)
        inside_mm = torch.maximum(inside_mm, nearest_mm)
        radius_mm2 = inside_mm.square() + half_chord_mm.square()
        return 2 * mu_water * (radius_mm2 - (inside_mm + edge.beyond_mm).square()).clamp(min=0).sqrt()

    return _extrapolate(y, ray_mask, _edges(y, ray_mask, scan, fit_mm), profile)


def adaptive_detruncation(
    y: torch.Tensor,
    ray_mask: torch.Tensor,
    scan: ParallelBeam | FanBeam,
    mu_water: float = MU_WATER_70KEV,
    *,
    object_radius_mm: float = 180.0,
    trust: float = 0.5,
    fit_mm: float = 5.0,
) -> torch.Tensor:
    """Continue each view by the square root of a quadratic that ends where the object does (ADT).

    ``p(s) = sqrt(c + b s + a s^2)`` at the distance ``s`` outside the edge, with value and slope continuous,
    ``c = p(0)^2`` and ``b = 2 p(0) p'(0)``, and zero at the object's end ``L``, ``a = -(c + b L) / L^2``, is what an
    ellipse projects to. Sourbelle, Kachelriess and Kalender 2005, doi 10.1007/s00330-004-2621-9. The end is estimated
    by `object_end_mm` from the measured rays of the other views, but not before the water cylinder of the edge ends,
    which is reliable when it ends close by; where the tangent meets zero earlier, it is there.

    Args:
        y: Line integrals (B, C, A, U).
        ray_mask: bool (A, U) or (B, 1, A, U); True = measured.
        scan: Parallel or fan beam.
        mu_water: Attenuation of water in 1/mm; the default is at 70 keV (NIST XCOM).
        object_radius_mm: Radius of a typical object, which the estimate of its end is drawn to. The default and that of
            ``trust`` were chosen on training patients wider than 330 mm, seen in a field of 150 mm.
        trust: Weight of what the measured rays say of the object's end, from 0 (every object is a centred cylinder of
            ``object_radius_mm``) to 1.
        fit_mm: Width over which the slope is fitted; at least two rays are taken.
    """
    edges = _edges(y, ray_mask, scan, fit_mm)

    def profile(edge: Edge) -> torch.Tensor:
        end_mm = object_end_mm(y, ray_mask, scan, edges, edge.side, mu_water, object_radius_mm, trust)
        half_chord_mm, inside_mm = _water_cylinder(edge, mu_water)
        cylinder_reach_mm = torch.hypot(half_chord_mm, inside_mm) - inside_mm
        shortest_mm = torch.where(edge.slope < 0, cylinder_reach_mm, 0).clamp(
            _SHORTEST_REACH_MM, _RELIABLE_CYLINDER_REACH_MM
        )
        reach_mm = torch.maximum(end_mm - edge.position_mm, shortest_mm)
        tangent_mm = torch.where(edge.slope < 0, -edge.value / edge.slope, torch.inf)
        reach_mm = torch.minimum(reach_mm, tangent_mm)
        s_mm = edge.beyond_mm.clamp(min=0)
        c, b = edge.value.square(), 2 * edge.value * edge.slope
        a = torch.where(reach_mm > 0, -(c + b * reach_mm) / reach_mm.square(), 0)
        return torch.where(s_mm < reach_mm, (c + (b + a * s_mm) * s_mm).clamp(min=0).sqrt(), 0)

    return _extrapolate(y, ray_mask, edges, profile)


def _water_cylinder(edge: Edge, mu_water: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return half the chord of the edge ray and how far inside it the axis of the cylinder it fits lies, in mm."""
    return edge.value / (2 * mu_water), -edge.value * edge.slope / (4 * mu_water**2)


def _edges(y: torch.Tensor, ray_mask: torch.Tensor, scan: ParallelBeam | FanBeam, fit_mm: float) -> tuple[Edge, Edge]:
    return fit_edge(y, ray_mask, scan, RIGHT, fit_mm), fit_edge(y, ray_mask, scan, LEFT, fit_mm)


def _extrapolate(
    y: torch.Tensor, ray_mask: torch.Tensor, edges: tuple[Edge, Edge], profile: Callable[[Edge], torch.Tensor]
) -> torch.Tensor:
    """Fill the rays outside both edges with a profile and all other missing rays with zero."""
    filled = zero_fill(y, ray_mask)
    for edge in edges:
        filled = torch.where(edge.is_cut & (edge.beyond_mm > 0), profile(edge), filled)
    return filled
