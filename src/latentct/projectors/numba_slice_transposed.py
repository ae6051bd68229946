"""The transpose of the kernel for a single slice, sixteen neighbouring pixels at a time.

Where `numba_slice` looks up what rays interpolate between pixels, sixteen pixels of a row look up here the rays that
interpolate from them: those lie in a window too (`numba_window.lookup`). Nearly affine functions of row and column say
which rays to try, a few too many; the weights are those of the interpolation, zero for rays that pass farther away.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from latentct.projectors.numba_compile import compiled, kernel
from latentct.projectors.numba_slice import MARGIN, Float32Array, FloatArray, IntArray
from latentct.projectors.numba_window import (
    N_LANES,
    WINDOW,
    Vector,
    following,
    hat,
    keep,
    lane_numbers,
    lines,
    load,
    load_rounded,
    lookup,
    spread,
    store,
    truncated,
)

TILE_STEPS = 16
"""Rows of pixels of a tile, in which the rays at a pixel are nearly affine in row and column."""
MOST_RAYS = 8
"""Rays at one pixel that are looked up in one window."""
FAR = np.float32(1e6)
"""Pixels that no ray comes near."""


@kernel
def project_slice_transposed(
    row_values: Float32Array,
    column_values: Float32Array,
    by_rows: Float32Array,
    by_columns: Float32Array,
    row_tiles: Float32Array,
    column_tiles: Float32Array,
    ends: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
) -> None:
    """Add the transpose of `numba_slice.project_slice` to the images ``by_rows`` (H, ...) and ``by_columns`` (W, ...).

    The values (A, U + 2 MARGIN) are the line integrals times the weights of `SliceTable`, which has the other
    arguments. Bands of an image run in parallel and gather from all views in order, so that the sums do not depend on
    the number of threads.
    """
    n_row_bands, n_column_bands = row_tiles.shape[0], column_tiles.shape[0]
    for task in numba.prange(2 * max(n_row_bands, n_column_bands)):
        band = task // 2
        if task % 2 == 0 and band < n_row_bands:
            _band(row_values, by_rows, row_tiles, ends[0], at_zero, slope, band)
        elif task % 2 == 1 and band < n_column_bands:
            _band(column_values, by_columns, column_tiles, ends[1], at_zero, slope, band)


@compiled
def _band(
    values: Float32Array,
    x: Float32Array,
    tiles: Float32Array,
    ends: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
    band: int,
) -> None:
    """Add to `TILE_STEPS` rows of pixels what the rays of all views leave there, tile by tile."""
    n_views, n_bins = values.shape
    row = band * TILE_STEPS
    n_rows = min(TILE_STEPS, x.shape[0] - row)
    for a in range(n_views):
        for tile in range(tiles.shape[2]):
            place, by_column, by_row, reach = (
                tiles[band, a, tile, 0],
                tiles[band, a, tile, 1],
                tiles[band, a, tile, 2],
                tiles[band, a, tile, 3],
            )
            ray, column, n_rays = a * n_bins + MARGIN, tile * N_LANES, math.ceil(2 * reach)
            low = place - reach
            _tile(
                values,
                x,
                at_zero,
                slope,
                ray,
                ends[a, 0],
                ends[a, 1],
                row,
                column,
                n_rows,
                low,
                by_column,
                by_row,
                n_rays,
            )


@compiled
def _tile(
    values: Float32Array,
    x: Float32Array,
    at_zero: FloatArray,
    slope: FloatArray,
    ray: int,
    first_bin: int,
    last_bin: int,
    row: int,
    column: int,
    n_rows: int,
    low: float,
    by_column: float,
    by_row: float,
    n_rays: int,
) -> None:
    """Add to sixteen pixels of each row what ``n_rays`` rays leave there, in parts for which the rays fit a window.

    The rays are those above ``low`` for the first pixel; ``ray`` is the number of the view's first, and there is
    nothing to gather beyond the bins ``first_bin`` and ``last_bin``.
    """
    skipped = 0
    while skipped < n_rays:  # a range with a step would divide
        few = min(n_rays - skipped, MOST_RAYS)
        n_columns, room = _fitting(N_LANES, by_column, WINDOW - 1 - few)
        fitting_rows, _ = _fitting(n_rows, by_row, room)
        i = 0
        while i < n_rows:
            rows, place, first = min(fitting_rows, n_rows - i), low + skipped + i * by_row + 1.0, 0
            while first < N_LANES:
                last = min(first + n_columns, N_LANES) - 1
                least = place + min(first * by_column, last * by_column) + min((rows - 1) * by_row, 0.0)
                base = math.floor(least)
                if base <= last_bin and base + WINDOW > first_bin:
                    start = spread(np.float32(place - base)) + lane_numbers() * spread(np.float32(by_column))
                    lanes = lane_numbers() + spread(FAR) - keep(spread(FAR), first, last)
                    _gather(values, x, at_zero, slope, ray + base, row + i, column, rows, start, by_row, few, lanes)
                first += n_columns
            i += rows
        skipped += few


@compiled
def _fitting(n: int, change: float, room: float) -> tuple[int, float]:
    """Return how many of ``n`` pixels see rays within ``room`` of one another, and the room that they leave."""
    if (n - 1) * abs(change) > room:
        n = 1 + int(room / abs(change))
    return n, room - (n - 1) * abs(change)


@compiled
def _gather(
    values: Float32Array,
    x: Float32Array,
    at_zero: FloatArray,
    slope: FloatArray,
    ray: int,
    row: int,
    column: int,
    n_rows: int,
    first: Vector,
    by_row: float,
    n_rays: int,
    lanes: Vector,
) -> None:
    """Add to sixteen pixels of each row the rays of a window whose places in it begin at ``first``, ``n_rays`` each.

    The window begins with the ray number ``ray``. A ray's weight is 1 less its distance from the pixel's number in
    ``lanes``, as in the interpolation, and zero for all that pass farther away.
    """
    i, k, length = float(row + 1), float(column + 1), x.shape[1]
    low, high = lines(at_zero, slope, ray, i, k), lines(at_zero, slope, ray + N_LANES, i, k)
    low_change, high_change = load_rounded(slope, ray), load_rounded(slope, ray + N_LANES)
    low_value, high_value = load(values, ray), load(values, ray + N_LANES)
    change, cell = spread(np.float32(by_row)), row * length + column
    for _ in range(n_rows):
        place, total = truncated(first), load(x, cell)
        for _ in range(n_rays):
            total = total + hat(lookup(low, high, place) - lanes) * lookup(low_value, high_value, place)
            place = following(place)
        store(x, cell, total)
        low, high, first = low + low_change, high + high_change, first + change
        cell += length
