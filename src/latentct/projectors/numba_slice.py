"""Compiled kernels for a single slice, sixteen neighbouring rays or pixels at a time.

The steps of a ray are rows or columns of the image, the two kinds that `slice_table.SliceTable` tells apart; the
kernels get the image and its transpose, so that rays of either kind interpolate between neighbours in memory. At each
step the places of sixteen rays fall into a window that is loaded whole (`numba_window.lookup`), and so do, in the
transpose, the rays that pass sixteen pixels. Whether they do is checked when the table is made.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from latentct.projectors.numba_compile import kernel
from latentct.projectors.numba_window import (
    N_LANES,
    WINDOW,
    Vector,
    as_vector,
    following,
    hat,
    helper,
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

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MARGIN = WINDOW
"""Zeros before a row of the image, for windows that lie beside it; those of the next row serve behind it."""
MAX_STEPS = 32
"""Steps for which float32 holds a position relative to the window to some 1e-6 pixel."""
TILE_STEPS = 16
"""Rows of pixels of a tile of the transpose, in which the rays at a pixel are nearly affine in row and column."""
MOST_RAYS = 8
"""Rays at one pixel that are looked up in one window."""
FAR = np.float32(1e6)
"""Pixels that no ray comes near."""


@kernel
def project_slice(
    by_rows: Float32Array,
    by_columns: Float32Array,
    y: Float32Array,
    row_weight: Float32Array,
    column_weight: Float32Array,
    start: IntArray,
    stop: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
) -> None:
    """Write the line integrals of one slice to ``y`` (A, U + 2 MARGIN), views in parallel.

    Step ``i`` and position ``k`` of the bordered grid are the cell ``(i, MARGIN + k)`` of ``by_rows``, and of
    ``by_columns`` for rays that step over columns; the rest is zero. The other arguments are those of `SliceTable`.
    """
    n_views, n_bins = y.shape
    for a in numba.prange(n_views):
        for u in range(MARGIN, n_bins - MARGIN, N_LANES):
            ray = a * n_bins + u
            along_rows = _chunk(by_rows, row_weight, start, stop, at_zero, slope, ray)
            store(y, ray, _chunk(by_columns, column_weight, start, stop, at_zero, slope, ray) + along_rows)


@helper
def _chunk(
    image: Float32Array,
    weight: Float32Array,
    start: IntArray,
    stop: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
    ray: int,
) -> Vector:
    """Return the line integrals of the rays of one kind among sixteen from number ``ray`` on, else zero."""
    first, last, step, end = _extent(weight, start, stop, ray)
    total = spread(np.float32(0.0))
    while first <= last:
        part = last
        while part > first and _widest(at_zero, slope, first, part, step, end) > WINDOW - 3:
            part = (first + part) // 2
        total = total + keep(_part(image, at_zero, slope, ray, first, part, step, end), first - ray, part - ray)
        first = part + 1
    return load(weight, ray) * total


@helper
def _extent(weight: Float32Array, start: IntArray, stop: IntArray, ray: int) -> tuple[int, int, int, int]:
    """Return first and last ray with a weight among sixteen, their first step and one past their last."""
    first, last, step, end = ray + N_LANES, ray, 1 << 60, 0
    for r in range(ray, ray + N_LANES):
        if weight.flat[r] > 0.0:
            first, last = min(first, r), r
            step, end = min(step, int(start.flat[r])), max(end, int(stop.flat[r]))
    return first, last, step, end


@helper
def _widest(at_zero: FloatArray, slope: FloatArray, first: int, last: int, step: int, end: int) -> float:
    """Return the largest distance of two rays at the steps from ``step`` to ``end``."""
    apart, diverging = at_zero.flat[last] - at_zero.flat[first], slope.flat[last] - slope.flat[first]
    return max(abs(apart + diverging * step), abs(apart + diverging * (end - 1)))


@helper
def _part(
    image: Float32Array, at_zero: FloatArray, slope: FloatArray, ray: int, first: int, last: int, step: int, end: int
) -> Vector:
    """Return the sums over the steps of the rays ``first`` to ``last``, which fit a window; other lanes are void."""
    zero_a, zero_b, slope_a, slope_b = at_zero.flat[first], at_zero.flat[last], slope.flat[first], slope.flat[last]
    room, steepest = WINDOW - 2 - _widest(at_zero, slope, first, last, step, end), max(abs(slope_a), abs(slope_b))
    n_steps = MAX_STEPS if steepest * MAX_STEPS < room else 1 + int(room / steepest)
    length, change, total = image.shape[1], load_rounded(slope, ray), spread(np.float32(0.0))
    while step < end:
        until = min(step + n_steps, end)
        lowest = min(
            min(zero_a + slope_a * step, zero_b + slope_b * step),
            min(zero_a + slope_a * (until - 1), zero_b + slope_b * (until - 1)),
        )
        base = min(max(math.floor(lowest) + MARGIN, 0), length)
        position = lines(at_zero, slope, ray, float(step), float(base - MARGIN))
        cell = step * length + base
        for _ in range(step, until):
            low, high, place = load(image, cell), load(image, cell + N_LANES), truncated(position)
            near, far = lookup(low, high, place), lookup(low, high, following(place))
            total = total + near + (position - as_vector(place)) * (far - near)
            position = position + change
            cell += length
        step = until
    return total


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
    """Add the transpose of `project_slice` to the images ``by_rows`` (H, ...) and ``by_columns`` (W, ...).

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


@helper
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


@helper
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


@helper
def _fitting(n: int, change: float, room: float) -> tuple[int, float]:
    """Return how many of ``n`` pixels see rays within ``room`` of one another, and the room that they leave."""
    if (n - 1) * abs(change) > room:
        n = 1 + int(room / abs(change))
    return n, room - (n - 1) * abs(change)


@helper
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
