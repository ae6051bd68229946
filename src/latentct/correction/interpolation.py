"""Linear interpolation of missing rays between measured ones."""

from __future__ import annotations

import torch

VIEW_AXIS = 2


def linear_interpolation(y: torch.Tensor, ray_mask: torch.Tensor) -> torch.Tensor:
    """Fill missing rays along their detector row; rows without a measured ray between the neighbouring views.

    A gap is bridged by the straight line between the measured rays at its two ends (Kalender, Hebel and Ebersberger
    1987, doi 10.1148/radiology.164.2.3602406); beyond the outermost measured ray its value is held. Views count as
    equally spaced.

    Args:
        y: Line integrals (B, C, A, U) or (B, C, A, V, U); what is not measured is not read.
        ray_mask: bool, True = measured: the shape of one slice's line integrals, or (B, 1, A, U) for one mask a slice.

    Returns:
        Line integrals of the same shape: ``y`` bit for bit where measured; zero if no ray was measured at all.
    """
    mask = ray_mask.expand(y.shape)
    filled = _interpolate_last_axis(torch.where(mask, y, 0), mask)
    has_rays = mask.any(dim=-1, keepdim=True)
    if bool(has_rays.all()):
        return filled
    rows = has_rays.expand(y.shape).movedim(VIEW_AXIS, -1)
    return _interpolate_last_axis(filled.movedim(VIEW_AXIS, -1), rows).movedim(-1, VIEW_AXIS).contiguous()


def outermost_mask(ray_mask: torch.Tensor) -> torch.Tensor:
    """Return which rays lie between the first and the last measured ray of their row, both included.

    >>> outermost_mask(torch.tensor([False, True, False, True, False])).tolist()
    [False, True, True, True, False]
    """
    mask = ray_mask.to(torch.int64)
    return (mask.cumsum(-1) > 0) & (mask.flip(-1).cumsum(-1).flip(-1) > 0)


def _interpolate_last_axis(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Fill what is not in the mask from the nearest entries of it on both sides; zero where there is none."""
    n = values.shape[-1]
    index = torch.arange(n, device=values.device).expand(mask.shape)
    left = torch.where(mask, index, -1).cummax(dim=-1).values
    right = torch.where(mask, index, n).flip(-1).cummin(dim=-1).values.flip(-1)
    near, far = left.clamp(min=0), right.clamp(max=n - 1)
    share = (index - left).to(values.dtype) / (right - left).clamp(min=1)
    share = torch.where(left < 0, 1.0, torch.where(right == n, 0.0, share))
    line = (1 - share) * values.gather(-1, near) + share * values.gather(-1, far)
    known = (left >= 0) | (right < n)
    return torch.where(mask, values, torch.where(known, line, 0))
