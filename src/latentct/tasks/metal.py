"""Metal: the rays through it are too corrupted to be used."""

from __future__ import annotations

import torch

from latentct.correction.metal import dilate, segment_metal
from latentct.errors import InputError
from latentct.projectors import Projector
from latentct.recon import fbp, plane_scan
from latentct.tasks.first import first_reconstruction
from latentct.units import MU_WATER_70KEV, mu_to_hu


class Metal:
    """The rays through metal, which is segmented in the first reconstruction and projected: the metal trace.

    A slice without metal is measured completely. The defaults were chosen on 85 simulated scans of training patients,
    pixels of 2 to 5 mm, titanium to amalgam of 20 to 1100 mm2: all were found, the faintest (titanium of 20 mm2) with a
    peak of 3200 HU, while no scan without metal exceeded 1900 HU; a trace widened further made LI and NMAR worse.

    Args:
        threshold_hu: A piece of metal has a pixel above this in the first reconstruction; see `segment_metal`.
        edge_hu: Pixels that touch it belong to it above this.
        share_of_peak: Neither limit is below this share of the brightest pixel of the slice.
        dilation_mm: How far the metal is widened before it is projected. Interpolation between pixel centres widens it
            by up to a pixel anyway, which covers the rays that only its edge touches.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
        filter_name: Ramp filter of the first reconstruction.

    Raises:
        InputError: A limit does not make sense.
    """

    name = "metal"

    def __init__(
        self,
        threshold_hu: float = 2500.0,
        edge_hu: float = 2000.0,
        share_of_peak: float = 0.1,
        dilation_mm: float = 0.0,
        mu_water: float = MU_WATER_70KEV,
        filter_name: str = "ram-lak",
    ) -> None:
        if edge_hu > threshold_hu:
            raise InputError(f"edge_hu is {edge_hu}, above threshold_hu of {threshold_hu}; choose one not above it.")
        if not 0 <= share_of_peak < 1:
            raise InputError(f"share_of_peak is {share_of_peak}; choose a share from 0 to below 1.")
        self.threshold_hu = threshold_hu
        self.edge_hu = edge_hu
        self.share_of_peak = share_of_peak
        self.dilation_mm = dilation_mm
        self.mu_water = mu_water
        self.filter_name = filter_name

    def metal_mask(self, y: torch.Tensor, projector: Projector, measured: torch.Tensor | None = None) -> torch.Tensor:
        """Return where the metal is, bool (B, 1, H, W), not widened; arguments as of `Task.ray_mask`."""
        grid, scan = projector.grid, plane_scan(projector)
        if measured is None:
            x_mu = fbp(y, grid, scan, self.filter_name)
        else:
            x_mu = first_reconstruction(y, measured, grid, scan, self.mu_water, self.filter_name)
        return segment_metal(mu_to_hu(x_mu, self.mu_water), self.threshold_hu, self.edge_hu, self.share_of_peak)

    def ray_mask(self, y: torch.Tensor, projector: Projector, measured: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rays beside the metal, (B, 1, A, U); see `Task.ray_mask`."""
        metal = dilate(self.metal_mask(y, projector, measured), projector.grid.spacing_mm, self.dilation_mm)
        ray_mask = rays_beside(metal, projector)
        through_grid = projector(torch.ones_like(metal[:1], dtype=torch.float32)) > 0
        if not bool((ray_mask & through_grid).flatten(1).any(dim=1).all()):
            raise InputError(
                f"the task {self.name} found metal on every ray of a slice; raise threshold_hu ({self.threshold_hu})."
            )
        return ray_mask


def rays_beside(metal: torch.Tensor, projector: Projector) -> torch.Tensor:
    """Return the rays that meet no metal, bool (B, 1, A, U), of masks (B, 1, H, W) on the projector's grid."""
    return projector(metal.float()) == 0
