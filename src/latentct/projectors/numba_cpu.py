"""The CPU backend: compiled kernels behind torch tensors."""

from __future__ import annotations

import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors.base import Projector
from latentct.projectors.numba_plane import project_plane, project_plane_transposed
from latentct.projectors.rays import ray_table

BLOCK = 8


class NumbaPlaneProjector(Projector):
    """Parallel or fan beam by Joseph's method on the CPU, float32, the transpose as an explicit kernel.

    Uses as many threads as numba is given (``NUMBA_NUM_THREADS``).
    """

    def __init__(self, grid: Grid, scan: ParallelBeam | FanBeam) -> None:
        super().__init__(grid, scan)
        self.width = grid.shape[1] + 2
        table = ray_table(grid, scan)
        self._table = (table.over_rows, table.start, table.stop, table.at_zero, table.slope, table.step_mm)

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        height, width = self.grid.shape
        bordered = x.new_zeros(height + 2, width + 2, len(x))
        bordered[1:-1, 1:-1] = x.detach().permute(1, 2, 0)
        y = x.new_empty(*self.scan.sinogram_shape, len(x))
        project_plane(bordered.view(-1, len(x)).numpy(), y.numpy(), self.width, *self._table)
        return y.permute(2, 0, 1).contiguous()

    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        height, width = self.grid.shape
        bordered = y.new_zeros(height + 2, width + 2, len(y))
        slices_last = y.detach().permute(1, 2, 0).contiguous()
        project_plane_transposed(
            slices_last.numpy(), bordered.view(-1, len(y)).numpy(), self.width, BLOCK, *self._table
        )
        return bordered[1:-1, 1:-1].permute(2, 0, 1).contiguous()
