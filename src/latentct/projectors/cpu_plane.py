"""Plane scans on the CPU: compiled kernels behind torch tensors, float32, threads as ``NUMBA_NUM_THREADS`` allows."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors.base import MaskedProjector, Projector
from latentct.projectors.cpu_slice import SliceProjector
from latentct.projectors.numba_layout import interleave, separate
from latentct.projectors.numba_plane import project_plane, project_plane_transposed
from latentct.projectors.numba_vectors import LANES, lanes_for
from latentct.projectors.ray_records import ray_records
from latentct.projectors.rays import RayTable, ray_table

FEW = 4
"""Slices up to which one after the other, sixteen rays at a time, costs less than side by side."""


class NumbaPlaneProjector(Projector):
    """Parallel or fan beam by Joseph's method on the CPU, many slices at once, the transpose as an explicit kernel."""

    scan: ParallelBeam | FanBeam

    def __init__(self, grid: Grid, scan: ParallelBeam | FanBeam) -> None:
        super().__init__(grid, scan)
        self._measured: torch.Tensor | None = None
        self._set_rays(ray_table(grid, scan))

    def masked(self, ray_mask: torch.Tensor) -> Projector:
        """Return the projector whose other rays take no steps; see `Projector.masked`."""
        masks = ray_mask.reshape(-1, *self.scan.sinogram_shape)
        projector = copy.copy(self)
        measured = masks.any(dim=0).cpu()
        projector._set_rays(self._table._replace(stop=np.where(measured.numpy(), self._table.stop, self._table.start)))
        projector._measured = measured if self._measured is None else measured & self._measured
        return projector if len(masks) == 1 else MaskedProjector(projector, ray_mask)

    def _set_rays(self, table: RayTable) -> None:
        self._table = table
        self._records = ray_records(table)
        self._of_slice = SliceProjector(self.grid, self.scan, table)

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        y = x.new_empty(len(x), *self.scan.sinogram_shape)
        for part, results in _parts(x, y):
            if len(part) <= FEW:
                for one, result in zip(part, results, strict=True):
                    result.copy_(self._of_slice.project(one))
                continue
            lanes = (0,) * lanes_for(len(part))
            cells = self._cells(lanes, x)
            interleave(part.numpy(), cells.numpy(), 1, 1)
            project_plane(cells.numpy(), results.numpy(), lanes, self.grid.shape[1], *self._records)
        return y

    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        x = y.new_empty(len(y), *self.grid.shape)
        for part, results in _parts(y, x):
            if len(part) <= FEW:
                # what pixels gather, they read even where its weight is zero
                known = part if self._measured is None else torch.where(self._measured, part, 0.0)
                for one, result in zip(known, results, strict=True):
                    result.copy_(self._of_slice.backproject(one))
                continue
            lanes = (0,) * lanes_for(len(part))
            cells, rays = self._cells(lanes, y), y.new_empty(*self.scan.sinogram_shape, len(lanes))
            interleave(part.numpy(), rays.numpy(), 0, 0)
            project_plane_transposed(rays.numpy(), cells.numpy(), lanes, self.grid.shape[1], *self._records)
            separate(cells.numpy(), results.numpy(), 1, 1)
        return x

    def _cells(self, lanes: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        height, width = self.grid.shape
        return like.new_empty(height + 2, row_pitch(width + 2), len(lanes))


def _parts(data: torch.Tensor, results: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return the parts of a batch that are worked on together, and where their results go."""
    return zip(*(torch.split(tensor, LANES[-1]) for tensor in (data.detach().contiguous(), results)), strict=True)


def row_pitch(width: int) -> int:
    """Return the cells between rows of ``width`` cells, so that those above each other fall in different cache sets.

    >>> row_pitch(258)
    264
    """
    return (width + 7) // 16 * 16 + 8
