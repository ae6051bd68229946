"""Which rays a search compares, and how much each of them counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentct.errors import InputError
from latentct.geometry import Scan2D

WEIGHTINGS = ("none", "pwls")


@dataclass(frozen=True)
class MeasuredPart:
    """The views and columns of a scan that hold measured rays.

    Attributes:
        views: indices of the views used, (A',).
        columns: the columns from the first to the last measured one, U' of them.
        scan: these views and columns as a scan of their own.
    """

    views: Tensor
    columns: slice
    scan: Scan2D

    def of(self, rays: Tensor) -> Tensor:
        """Return this part (..., A', U') of rays (..., A, U)."""
        return rays[..., self.views, self.columns]


def measured_part(scan: Scan2D, ray_mask: Tensor, search_views: int) -> MeasuredPart:
    """Choose about `search_views` of the views with measured rays, evenly, and the columns measured in any of them.

    Args:
        scan: parallel or fan beam.
        ray_mask: bool (A, U), or (B, 1, A, U) for masks of each slice's own, whose union is taken; True = measured.
        search_views: about how many views to keep; never fewer, where there are as many.

    Raises:
        InputError: no ray was measured, or none of one slice.
    """
    by_slice = ray_mask.reshape(-1, *ray_mask.shape[-2:])
    empty = torch.nonzero(~by_slice.flatten(1).any(dim=1)).flatten().tolist()
    if empty:
        whose = f"slice {empty[0]}" if ray_mask.ndim > 2 else "the scan"
        raise InputError(
            f"none of the {by_slice[0].numel()} rays of {whose} was measured; check the ray mask, True = measured."
        )
    union = by_slice.any(dim=0)
    views = torch.nonzero(union.any(dim=1)).flatten()
    views = views[:: max(1, len(views) // search_views)]
    columns = torch.nonzero(union[views].any(dim=0)).flatten().tolist()
    first, last = columns[0], columns[-1] + 1
    u_mm = scan.u_mm()
    part = replace(
        scan,
        angles_rad=tuple(scan.angles_rad[i] for i in views.tolist()),
        n_bins=last - first,
        offset_mm=float(u_mm[first] + u_mm[last - 1]) / 2,
    )
    return MeasuredPart(views, slice(first, last), part)


def misfit_weights(q: Tensor, ray_mask: Tensor, weighting: str) -> Tensor:
    """Return the weight of each ray in the mean squared misfit.

    The variance of a line integral is one over the expected counts, exp(y) / I0 (Sauer and Bouman 1993,
    doi 10.1109/78.193196), so penalised weighted least squares ("pwls") counts a ray by exp(-q). Weights of either kind
    are 1 in the mean over the measured rays of a slice, so that a prior's weight stands beside a misfit of one size.

    Args:
        q: line integrals (B, 1, A, U), anything but NaN where not measured.
        ray_mask: bool (A, U) or (B, 1, A, U), True = measured.
        weighting: one of `WEIGHTINGS`.

    Returns:
        Weights (B, 1, A, U), zero where not measured.
    """
    measured = ray_mask.to(q.dtype).expand_as(q)
    if weighting == "none":
        return measured
    weights = measured * torch.exp(-q)
    n_rays, total = (w.sum(dim=(-2, -1), keepdim=True) for w in (measured, weights))
    return weights * (n_rays / total.clamp_min(torch.finfo(q.dtype).tiny))
