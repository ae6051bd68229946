"""Cone beams on the CPU: compiled kernels behind torch tensors, float32, threads as ``NUMBA_NUM_THREADS`` allows."""

from __future__ import annotations

import math

import numba
import numpy as np
import torch

from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.projectors.base import Projector
from latentct.projectors.cpu_upright import UprightProjector
from latentct.projectors.numba_cone import project_cone, project_cone_transposed
from latentct.projectors.numba_lanes import LANES, lanes_for
from latentct.projectors.rays import cone_vectors
from latentct.projectors.upright_table import upright_table

BLOCKS_PER_THREAD = 4
"""Parts of the volume each thread gets in an adjoint, several so that uneven parts even out."""


class NumbaConeProjector(Projector):
    """Cone beam by Joseph's method on the CPU, the transpose as an explicit kernel.

    Volumes are projected one by one if all panels stand upright, otherwise several at once.
    """

    def __init__(self, grid: Grid, scan: ConeBeam | VectorConeBeam) -> None:
        super().__init__(grid, scan)
        table = upright_table(grid, scan)
        self._upright = UprightProjector(grid, table) if table else None
        spacing_mm, origin_mm = np.asarray(grid.spacing_mm), np.asarray(grid.origin_mm)
        source_mm, corner_mm, v_mm, u_mm = cone_vectors(scan)
        bordered_shape = [n + 2 for n in grid.shape]
        self._geometry = (
            (source_mm - origin_mm) / spacing_mm + 1.0,
            (corner_mm - origin_mm) / spacing_mm + 1.0,
            v_mm / spacing_mm,
            u_mm / spacing_mm,
            np.asarray(grid.shape),
            np.asarray([math.prod(bordered_shape[axis + 1 :]) for axis in range(3)]),
            spacing_mm,
        )

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        if self._upright:
            return torch.stack([self._upright.project(volume) for volume in x.detach()])
        return torch.cat([self._project_part(part) for part in torch.split(x.detach(), LANES[-1])])

    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        if self._upright:
            return torch.stack([self._upright.backproject(projections) for projections in y.detach()])
        return torch.cat([self._backproject_part(part) for part in torch.split(y.detach(), LANES[-1])])

    def _project_part(self, x: torch.Tensor) -> torch.Tensor:
        lanes = (0,) * lanes_for(len(x))
        bordered = self._bordered(x, len(lanes))
        bordered[1:-1, 1:-1, 1:-1, : len(x)] = x.permute(1, 2, 3, 0)
        y = x.new_empty(*self.scan.sinogram_shape, len(lanes))
        project_cone(bordered.flatten(0, 2).numpy(), y.numpy(), lanes, *self._geometry)
        return y.permute(3, 0, 1, 2)[: len(x)].contiguous()

    def _backproject_part(self, y: torch.Tensor) -> torch.Tensor:
        lanes = (0,) * lanes_for(len(y))
        bordered = self._bordered(y, len(lanes))
        items_last = y.new_zeros(*self.scan.sinogram_shape, len(lanes))
        items_last[..., : len(y)] = y.permute(1, 2, 3, 0)
        n_blocks = BLOCKS_PER_THREAD * numba.get_num_threads()
        project_cone_transposed(items_last.numpy(), bordered.flatten(0, 2).numpy(), lanes, n_blocks, *self._geometry)
        return bordered[1:-1, 1:-1, 1:-1, : len(y)].permute(3, 0, 1, 2).contiguous()

    def _bordered(self, like: torch.Tensor, n_lanes: int) -> torch.Tensor:
        return like.new_zeros(*(n + 2 for n in self.grid.shape), n_lanes)
