"""Filtered back-projection of circular cone beams after Feldkamp, Davis and Kress."""

from dataclasses import replace

import numpy as np
import torch

from latentct.geometry import ConeBeam, FanBeam, Grid
from latentct.projectors import Projector, backproject_cone
from latentct.recon.fbp import ramp_filtered, remembered_weights


def fdk(y: torch.Tensor, grid: Grid, scan: ConeBeam, filter_name: str = "ram-lak") -> torch.Tensor:
    """Reconstruct volumes by weighting, filtering along the panel's rows and back-projecting.

    ``x = sum_t (sod / depth)^2 [h * (y rho sdd / sqrt(sdd^2 + u^2 + v^2))](t, v(t, p), u(t, p))`` with the ramp ``h``
    of `ramp_response` along u and the ray weights ``rho`` of the fan in the plane z = 0, the same in all rows
    (Feldkamp, Davis and Kress 1984, doi 10.1364/JOSAA.1.000612; short scans and displaced panels as in
    `ray_weights`). The amplitude is that of the object in this plane; away from it the data of a circle do not
    determine the object, and the values fall off with the cone angle.

    Args:
        y: Line integrals (B, C, A, V, U), zero where nothing was measured.
        grid: Grid of the volumes.
        scan: Circular cone beam, full or short scan, any arc, any number of views and any offset of the panel. Few
            views leave streaks.
        filter_name: One of `latentct.recon.filters.FILTER_NAMES`.

    Returns:
        Volumes (B, C, D, H, W) in 1/mm on the device of ``y``, negative values left in.

    Raises:
        ValueError: The filter is not known, or ``y`` does not end in ``scan.sinogram_shape``.
        TypeError: The scan is not a `ConeBeam`.
    """
    if not isinstance(scan, ConeBeam):
        raise TypeError(f"fdk is for circular cone beams (ConeBeam), not {type(scan).__name__}; use sirt or tv")
    if tuple(y.shape[-3:]) != scan.sinogram_shape:
        raise ValueError(f"projections of this scan end in {scan.sinogram_shape}, not {tuple(y.shape)}")
    fan = central_fan(scan)
    cosine = scan.sdd_mm / np.sqrt(scan.sdd_mm**2 + scan.u_mm() ** 2 + scan.v_mm()[:, None] ** 2)
    weights = remembered_weights(fan)[:, None] * cosine
    q, centred = ramp_filtered(y * torch.as_tensor(weights, dtype=y.dtype, device=y.device), fan, filter_name)
    wider = replace(
        scan,
        detector_shape=(scan.detector_shape[0], centred.n_bins),
        offset_mm=(scan.offset_mm[0], centred.offset_mm),
    )
    return backproject_cone(q, grid, wider)


def central_fan(scan: ConeBeam) -> FanBeam:
    """Return the fan beam of the columns of a panel, in the plane of the source's circle."""
    return FanBeam(
        scan.angles_rad,
        n_bins=scan.detector_shape[1],
        bin_mm=scan.pixel_mm[1],
        sod_mm=scan.sod_mm,
        sdd_mm=scan.sdd_mm,
        offset_mm=scan.offset_mm[1],
    )


class FDK:
    """The reconstructor made of `fdk`.

    Attributes:
        filter_name: One of `latentct.recon.filters.FILTER_NAMES`.
    """

    def __init__(self, filter_name: str = "ram-lak") -> None:
        self.filter_name = filter_name

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct ``x_mu`` (B, C, D, H, W) from ``y`` (B, C, A, V, U); unmeasured rays count as zero.

        Raises:
            TypeError: The scan of the projector is not a `ConeBeam`.
        """
        measured = y if ray_mask is None else torch.where(ray_mask, y, 0)
        return fdk(measured, projector.grid, projector.scan, self.filter_name)  # type: ignore[arg-type]
