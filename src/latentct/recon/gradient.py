"""Finite differences of images and their transpose."""

from __future__ import annotations

import math

import torch

from latentct.geometry import Grid


class FiniteDifferences:
    """Forward differences along each axis of a grid, per length of the smallest pixel side; zero past the last pixel.

    Attributes:
        pixel_mm: Side of a square pixel, or cubic voxel, of the same size.
        row_sum: Largest sum of absolute coefficients of a difference.
        column_sum: Largest sum of absolute coefficients with which a pixel enters differences.
    """

    def __init__(self, grid: Grid) -> None:
        self._scales = [min(grid.spacing_mm) / spacing_mm for spacing_mm in grid.spacing_mm]
        self.pixel_mm = math.prod(grid.spacing_mm) ** (1 / grid.ndim)
        self.row_sum = 2 * max(self._scales)
        self.column_sum = 2 * sum(self._scales)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (..., *grid.shape) to differences (axes, ..., *grid.shape) in the unit of ``x``."""
        differences = x.new_zeros(len(self._scales), *x.shape)
        for axis, difference in self._inner(differences):
            n = x.shape[axis] - 1
            torch.sub(x.narrow(axis, 1, n), x.narrow(axis, 0, n), out=difference)
            difference.mul_(self._scales[axis])
        return differences

    def adjoint(self, differences: torch.Tensor) -> torch.Tensor:
        """Map differences (axes, ..., *grid.shape) to images by the transpose of `forward`."""
        x = torch.zeros_like(differences[0])
        for axis, difference in self._inner(differences):
            n = x.shape[axis] - 1
            x.narrow(axis, 0, n).sub_(difference, alpha=self._scales[axis])
            x.narrow(axis, 1, n).add_(difference, alpha=self._scales[axis])
        return x

    def _inner(self, differences: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
        """Return each axis, counted from the last, with its differences less those past the last pixel."""
        axes = range(-len(self._scales), 0)
        return [(axis, d.narrow(axis, 0, d.shape[axis] - 1)) for axis, d in zip(axes, differences, strict=True)]
