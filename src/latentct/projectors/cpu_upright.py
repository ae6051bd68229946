"""Cone beams with upright panels on the CPU, one volume: compiled kernels behind torch tensors, float32."""

from __future__ import annotations

import numpy as np
import torch

from latentct.geometry import Grid
from latentct.projectors.numba_layout import interleave, separate
from latentct.projectors.numba_slice import MARGIN
from latentct.projectors.numba_upright import project_upright, project_upright_transposed
from latentct.projectors.numba_window import WINDOW, whole_vectors
from latentct.projectors.rays import IntArray
from latentct.projectors.upright_table import UprightTable


class UprightProjector:
    """Cone beam by Joseph's method for one volume, vectorised over panel rows and, transposed, over slices."""

    def __init__(self, grid: Grid, table: UprightTable) -> None:
        """Prepare for a grid and the rays to it."""
        self._shape, self._table = grid.shape, table

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Map a volume (D, H, W) to its line integrals (A, V, U)."""
        columns, length_mm = self._columns(x, WINDOW), self._length_mm()
        (n_views, n_rows, n_columns), n_slices = length_mm.shape, len(x)
        interleave(x.contiguous().numpy(), columns.numpy(), 1, 1)
        y = x.new_empty(n_views, n_columns, whole_vectors(n_rows))
        steps, traces, heights = self._table[:3]
        project_upright(columns.numpy(), y.numpy(), n_slices, _strides(columns), steps, traces, heights)
        return length_mm.mul_(y[..., :n_rows].transpose(1, 2))

    def backproject(self, y: torch.Tensor) -> torch.Tensor:
        """Apply the transpose of `project` to line integrals (A, V, U)."""
        n_views, n_rows, n_columns = y.shape
        values = y.new_zeros(n_views, n_columns, whole_vectors(n_rows) + 2 * MARGIN)
        values[..., MARGIN : MARGIN + n_rows] = self._length_mm().mul_(y).transpose(1, 2)
        x = y.new_empty(self._shape)
        columns = self._columns(x, 0).zero_()
        steps, traces, heights = self._table[:3]
        project_upright_transposed(values.numpy(), columns.numpy(), _strides(columns), steps, traces, heights)
        separate(columns.numpy(), x.numpy(), 1, 1)
        return x

    def _columns(self, like: torch.Tensor, n_zeros: int) -> torch.Tensor:
        depth, height, width = self._shape
        return like.new_empty(height + 2, width + 2, whole_vectors(depth + n_zeros))

    def _length_mm(self) -> torch.Tensor:
        """Return the length of each ray within a step, (A, V, U)."""
        flat, rises, per_step = (torch.from_numpy(squares) for squares in self._table[3:])
        return torch.addcmul(flat, rises, per_step).sqrt_()


def _strides(columns: torch.Tensor) -> IntArray:
    """Return the strides along and across the trace of rays that step along y, then x."""
    return np.asarray([columns.stride()[:2], columns.stride()[1::-1]])
