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

from latentct.projectors.numba_compile import kernel
from latentct.projectors.numba_slice import MARGIN, Float32Array, FloatArray, IntArray
from latentct.projectors.numba_window import (
    N_LANES,
    WINDOW,
    Vector,
    as_vector,
    floored,
    following,
    hat,
    helper,
    lane_numbers,
    load,
    lookup,
    spread,
    store,
    truncated,
    within,
)

ROUNDING = 0.001
"""Slices and panel rows by which windows reach farther than they must, because float32 rounds."""
BAND_STEPS = 32
"""Steps of a part of the volume that stays in the cache while the transpose adds to it."""


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
    """Write the sums over the steps of all rays to ``y`` (A, U, V'), sixteen rows of all views in parallel.

    ``x`` (H + 2, W + 2, Z) holds the ``n_slices`` of a bordered grid without those of its border; behind them are at
    least `WINDOW` zeros, on which windows lie that reach below or above the volume.
    """
    n_views, n_columns, n_rows = y.shape
    n_chunks = n_rows // N_LANES
    for task in numba.prange(n_views * n_chunks):
        a, chunk = task // n_chunks, task % n_chunks
        for u in range(n_columns):
            ray = (a * n_columns + u) * n_rows + chunk * N_LANES
            store(y, ray, _chunk(x, n_slices, strides, steps, traces, heights, a, u, chunk * N_LANES))


@helper
def _chunk(
    x: Float32Array,
    n_slices: int,
    strides: IntArray,
    steps: IntArray,
    traces: FloatArray,
    heights: FloatArray,
    a: int,
    u: int,
    row: int,
) -> Vector:
    """Return the sums of sixteen rays of one panel column from panel row ``row`` on."""
    along, across = strides[steps[a, u, 0], 0], strides[steps[a, u, 0], 1]
    at_zero, slope, far_zero, far_slope = traces[a, u, 0], traces[a, u, 1], traces[a, u, 2], traces[a, u, 3]
    height, rise, rise_step = heights[a, 0], heights[a, 1] + row * heights[a, 2], heights[a, 2]
    total = spread(np.float32(0.0))
    for step in range(steps[a, u, 1], steps[a, u, 2]):
        position, depth = at_zero + slope * step, far_zero + far_slope * step
        first, apart = height + depth * rise, depth * rise_step
        k, lowest = int(position), min(first, first + (N_LANES - 1) * apart)
        far, column = spread(np.float32(position - k)), step * along + k * across
        base, end = max(math.floor(lowest - ROUNDING), 1 - WINDOW), min(lowest + (N_LANES - 1) * abs(apart), n_slices)
        at = spread(np.float32(first - base)) + lane_numbers() * spread(np.float32(apart))
        while base <= end:  # one window, unless the rows are far apart
            cell = column + base
            low, high = load(x, cell), load(x, cell + N_LANES)
            low = low + far * (load(x, cell + across) - low)
            high = high + far * (load(x, cell + across + N_LANES) - high)
            place = floored(at)
            near = lookup(low, high, place)
            value = near + (at - as_vector(place)) * (lookup(low, high, following(place)) - near)
            total = total + within(value, place, WINDOW - 1)
            at = at - spread(np.float32(WINDOW - 1))
            base += WINDOW - 1
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
    first, then those along x. Sixteen slices of a band of steps run in parallel, each with the rays in order, so that
    no two write the same voxel and the sums do not depend on the number of threads.
    """
    n_segments = x.shape[2] // N_LANES
    for axis in range(2):
        n_bands = (x.shape[axis] + BAND_STEPS - 1) // BAND_STEPS
        for task in numba.prange(n_bands * n_segments):
            _band(y, x, strides, steps, traces, heights, axis, task // n_segments * BAND_STEPS, task % n_segments)


@helper
def _band(
    y: Float32Array,
    x: Float32Array,
    strides: IntArray,
    steps: IntArray,
    traces: FloatArray,
    heights: FloatArray,
    axis: int,
    begin: int,
    segment: int,
) -> None:
    """Add to sixteen slices, in `BAND_STEPS` steps from ``begin`` on, what the rays along one axis leave there."""
    n_views, n_columns, n_rows = y.shape
    for a in range(n_views):
        for u in range(n_columns):
            start, stop = max(steps[a, u, 1], begin), min(steps[a, u, 2], begin + BAND_STEPS)
            if steps[a, u, 0] == axis and start < stop:
                ray = (a * n_columns + u) * n_rows + MARGIN
                _trace(y, x, strides, traces, heights, axis, a, u, start, stop, ray, segment * N_LANES)


@helper
def _trace(
    y: Float32Array,
    x: Float32Array,
    strides: IntArray,
    traces: FloatArray,
    heights: FloatArray,
    axis: int,
    a: int,
    u: int,
    start: int,
    stop: int,
    ray: int,
    bottom: int,
) -> None:
    """Add what the rays of one panel column leave in the sixteen slices from ``bottom`` on."""
    along, across = strides[axis, 0], strides[axis, 1]
    at_zero, slope, far_zero, far_slope = traces[a, u, 0], traces[a, u, 1], traces[a, u, 2], traces[a, u, 3]
    height, rise, rise_step = heights[a, 0], heights[a, 1], heights[a, 2]
    n_rows = y.shape[2] - 2 * MARGIN
    for step in range(start, stop):
        position, depth = at_zero + slope * step, far_zero + far_slope * step
        apart = depth * rise_step
        by_slice = 1.0 / apart
        row = (bottom - height - depth * rise) * by_slice
        reach = abs(by_slice) + ROUNDING
        lowest = min(row, row + (N_LANES - 1) * by_slice) - reach
        base = max(math.floor(lowest) + 1, 1 - WINDOW)
        end = min(lowest + (N_LANES - 1) * abs(by_slice) + 2 * reach, n_rows)
        n_rays, total = min(math.ceil(2 * reach), n_rows), spread(np.float32(0.0))
        while base <= end:  # one window, unless the rows are close together
            low, high = load(y, ray + base), load(y, ray + base + N_LANES)
            at = spread(np.float32(row - base)) + lane_numbers() * spread(np.float32(by_slice))
            place = truncated(at - spread(np.float32(reach - 1.0)))
            distance, change = (as_vector(place) - at) * spread(np.float32(apart)), spread(np.float32(apart))
            for _ in range(n_rays):
                total = total + hat(distance) * within(lookup(low, high, place), place, WINDOW)
                place, distance = following(place), distance + change
            base += WINDOW
        k = int(position)
        cell = step * along + k * across + bottom
        part = spread(np.float32(position - k)) * total
        store(x, cell, load(x, cell) + (total - part))
        store(x, cell + across, load(x, cell + across) + part)
