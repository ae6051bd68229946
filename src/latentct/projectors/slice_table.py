"""What the kernels for a single slice need to know of a plane scan, laid out for reading sixteen rays at a time."""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors.numba_slice import MARGIN
from latentct.projectors.numba_slice_transposed import TILE_STEPS
from latentct.projectors.numba_window import N_LANES
from latentct.projectors.rays import FloatArray, IntArray, RayTable, bins_at

Float32Array = npt.NDArray[np.float32]

ROUNDING = 0.01
"""Bins by which a tile's reach exceeds what its corners say, because they are rounded to float32."""


class SliceTable(NamedTuple):
    """The crossings of all rays of a plane scan, arrays of shape (A, U + 2 MARGIN); see `rays.RayTable`.

    The rays before and behind the detector have no weight; windows may reach over them.

    Attributes:
        row_weight: Length in mm per step of the rays that step over rows, zero for the others and those that miss.
        column_weight: The same for rays that step over columns.
        start: First step inside the grid.
        stop: One past the last step.
        at_zero: Position across at step 0 in pixels.
        slope: Change of this position per step.
    """

    row_weight: Float32Array
    column_weight: Float32Array
    start: IntArray
    stop: IntArray
    at_zero: FloatArray
    slope: FloatArray

    @classmethod
    def of_rays(cls, rays: RayTable) -> SliceTable:
        """Lay out the rays of a plane scan."""
        length_mm = np.where(rays.start < rays.stop, rays.step_mm, 0.0).astype(np.float32)
        by_rows, by_columns = np.where(rays.over_rows, length_mm, 0), np.where(rays.over_rows, 0, length_mm)
        return cls(
            row_weight=with_margin(by_rows),
            column_weight=with_margin(by_columns),
            start=with_margin(rays.start),
            stop=with_margin(rays.stop),
            at_zero=with_margin(rays.at_zero, "edge"),
            slope=with_margin(rays.slope, "edge"),
        )

    def ends(self) -> IntArray:
        """Return the first and the last bin of each view with a weight, (2, A, 2) for rows and columns.

        Views without one get a first bin behind the detector and a last one before it.
        """
        n_bins = self.start.shape[1] - 2 * MARGIN
        bins = np.arange(-MARGIN, n_bins + MARGIN)
        hit = np.stack([self.row_weight, self.column_weight]) > 0
        first = np.where(hit, bins, n_bins + MARGIN).min(axis=-1)
        return np.stack([first, np.where(hit, bins, -MARGIN).max(axis=-1)], axis=-1)


def with_margin(values: npt.NDArray[Any], mode: Literal["constant", "edge"] = "constant") -> npt.NDArray[Any]:
    """Return values (A, U) with `MARGIN` zeros, or copies of the end values, before and behind each view."""
    return np.pad(values, ((0, 0), (MARGIN, MARGIN)), mode=mode)


@functools.lru_cache(maxsize=8)
def tiles(grid: Grid, scan: ParallelBeam | FanBeam, axis: int) -> Float32Array:
    """Return which bins look at the pixels of a tile of `TILE_STEPS` steps by `N_LANES` pixels.

    The bin at a pixel is affine in step and column, up to what the middles and the fourth corner of the tile tell.

    Args:
        grid: Where the pixels are.
        scan: A parallel or fan beam.
        axis: Axis of the steps, 0 for rows or 1 for columns.

    Returns:
        For each band of steps, view and tile of the band (bands, A, tiles, 4): the bin at the first pixel, its change
        per column and per step, and how far from it the bins lie that a pixel interpolates from.
    """
    sizes = (TILE_STEPS, N_LANES)
    steps_mm, across_mm = (
        grid.origin_mm[a]
        + np.arange(2 * -(-grid.shape[a] // size) + 1, dtype=np.float64) * size / 2 * grid.spacing_mm[a]
        for a, size in zip((axis, 1 - axis), sizes, strict=True)
    )
    steps_mm = steps_mm[:, None, None]
    bins = bins_at(scan, *((steps_mm, across_mm) if axis == 0 else (across_mm, steps_mm)))
    corners = bins[::2, :, ::2]
    a, b, c, d = corners[:-1, :, :-1], corners[:-1, :, 1:], corners[1:, :, :-1], corners[1:, :, 1:]
    by_column, by_step = (b - a + d - c) / (2 * sizes[1]), (c - a + d - b) / (2 * sizes[0])
    bend = np.abs(bins[::2, :, 1::2] - (corners[..., 1:] + corners[..., :-1]) / 2)
    bow = np.abs(bins[1::2, :, ::2] - (corners[1:] + corners[:-1]) / 2)
    bent = np.maximum(bend[1:], bend[:-1]) + np.maximum(bow[..., 1:], bow[..., :-1]) + np.abs(a - b - c + d) / 4
    reach = np.abs(by_column) + 1.25 * bent + ROUNDING
    affine = np.stack([(3 * a + b + c - d) / 4, by_column, by_step, reach], axis=-1)
    all_bins = ((scan.n_bins - 1) / 2, 0.0, 0.0, (scan.n_bins + 1) / 2)  # where the source is about to enter the tile
    return np.where(2 * affine[..., 3:] < scan.n_bins, affine, all_bins).astype(np.float32)
