"""Compiled kernels for cone beams whose panels stand upright, the voxels of a column along z side by side.

Where the rows of a panel are parallel to the slices and its columns to z, the rays to one panel column leave one trace
in the (x, y) plane, and at each step along it their heights grow evenly with the panel row. So a step interpolates
between two columns of voxels first, and then at sixteen heights of the result, which a window holds
(`numba_window.lookup`). The arguments that both kernels take are those of `upright_table.UprightTable`.
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
    as_vector,
    following,
    hat,
    lane_numbers,
    load,
    lookup,
    spread,
    store,
    truncated,
    within,
)

ROUNDING = 0.001
"""Panel rows by which windows reach farther than they must, because float32 rounds."""
BAND_STEPS = 8
"""Steps of a part of the volume that stays in the cache while the transpose adds to it."""
BAND_SLICES = 4 * N_LANES
"""Slices of such a part."""


@kernel
def project_upright(
    x: Float32Array,
    y: Float32Array,
    n_slices: int,
    strides: IntArray,
    steps: IntArray,
    traces: FloatArray,
    heights: FloatArray,
) -> None:
    """Write the sums over the steps of all rays to ``y`` (A, U, V'), the columns of all panels in parallel.

    ``x`` (H + 2, W + 2, Z) holds the ``n_slices`` of a bordered grid without those of its border; behind them are at
    least `WINDOW` zeros, on which windows lie that reach below or above the volume.
    """
    n_views, n_columns, n_rows = y.shape
    for column in numba.prange(n_views * n_columns):
        a, u = column // n_columns, column % n_columns
        start, stop = steps[a, u, 1], steps[a, u, 2]
        places = np.empty((stop - start, 2))
        cells = np.empty(stop - start, np.int64)
        _follow(strides, steps, traces, a, u, start, stop, cells, places)
        across = strides[steps[a, u, 0], 1]
        for row in range(0, n_rows, N_LANES):
            rise = heights[a, 1] + row * heights[a, 2]
            total = _chunk(x, n_slices, across, cells, places, heights[a, 0], rise, heights[a, 2])
            store(y, column * n_rows + row, total)


@compiled
def _follow(
    strides: IntArray,
    steps: IntArray,
    traces: FloatArray,
    a: int,
    u: int,
    start: int,
    stop: int,
    cells: IntArray,
    places: FloatArray,
) -> None:
    """Write, for each step of a trace, its column of voxels, how far it is behind it, and how far from the source."""
    along, across = strides[steps[a, u, 0], 0], strides[steps[a, u, 0], 1]
    at_zero, slope, far_zero, far_slope = traces[a, u, 0], traces[a, u, 1], traces[a, u, 2], traces[a, u, 3]
    for step in range(start, stop):
        position = at_zero + slope * step
        k = int(position)
        cells[step - start] = step * along + k * across
        places[step - start, 0] = position - k
        places[step - start, 1] = far_zero + far_slope * step


@compiled
def _chunk(
    x: Float32Array,
    n_slices: int,
    across: int,
    cells: IntArray,
    places: FloatArray,
    height: float,
    rise: float,
    rise_step: float,
) -> Vector:
    """Return the sums of sixteen rays of a panel column, the first of which rises by ``rise`` to the panel."""
    lowest_rise = rise + min((N_LANES - 1) * rise_step, 0.0)
    total = spread(np.float32(0.0))
    for i in range(len(cells)):
        depth = places[i, 1]
        base = math.floor(height + depth * lowest_rise)
        if base < -WINDOW or base >= n_slices:
            continue
        cell, far = cells[i] + base, spread(np.float32(places[i, 0]))
        low, high = load(x, cell), load(x, cell + N_LANES)
        low = low + far * (load(x, cell + across) - low)
        high = high + far * (load(x, cell + across + N_LANES) - high)
        first, apart = np.float32(height - base + depth * rise), np.float32(depth * rise_step)
        at = spread(first) + lane_numbers() * spread(apart)
        place = truncated(at)
        near = lookup(low, high, place)
        total = total + near + (at - as_vector(place)) * (lookup(low, high, following(place)) - near)
    return total


@kernel
def project_upright_transposed(
    y: Float32Array,
    x: Float32Array,
    strides: IntArray,
    steps: IntArray,
    traces: FloatArray,
    heights: FloatArray,
) -> None:
    """Add the transpose of `project_upright` to ``x`` (H + 2, W + 2, Z'), whose slices are a multiple of sixteen.

    ``y`` (A, U, V') has `MARGIN` zeros before and behind the rows of the panel. The rays that step along y are taken
    first, then those along x. Bands of steps and slices run in parallel, each with the rays in order, so that no two
    write the same voxel and the sums do not depend on the number of threads.
    """
    n_layers = (x.shape[2] + BAND_SLICES - 1) // BAND_SLICES
    for axis in range(2):
        n_bands = (x.shape[axis] + BAND_STEPS - 1) // BAND_STEPS
        for task in numba.prange(n_bands * n_layers):
            band, layer = task // n_layers, task % n_layers
            _band(y, x, strides, steps, traces, heights, axis, band * BAND_STEPS, layer * BAND_SLICES)


@compiled
def _band(
    y: Float32Array,
    x: Float32Array,
    strides: IntArray,
    steps: IntArray,
    traces: FloatArray,
    heights: FloatArray,
    axis: int,
    begin: int,
    bottom: int,
) -> None:
    """Add to a part of the volume what the rays along one axis leave there."""
    n_views, n_columns, n_rows = y.shape
    across = strides[axis, 1]
    cells, places = np.empty(BAND_STEPS, np.int64), np.empty((BAND_STEPS, 2))
    rows, weights = np.empty((BAND_STEPS, 2)), np.empty((BAND_STEPS, 4), np.float32)
    for a in range(n_views):
        rise, rise_step = heights[a, 1], heights[a, 2]
        for u in range(n_columns):
            start, stop = max(steps[a, u, 1], begin), min(steps[a, u, 2], begin + BAND_STEPS)
            if steps[a, u, 0] != axis or start >= stop:
                continue
            _follow(strides, steps, traces, a, u, start, stop, cells, places)
            n_rays, n_windows = _spread_rows(places, stop - start, rise_step, rows, weights)
            ray = (a * n_columns + u) * n_rows + MARGIN
            for first in range(bottom, min(bottom + BAND_SLICES, x.shape[2]), N_LANES):
                above, rows_up = first - heights[a, 0], rise / rise_step
                _raise(y, x, across, cells, stop - start, rows, weights, above, rows_up, n_rays, n_windows, ray, first)


@compiled
def _spread_rows(
    places: FloatArray, n_steps: int, rise_step: float, rows: FloatArray, weights: Float32Array
) -> tuple[int, int]:
    """Write how panel rows and slices lie to each other at the steps of a trace.

    For each step, ``rows`` gets the panel rows from slice to slice, and how far below the row at the first of sixteen
    slices the lowest ray lies that passes one of them; ``weights`` gets how far the trace is behind its column of
    voxels, the slices from panel row to panel row, the panel rows from slice to slice, and one less than how many rows
    below a slice the lowest ray lies that passes it.

    Returns:
        How many rays pass a slice, and how many windows those of sixteen slices take.
    """
    n_rays, widest = 0, 0
    for i in range(n_steps):
        apart = places[i, 1] * rise_step
        by_slice = 1.0 / apart
        reach = abs(by_slice) + ROUNDING
        rows[i, 0], rows[i, 1] = by_slice, reach - min((N_LANES - 1) * by_slice, 0.0)
        weights[i, 0], weights[i, 1], weights[i, 2], weights[i, 3] = places[i, 0], apart, by_slice, reach - 1.0
        n_rays = max(n_rays, math.ceil(2 * reach))
        widest = max(widest, math.ceil((N_LANES - 1) * abs(by_slice)))
    return n_rays, (widest + n_rays) // WINDOW + 1


@compiled
def _raise(
    y: Float32Array,
    x: Float32Array,
    across: int,
    cells: IntArray,
    n_steps: int,
    rows: FloatArray,
    weights: Float32Array,
    above: float,
    rise: float,
    n_rays: int,
    n_windows: int,
    ray: int,
    bottom: int,
) -> None:
    """Add what the rays of one panel column leave in the sixteen slices from ``bottom`` on.

    The column begins with the ray number ``ray``; where the step is ``r`` panel rows from slice to slice, the slice
    ``bottom`` lies ``above * r - rise`` panel rows above the first. `_follow` and `_spread_rows` wrote the rest.
    """
    n_rows = y.shape[2] - 2 * MARGIN
    for i in range(n_steps):
        row = above * rows[i, 0] - rise
        base = math.floor(row - rows[i, 1]) + 1
        far, apart, by_slice = spread(weights[i, 0]), spread(weights[i, 1]), spread(weights[i, 2])
        total = spread(np.float32(0.0))
        for _ in range(n_windows):  # one, unless the rows are close together
            if -WINDOW < base < n_rows:
                low, high = load(y, ray + base), load(y, ray + base + N_LANES)
                first = np.float32(row - base)
                place = truncated(lane_numbers() * by_slice + spread(first - weights[i, 3]))
                distance = as_vector(place) * apart - (lane_numbers() + spread(first * weights[i, 1]))
                for _ in range(n_rays):
                    value = lookup(low, high, place)
                    if n_windows > 1:
                        value = within(value, place, WINDOW)
                    total = total + hat(distance) * value
                    place, distance = following(place), distance + apart
            base += WINDOW
        cell, part = cells[i] + bottom, far * total
        store(x, cell, load(x, cell) + (total - part))
        store(x, cell + across, load(x, cell + across) + part)
