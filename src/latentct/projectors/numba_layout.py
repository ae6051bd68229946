"""Compiled kernels that put the slices of a batch side by side, and apart again."""

from __future__ import annotations

import numba

from latentct.projectors.numba_compile import kernel
from latentct.projectors.numba_plane import Float32Array

TURN = 16
"""Numbers of a row that are moved at a time: the cells they go to fit in the first cache."""


@kernel
def interleave(x: Float32Array, cells: Float32Array, above: int, before: int) -> None:
    """Write ``x`` (N, rows, columns) to ``cells`` (at least rows, at least columns, lanes), zeros elsewhere.

    ``above`` is the number of rows of zeros over the first of ``x``, ``before`` that of cells before its columns.
    """
    n, n_rows, n_columns = x.shape
    for line in numba.prange(len(cells)):
        row = line - above
        if row < 0 or row >= n_rows:
            cells[line] = 0.0
            continue
        cells[line, :before] = 0.0
        cells[line, before + n_columns :] = 0.0
        for first in range(0, n_columns, TURN):
            last = min(first + TURN, n_columns)
            for b in range(n):
                for column in range(first, last):
                    cells[line, before + column, b] = x[b, row, column]
            for column in range(first, last):
                cells[line, before + column, n:] = 0.0


@kernel
def separate(cells: Float32Array, x: Float32Array, above: int, before: int) -> None:
    """Write to ``x`` (N, rows, columns) what `interleave` put into ``cells``."""
    n, n_rows, n_columns = x.shape
    for row in numba.prange(n_rows):
        for first in range(0, n_columns, TURN):
            for b in range(n):
                for column in range(first, min(first + TURN, n_columns)):
                    x[b, row, column] = cells[above + row, before + column, b]
