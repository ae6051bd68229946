"""Metal: the rays through it are too corrupted to be used."""

from __future__ import annotations

import torch

from latentct.correction.metal import dilate, segment_metal
from latentct.errors import InputError
from latentct.geometry import Scan2D
from latentct.projectors import Projector
from latentct.recon import fbp
from latentct.tasks.first import first_reconstruction
from latentct.units import MU_WATER_70KEV, mu_to_hu


class Metal:
    """The rays through metal, which is segmented in the first reconstruction and projected: the metal trace.

    A slice without metal is measured completely.

    Args:
        threshold_hu: A piece of metal has a pixel above this in the first reconstruction; see `segment_metal`.
        edge_hu: Pixels that touch it belong to it above this.
        smallest_mm2: Pieces of less area are specks.
        dilation_mm: How far the metal is widened before it is projected, so that the trace covers the rays that its
            edge touches.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
        filter_name: Ramp filter of the first reconstruction.
    """

    name = "metal"

    def __init__(
        self,
        threshold_hu: float = 2500.0,
        edge_hu: float = 2000.0,
        smallest_mm2: float = 0.0,
        dilation_mm: float = 0.0,
        mu_water: float = MU_WATER_70KEV,
        filter_name: str = "ram-lak",
    ) -> None:
        if edge_hu > threshold_hu:
            raise InputError(f"edge_hu is {edge_hu}, above threshold_hu of {threshold_hu}; choose one not above it.")
        self.threshold_hu = threshold_hu
        self.edge_hu = edge_hu
        self.smallest_mm2 = smallest_mm2
        self.dilation_mm = dilation_mm
        self.mu_water = mu_water
        self.filter_name = filter_name

    def metal_mask(self, y: torch.Tensor, projector: Projector, measured: torch.Tensor | None = None) -> torch.Tensor:
        """Return where the metal is, bool (B, 1, H, W), not widened; arguments as of `Task.ray_mask`."""
        grid, scan = projector.grid, projector.scan
        if not isinstance(scan, Scan2D):
            raise TypeError(f"metal is segmented in slices of parallel and fan beams, not of {type(scan).__name__}")
        if measured is None:
            x_mu = fbp(y, grid, scan, self.filter_name)
        else:
            x_mu = first_reconstruction(y, measured, grid, scan, self.mu_water, self.filter_name)
        x_hu = mu_to_hu(x_mu, self.mu_water)
        return segment_metal(x_hu, grid.spacing_mm, self.threshold_hu, self.edge_hu, self.smallest_mm2)

    def ray_mask(self, y: torch.Tensor, projector: Projector, measured: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rays beside the metal, (B, 1, A, U); see `Task.ray_mask`."""
        metal = dilate(self.metal_mask(y, projector, measured), projector.grid.spacing_mm, self.dilation_mm)
        ray_mask = projector(metal.to(y.dtype)) == 0
        if not bool(ray_mask.flatten(1).any(dim=1).all()):
            raise InputError(
                f"the task {self.name} found metal on every ray of a slice; raise threshold_hu ({self.threshold_hu})."
            )
        return ray_mask
