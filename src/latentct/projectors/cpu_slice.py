"""A single slice of a plane scan on the CPU: compiled kernels behind torch tensors, float32."""

from __future__ import annotations

import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors.numba_slice import MARGIN, project_slice
from latentct.projectors.numba_slice_transposed import project_slice_transposed
from latentct.projectors.numba_window import whole_vectors
from latentct.projectors.rays import RayTable
from latentct.projectors.slice_table import SliceTable, tiles


class SliceProjector:
    """Parallel or fan beam by Joseph's method for one slice, vectorised over rays and, transposed, over pixels."""

    def __init__(self, grid: Grid, scan: ParallelBeam | FanBeam, rays: RayTable) -> None:
        """Prepare the rays of a scan; those that take no steps are left out."""
        self._grid, self._scan = grid, scan
        self._table = SliceTable.of_rays(rays)
        self._ends = self._table.ends()

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Map an image (H, W) to its line integrals (A, U)."""
        y = x.new_empty(self._table.start.shape)
        project_slice(_bordered(x).numpy(), _bordered(x.T).numpy(), y.numpy(), *self._table)
        return y[:, MARGIN:-MARGIN].contiguous()

    def backproject(self, y: torch.Tensor) -> torch.Tensor:
        """Apply the transpose of `project` to line integrals (A, U)."""
        height, width = self._grid.shape
        values = torch.nn.functional.pad(y, (MARGIN, MARGIN)).numpy()
        by_rows, by_columns = y.new_zeros(height, whole_vectors(width)), y.new_zeros(width, whole_vectors(height))
        row_weight, column_weight, _, _, at_zero, slope = self._table
        project_slice_transposed(
            values * row_weight,
            values * column_weight,
            by_rows.numpy(),
            by_columns.numpy(),
            tiles(self._grid, self._scan, axis=0),
            tiles(self._grid, self._scan, axis=1),
            self._ends,
            at_zero,
            slope,
        )
        return by_rows[:, :width] + by_columns[:, :height].T


def _bordered(x: torch.Tensor) -> torch.Tensor:
    """Return an image laid out for `project_slice`."""
    height, width = x.shape
    bordered = x.new_zeros(height + 2, whole_vectors(width + MARGIN + 2))
    bordered[1:-1, MARGIN + 1 : MARGIN + 1 + width] = x
    return bordered
