"""Corrupted reconstructions for training the encoder: what a first, classical correction leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from latentct.correction import adaptive_detruncation, water_cylinder_extrapolation
from latentct.geometry import Grid, ParallelBeam, truncation_ray_mask
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.units import MU_WATER_70KEV, NETWORK_RANGE


class IncompleteReconstruction:
    """Slices as filtered back-projection shows them after an incomplete scan and a classical correction.

    For each batch one kind of scan is drawn: laterally truncated (half of the batches), a limited arc, or few views;
    with it the diameter of the field of measurement (small ones, which are harder, more often), the arc and its start,
    or the number of views. Truncated data are extrapolated, missing views are left out. Slices are in the network
    range, which is affine in attenuation with air at 0, so the physics runs on it as it is: only the water level the
    extrapolation needs is scaled.

    Args:
        grid: the prior's grid.
        hu_min: HU at network value 0; must be -1000, so that air is 0.
        hu_max: HU at network value 1.
        diameter_mm: smallest and largest diameter of the field of measurement.
        arc_rad: shortest and longest limited arc.
        few_views: smallest and largest number of views of a sparse scan, over half a turn.
        n_views: views of the other scans over half a turn.
        mu_water: attenuation of water in 1/mm at the energy of the simulated scan.

    Example:
        >>> grid = Grid((32, 32), (16.0, 16.0))
        >>> corrupt = IncompleteReconstruction(grid, -1000.0, 3000.0, n_views=30)
        >>> corrupt(torch.rand(2, 1, 32, 32)).shape
        torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self,
        grid: Grid,
        hu_min: float,
        hu_max: float,
        diameter_mm: Sequence[float] = (100.0, 350.0),
        arc_rad: Sequence[float] = (math.pi / 3, 0.9 * math.pi),
        few_views: Sequence[int] = (16, 96),
        n_views: int = 120,
        mu_water: float = MU_WATER_70KEV,
    ) -> None:
        if hu_min != -1000.0:
            raise ValueError(f"hu_min is {hu_min}, but air (-1000 HU) must be at network value 0")
        self.mu_per_x = mu_water * (hu_max - hu_min) / 1000.0
        self.mu_water = mu_water
        self.diameter_mm, self.arc_rad, self.few_views = diameter_mm, arc_rad, few_views
        self.n_views = n_views
        self.grid = grid
        self.bin_mm = min(grid.spacing_mm)
        self.n_bins = 2 * math.ceil(math.hypot(*grid.extent_mm) / self.bin_mm / 2)

    def __call__(self, x: Tensor) -> Tensor:
        """Return corrupted slices (B, 1, H, W) of clean ones, on the same device."""
        kind = float(torch.rand(()))
        with torch.no_grad():
            x_mu = x.cpu() * self.mu_per_x
            if kind < 0.5:
                x_mu = self._truncated(x_mu)
            elif kind < 0.75:
                arc_rad = between(self.arc_rad)
                x_mu = self._scanned(x_mu, round(self.n_views * arc_rad / math.pi), arc_rad)
            else:
                x_mu = self._scanned(x_mu, round(between(self.few_views)), math.pi)
        return (x_mu / self.mu_per_x).clamp(*NETWORK_RANGE).to(x.device)

    def _scan(self, n_views: int, arc_rad: float, start_rad: float) -> ParallelBeam:
        return ParallelBeam.equally_spaced(n_views, arc_rad, self.n_bins, self.bin_mm, start_rad=start_rad)

    def _scanned(self, x_mu: Tensor, n_views: int, arc_rad: float) -> Tensor:
        """Return the reconstruction from the views of an arc that starts anywhere."""
        scan = self._scan(n_views, arc_rad, between((0.0, 2 * math.pi)))
        return fbp(make_projector(self.grid, scan)(x_mu), self.grid, scan)

    def _truncated(self, x_mu: Tensor) -> Tensor:
        low, high = self.diameter_mm
        diameter_mm = low + (high - low) * float(torch.rand(())) ** 2
        scan = self._scan(self.n_views, math.pi, 0.0)
        ray_mask = torch.from_numpy(truncation_ray_mask(scan, diameter_mm))
        y = make_projector(self.grid, scan)(x_mu)
        if float(torch.rand(())) < 0.75:
            y = adaptive_detruncation(y, ray_mask, scan)
        else:
            y = water_cylinder_extrapolation(y, ray_mask, scan, self.mu_water)
        return fbp(y, self.grid, scan)


def between(limits: Sequence[float]) -> float:
    """Draw a number between two, by torch's global generator."""
    low, high = limits
    return low + (high - low) * float(torch.rand(()))
