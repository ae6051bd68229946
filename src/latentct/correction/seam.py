"""Join synthesised rays to measured ones without a jump."""

from __future__ import annotations

import torch
from torch import Tensor


def smooth_seam(
    y: Tensor, y_hat: Tensor, ray_mask: Tensor, bin_mm: float, fit_mm: float = 4.0, feather_mm: float = 20.0
) -> Tensor:
    """Fill the rays that were not measured from a synthesis, bent so that level and slope match at every edge.

    A jump or a kink along a detector row becomes a streak after the ramp filter. The difference d = y - y_hat is known
    on measured rays only. At an edge a line is fitted to it over the last `fit_mm` that were measured; beyond the edge
    the synthesis is shifted by that line, whose slope levels off over `fit_mm`, because a fitted slope says nothing
    farther away, and the shift fades out by half a cosine over `feather_mm` (or over the gap, where it is narrower).
    Between two edges both shifts add up.

    Args:
        y: line integrals (B, C, A, U); only those where `ray_mask` is True are read.
        y_hat: synthesised line integrals of the same shape.
        ray_mask: bool (A, U), or (B, 1, A, U) for one mask a slice; True = measured.
        bin_mm: distance of neighbouring bins in mm.
        fit_mm: width over which the difference is fitted.
        feather_mm: width over which the shift fades out.

    Returns:
        Line integrals (B, C, A, U): y bit for bit where measured, the bent synthesis elsewhere.
    """
    d = torch.where(ray_mask, y - y_hat, torch.zeros_like(y_hat))
    n_fit = max(2, round(fit_mm / bin_mm))
    shift = torch.zeros_like(d)
    for flip in (False, True):  # edges to the left of a gap, then, mirrored, those to the right
        m = ray_mask.flip(-1) if flip else ray_mask
        part = _shift_beyond(d.flip(-1) if flip else d, m, n_fit, feather_mm / bin_mm)
        shift = shift + (part.flip(-1) if flip else part)
    return torch.where(ray_mask, y, y_hat + shift)


def _shift_beyond(d: Tensor, ray_mask: Tensor, n_fit: int, feather_bins: float) -> Tensor:
    """Carry the line fitted to d before each edge into the gap to its right."""
    index = torch.arange(d.shape[-1], device=d.device).expand(ray_mask.shape)
    edge = torch.where(ray_mask, index, -1).cummax(dim=-1).values
    right = torch.where(ray_mask, index, d.shape[-1] * 2).flip(-1).cummin(dim=-1).values.flip(-1)
    beyond = (index - edge).to(d.dtype)
    width = (right - edge).to(d.dtype).clamp(max=feather_bins)
    fade = 0.5 * (1 + torch.cos(torch.pi * (beyond / width).clamp(max=1)))
    fade = torch.where((edge >= 0) & ~ray_mask, fade, torch.zeros_like(fade))
    level, slope = _line_before(d, ray_mask, n_fit)
    at = edge.clamp(min=0).expand(d.shape)
    reach = n_fit * (1 - torch.exp(-beyond.clamp(min=0) / n_fit))
    return (level.gather(-1, at) + slope.gather(-1, at) * reach) * fade


def _line_before(d: Tensor, ray_mask: Tensor, n_fit: int) -> tuple[Tensor, Tensor]:
    """Fit a line to the measured d of the `n_fit` bins up to each bin; return its value and its slope per bin there.

    Args:
        d: differences (B, C, A, U), zero where not measured.
        ray_mask: bool (A, U) or (B, 1, A, U), True = measured.
        n_fit: number of bins.
    """
    n, st, stt = _moments(ray_mask.to(d.dtype), n_fit, 3)
    sd, std = _moments(d, n_fit, 2)
    determinant = n * stt - st * st
    weight = torch.where(determinant > 0.5, 1 / determinant.clamp(min=0.5), torch.zeros_like(n))
    slope = std.mul_(n).sub_(st * sd).mul_(weight)
    level = sd.sub_(st * slope).mul_(1 / n.clamp(min=1))
    return level, slope


def _moments(f: Tensor, n_fit: int, n_moments: int) -> list[Tensor]:
    """Return the sums of t^k f, k = 0, 1, ..., over the `n_fit` bins up to each bin, t <= 0 counted from there."""
    sums = [f.clone(), *(torch.zeros_like(f) for _ in range(n_moments - 1))]
    for t in range(1, n_fit):
        for k, total in enumerate(sums):
            total[..., t:].add_(f[..., :-t], alpha=(-t) ** k)
    return sums
