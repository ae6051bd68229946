"""What a conditioner is told about few views before it learns anything: panels, directions and places."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.networks.lifting import coverage
from latentct.projectors.shadow import Shadow, pixel_at_center_mm, view_direction
from latentct.recon.filters import padded_length, ramp_response

HARMONICS = (1, 2, 4, 8)
"""Multiples of a view's angle whose cosine and sine describe its direction."""
CODE_CHANNELS = 2 * len(HARMONICS)
PLACE_CHANNELS = CODE_CHANNELS + 5
LENGTH_MM = 100.0
"""The unit of line integrals inside the network: this much water."""


def panels(
    water_mm: Tensor, scan: ConeBeam | VectorConeBeam, grid: Grid, pixel_mm: Sequence[float], stride: int
) -> Tensor:
    """Return line integrals at a network's pixel size, as they are and ramp-filtered.

    Args:
        water_mm: line integrals (B, 1, A, V, U) in mm of water.
        scan: geometry of the views.
        grid: grid of the volume.
        pixel_mm: wanted distance (v, u) in mm of neighbouring rays at the grid's middle.
        stride: rows and columns become the nearest multiple of it.

    Returns:
        (A, B, 2, V', U'): integrals in units of `LENGTH_MM`, and filtered ones, whose mean over many views of a half
        turn is the density relative to water.
    """
    n_views, batch = water_mm.shape[2], len(water_mm)
    integrals = water_mm[:, 0].transpose(0, 1).flatten(0, 1)[:, None].float()
    scanned_mm = pixel_at_center_mm(scan, grid)
    size = [
        max(1, round(n * at_mm / own_mm / stride)) * stride
        for n, at_mm, own_mm in zip(water_mm.shape[-2:], scanned_mm, pixel_mm, strict=True)
    ]
    bin_mm = water_mm.shape[-1] * scanned_mm[1] / size[1]
    if size != list(water_mm.shape[-2:]):
        integrals = interpolate(integrals, size, mode="bilinear", align_corners=False, antialias=True)
    maps = torch.cat([integrals / LENGTH_MM, math.pi * _ramp_filtered(integrals, bin_mm)], dim=1)
    return maps.unflatten(0, (n_views, batch))


def view_code(scan: ConeBeam | VectorConeBeam, grid: Grid, like: Tensor) -> Tensor:
    """Return cosines and sines of multiples of each view's angle about z, (A, `CODE_CHANNELS`)."""
    _, y, x = torch.from_numpy(view_direction(scan, grid)).unbind(dim=1)
    angles_rad = torch.atan2(-x, y)[:, None] * torch.tensor(HARMONICS)
    return torch.cat([angles_rad.cos(), angles_rad.sin()], dim=1).to(like.device, torch.float32)


def places(shadow: Shadow, code: Tensor, batch: int) -> Tensor:
    """Return what is known of every voxel: mean direction and number of views, place, share of views that see it.

    Args:
        shadow: shadows of the voxels of a grid (D, H, W).
        code: directions of the views, see `view_code`.
        batch: B.

    Returns:
        (B, `PLACE_CHANNELS`, D, H, W).
    """
    shape = shadow.visible.shape[1:]
    axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n, device=code.device) for n in shape]
    numbers = torch.cat([code.mean(0), code.new_tensor([math.log2(len(code)) / 4])])
    everywhere = numbers[:, None, None, None].expand(-1, *shape)
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return torch.cat([everywhere, place, coverage(shadow)[None]])[None].expand(batch, -1, -1, -1, -1)


def _ramp_filtered(integrals_mm: Tensor, bin_mm: float) -> Tensor:
    """Return line integrals (..., U) in mm of water after a ramp filter along the rows, dimensionless."""
    n_bins = integrals_mm.shape[-1]
    length = padded_length(n_bins)
    response = torch.from_numpy(ramp_response(length, bin_mm, "hann")).to(integrals_mm)
    spectrum = torch.fft.rfft(integrals_mm, length) * response
    return torch.fft.irfft(spectrum, length)[..., :n_bins]
