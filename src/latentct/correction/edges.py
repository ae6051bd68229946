"""The edges of a truncated detector: where they are, and level and slope of the projection there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from latentct.geometry import FanBeam, ParallelBeam

RIGHT, LEFT = 1, -1


@dataclass(frozen=True)
class Edge:
    """The outermost measured rays on one side of the detector; with a mask for each slice all shapes begin with (B, 1).

    Attributes:
        side: ``RIGHT`` (towards positive u) or ``LEFT``.
        value: Line integral of the edge ray, not negative, (B, C, A, 1).
        slope: Change of the line integral outwards in 1/mm, (B, C, A, 1).
        position_mm: How far out the edge ray passes from the rotation axis, (A, 1); negative beyond the axis.
        beyond_mm: How far each ray passes outside the edge ray, (A, U); negative inside.
        is_cut: Whether rays are missing outside the edge of a view that has measured rays, (A, 1).
    """

    side: int
    value: torch.Tensor
    slope: torch.Tensor
    position_mm: torch.Tensor
    beyond_mm: torch.Tensor
    is_cut: torch.Tensor


def ray_position_mm(scan: ParallelBeam | FanBeam) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the signed distance of each bin's ray to the rotation axis in mm, shape (U,), growing with u."""
    return scan.u_mm() if isinstance(scan, ParallelBeam) else scan.sod_mm * np.sin(scan.fan_angles_rad())


def fit_edge(y: torch.Tensor, ray_mask: torch.Tensor, scan: ParallelBeam | FanBeam, side: int, fit_mm: float) -> Edge:
    """Take the outermost measured ray of every view and the slope of the line through its neighbours.

    Args:
        y: Line integrals (B, C, A, U); unmeasured rays are not read.
        ray_mask: bool (A, U) or (B, 1, A, U); True = measured. What is missing between measured rays is not an edge.
        scan: Parallel or fan beam.
        side: ``RIGHT`` or ``LEFT``.
        fit_mm: Width of the fit in mm at the rotation axis; at least two rays are taken.
    """
    position = torch.as_tensor(ray_position_mm(scan), dtype=y.dtype, device=y.device)
    n_bins = len(position)
    n_fit = max(2, math.ceil(fit_mm * (n_bins - 1) / float(position[-1] - position[0])))
    bins = torch.arange(n_bins, device=y.device)
    last = torch.where(ray_mask, bins * side, -n_bins).amax(dim=-1, keepdim=True) * side
    has_rays = ray_mask.any(dim=-1, keepdim=True)
    last = torch.where(has_rays, last, 0)
    chosen = (last - side * torch.arange(n_fit, device=y.device)).clamp(0, n_bins - 1)
    outward_mm = side * (position[chosen] - position[last])
    weight = ray_mask.gather(-1, chosen) & (side * (last - chosen) == torch.arange(n_fit, device=y.device))
    values = torch.where(weight, y.gather(-1, chosen.expand(*y.shape[:-1], n_fit)), 0)
    return Edge(
        side=side,
        value=values[..., :1].clamp(min=0),
        slope=_fit_slope(values, outward_mm, weight.to(y.dtype)),
        position_mm=side * position[last],
        beyond_mm=side * (position - position[last]),
        is_cut=has_rays & (last != (n_bins - 1 if side == RIGHT else 0)),
    )


def _fit_slope(values: torch.Tensor, at_mm: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the slope of the least-squares line; 0 where fewer than two points count."""
    n = weight.sum(-1, keepdim=True).clamp(min=1)
    mean = (weight * values).sum(-1, keepdim=True) / n
    centred_mm = weight * (at_mm - (weight * at_mm).sum(-1, keepdim=True) / n)
    spread = centred_mm.square().sum(-1, keepdim=True)
    return torch.where(spread > 0, (centred_mm * (values - mean)).sum(-1, keepdim=True) / spread, 0)
