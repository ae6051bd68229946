"""Plane scans on the CPU: compiled kernels behind torch tensors, float32, threads as ``NUMBA_NUM_THREADS`` allows."""

from __future__ import annotations

import copy

import numba
import numpy as np
import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors.base import MaskedProjector, Projector
from latentct.projectors.numba_compile import BLOCKS_PER_THREAD
from latentct.projectors.numba_plane import project_plane, project_plane_transposed
from latentct.projectors.rays import ray_table


class NumbaPlaneProjector(Projector):
    """Parallel or fan beam by Joseph's method on the CPU, many slices at once, the transpose as an explicit kernel."""

    def __init__(self, grid: Grid, scan: ParallelBeam | FanBeam) -> None:
        super().__init__(grid, scan)
        self._width = grid.shape[1] + 2
        self._table = ray_table(grid, scan)

    def masked(self, ray_mask: torch.Tensor) -> Projector:
        """Return the projector whose other rays take no steps; see `Projector.masked`."""
        masks = ray_mask.reshape(-1, *self.scan.sinogram_shape)
        projector = copy.copy(self)
        stop = np.where(masks.any(dim=0).cpu().numpy(), self._table.stop, self._table.start)
        projector._table = self._table._replace(stop=stop)
        return projector if len(masks) == 1 else MaskedProjector(projector, ray_mask)

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        bordered = self._bordered(x)
        bordered[1:-1, 1:-1] = x.detach().permute(1, 2, 0)
        y = x.new_empty(*self.scan.sinogram_shape, len(x))
        project_plane(bordered.flatten(0, 1).numpy(), y.numpy(), self._width, *self._table)
        return y.permute(2, 0, 1).contiguous()

    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        bordered = self._bordered(y)
        slices_last = y.detach().permute(1, 2, 0).contiguous()
        n_blocks = BLOCKS_PER_THREAD * numba.get_num_threads()
        project_plane_transposed(
            slices_last.numpy(), bordered.flatten(0, 1).numpy(), self._width, n_blocks, *self._table
        )
        return bordered[1:-1, 1:-1].permute(2, 0, 1).contiguous()

    def _bordered(self, like: torch.Tensor) -> torch.Tensor:
        height, width = self.grid.shape
        return like.new_zeros(height + 2, width + 2, len(like))
