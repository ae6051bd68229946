"""Corrupted reconstructions for training the encoder: what a first, classical correction leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentct.correction import adaptive_detruncation, water_cylinder_extrapolation
from latentct.geometry import Grid, ParallelBeam, truncation_ray_mask
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.units import MU_WATER_70KEV


class TruncatedReconstruction:
    """Slices as filtered back-projection shows them after a laterally truncated scan and a classical extrapolation.

    The diameter of the field of measurement (small ones, which are harder, more often) and the extrapolation are drawn
    anew for each batch. Slices are in the network range, which is affine in attenuation with air at 0, so the physics
    runs on it as it is: only the water level the extrapolation needs is scaled.

    Args:
        grid: the prior's grid.
        hu_min: HU at network value 0; must be -1000, so that air is 0.
        hu_max: HU at network value 1.
        diameter_mm: smallest and largest diameter of the field of measurement.
        n_views: views over half a turn.
        mu_water: attenuation of water in 1/mm at the energy of the simulated scan.

    Example:
        >>> grid = Grid((32, 32), (16.0, 16.0))
        >>> corrupt = TruncatedReconstruction(grid, -1000.0, 3000.0, (150.0, 150.0), n_views=30)
        >>> corrupt(torch.rand(2, 1, 32, 32)).shape
        torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self,
        grid: Grid,
        hu_min: float,
        hu_max: float,
        diameter_mm: Sequence[float] = (100.0, 350.0),
        n_views: int = 120,
        mu_water: float = MU_WATER_70KEV,
    ) -> None:
        if hu_min != -1000.0:
            raise ValueError(f"hu_min is {hu_min}, but air (-1000 HU) must be at network value 0")
        self.mu_per_x = mu_water * (hu_max - hu_min) / 1000.0
        self.mu_water = mu_water
        self.diameter_mm = diameter_mm
        bin_mm = min(grid.spacing_mm)
        n_bins = 2 * math.ceil(math.hypot(*grid.extent_mm) / bin_mm / 2)
        self.grid, self.scan = grid, ParallelBeam.equally_spaced(n_views, math.pi, n_bins, bin_mm)
        self.projector = make_projector(grid, self.scan, "auto")

    def __call__(self, x: Tensor) -> Tensor:
        """Return corrupted slices (B, 1, H, W) of clean ones, on the same device."""
        low, high = self.diameter_mm
        diameter_mm = low + (high - low) * float(torch.rand(())) ** 2
        ray_mask = torch.from_numpy(truncation_ray_mask(self.scan, diameter_mm))
        with torch.no_grad():
            y = self.projector(x.cpu() * self.mu_per_x)
            y = self._extrapolation()(y, ray_mask)
            x_mu = fbp(y, self.grid, self.scan)
        return (x_mu / self.mu_per_x).clamp(-0.25, 1.25).to(x.device)

    def _extrapolation(self) -> Callable[[Tensor, Tensor], Tensor]:
        if float(torch.rand(())) < 0.75:
            return lambda y, mask: adaptive_detruncation(y, mask, self.scan)
        return lambda y, mask: water_cylinder_extrapolation(y, mask, self.scan, self.mu_water)
