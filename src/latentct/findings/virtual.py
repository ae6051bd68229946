"""A virtual scan of an image whose raw data are gone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from latentct.findings.field import CircularField
from latentct.findings.find import Findings
from latentct.geometry import FanBeam, Grid
from latentct.recon import fbp
from latentct.tasks import Truncation

SOD_MM, SDD_MM = 595.0, 1085.6
"""Distances of `latentct.geometry.fan_ct`."""

BIN_MM = 1.0
"""Distance of neighbouring rays at the rotation axis."""

FARTHEST_SHARE = 0.7


@dataclass(frozen=True)
class VirtualScan:
    """A fan beam about the middle of an image's field of view; it is none of a real scanner.

    Attributes:
        grid: Pixels of the image's slices, 2-D; the middle of the field is on the rotation axis.
        scan: Curved fan beam over the full turn.
    """

    grid: Grid
    scan: FanBeam


def virtual_scan(grid: Grid, field: CircularField | None = None, cover_mm: float = 0.0) -> VirtualScan:
    """Choose a fan beam that sees the whole image.

    Rays are 1 mm apart at the rotation axis, and there are pi / 2 as many views as bins, so that an image costs the
    same whatever its pixels; `with_changed_rays` keeps the details that are finer.

    Args:
        grid: Grid of the image, 3-D.
        field: Its circular field; None: the rotation axis is in the middle of the image.
        cover_mm: Diameter that the rays must cover at least, where something is to be filled in outside the image.
    """
    middle_mm = np.array(grid.center_mm)[1:]
    axis_mm = middle_mm if field is None else np.array(field.center_mm)
    slices = Grid(grid.shape[1:], grid.spacing_mm[1:], tuple(middle_mm - axis_mm))
    radius_mm = math.hypot(*(np.abs(middle_mm - axis_mm) + np.array(grid.extent_mm[1:]) / 2))
    if field is not None:
        radius_mm = min(radius_mm, field.diameter_mm / 2)
    radius_mm = max(radius_mm, cover_mm / 2) + 2 * max(slices.spacing_mm)
    scale = max(1.0, radius_mm / (FARTHEST_SHARE * SOD_MM))
    sod_mm, sdd_mm = scale * SOD_MM, scale * SDD_MM
    bin_rad = BIN_MM / sod_mm
    n_bins = 2 * math.ceil(math.asin(radius_mm / sod_mm) / bin_rad)
    n_views = 8 * math.ceil(math.pi * radius_mm / BIN_MM / 8)
    scan = FanBeam.equally_spaced(n_views, 2 * math.pi, n_bins, bin_rad * sdd_mm, sod_mm, sdd_mm, curved=True)
    return VirtualScan(slices, scan)


def rays_through_field(findings: Findings, scan: FanBeam) -> torch.Tensor:
    """Return the rays of a virtual scan through the field of view, bool (A, U).

    The field is the largest circle about the axis that fits into the image where none was found.

    The rays of an image that is cut lack what lies outside it, which the scanner's rays went through: fill in the
    outside of the image before it is projected, or its inside comes out too dark by hundreds of HU.

    Args:
        findings: Of the image.
        scan: Its virtual scan.
    """
    field = findings.field
    return Truncation(min(findings.grid.extent_mm[1:]) if field is None else field.diameter_mm).mask_of(scan)


def with_changed_rays(
    x_hu: torch.Tensor, y: torch.Tensor, y_hat: torch.Tensor, virtual: VirtualScan, mu_water: float
) -> torch.Tensor:
    """Carry a change of the rays over to the image that they were projected from.

    ``x + FBP(y_hat - y)``. By linearity that is ``FBP(y_hat)`` with what the virtual scan lost of the image,
    ``x - FBP(y)``, put back: where no ray changed, the image comes out as it went in, noise and resolution included.
    ``FBP(y_hat)`` alone changes every pixel: of those away from edges a tenth by more than 10 HU in a thorax of 2 mm
    pixels, three quarters in one of 0.8 mm, whose noise is finer than the rays.

    Args:
        x_hu: Slices (B, 1, H, W) in HU.
        y: Their line integrals in the virtual scan (B, 1, A, U).
        y_hat: The changed ones.
        virtual: The scan.
        mu_water: Attenuation of water in 1/mm that ``y`` was made with.

    Returns:
        Slices (B, 1, H, W) in HU.
    """
    return x_hu + 1000 / mu_water * fbp(y_hat - y, virtual.grid, virtual.scan)
