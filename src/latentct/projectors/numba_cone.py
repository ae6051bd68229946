"""Compiled kernels for cone beams on the CPU.

Volumes are (voxels, N) with the voxels of a zero-bordered grid flattened, projections (A, V, U, N), float32; ``lanes``
is a tuple of length N, one of `numba_lanes.LANES`. Rays are worked out from the vectors of the view as they are
needed, because a table of all of them would be larger than the data. Vectors are float64 in voxels of the bordered
grid, in the order (z, y, x).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from latentct.projectors.numba_compile import inlined, kernel
from latentct.projectors.numba_lanes import gather, scatter
from latentct.projectors.numba_plane import Float32Array, FloatArray, IntArray
from latentct.projectors.rays import EDGE, TIE


@inlined
def main_axis(z: float, y: float, x: float) -> int:
    """Return the axis a ray of this direction steps along, the earlier one when they tie."""
    if abs(z) >= abs(y) * (1.0 - TIE) and abs(z) >= abs(x) * (1.0 - TIE) ** 2:
        return 0
    return 1 if abs(y) >= abs(x) * (1.0 - TIE) else 2


@inlined
def narrow(first: float, last: float, at_zero: float, slope: float, size: int) -> tuple[float, float]:
    """Return the part of the steps [first, last] at which ``at_zero + slope * step`` lies within [0, size + 1)."""
    low, high = EDGE - at_zero, size + 1 - EDGE - at_zero
    if abs(slope) * (last + 1) < EDGE:
        return (first, last) if low <= 0.0 <= high else (first, first - 1.0)
    a, b = low / slope, high / slope
    return max(first, min(a, b)), min(last, max(a, b))


@inlined
def line(
    source: FloatArray, dz: float, dy: float, dx: float, main: int, shape: IntArray, spacing_mm: FloatArray
) -> tuple[int, int, int, int, float, float, float, float, float]:
    """Return how a ray crosses the grid.

    Returns:
        The two axes across, the first step, one past the last step, then for both axes the position at step 0 and its
        change per step, then the length of a step in mm.
    """
    direction = (dz, dy, dx)
    p = 0 if main > 0 else 1
    q = 2 if main < 2 else 1
    slope_p, slope_q = direction[p] / direction[main], direction[q] / direction[main]
    zero_p = source[p] - slope_p * source[main]
    zero_q = source[q] - slope_q * source[main]
    first, last = narrow(1.0, float(shape[main]), zero_p, slope_p, shape[p])
    first, last = narrow(first, last, zero_q, slope_q, shape[q])
    square = (dz * spacing_mm[0]) ** 2 + (dy * spacing_mm[1]) ** 2 + (dx * spacing_mm[2]) ** 2
    step_mm = math.sqrt(square) / abs(direction[main])
    start = math.ceil(first)
    return p, q, start, max(start, math.floor(last) + 1), zero_p, slope_p, zero_q, slope_q, step_mm


@inlined
def weights(
    step: int, s_p: int, s_q: int, zero_p: float, slope_p: float, zero_q: float, slope_q: float, length: np.float32
) -> tuple[int, np.float32, np.float32, np.float32, np.float32]:
    """Return where a ray is between the voxels it passes at a step.

    Returns:
        The place of the first of four neighbours within the slice of the step, and the weights in mm of the
        neighbours in the order of `numba_lanes.gather`.
    """
    at_p, at_q = zero_p + slope_p * step, zero_q + slope_q * step
    k_p, k_q = int(at_p), int(at_q)
    far = np.float32(at_p - k_p) * length
    near = length - far
    f_q = np.float32(at_q - k_q)
    near_q, far_q = near * f_q, far * f_q
    return k_p * s_p + k_q * s_q, near - near_q, near_q, far - far_q, far_q


@kernel
def project_cone(
    x: Float32Array,
    y: Float32Array,
    lanes: tuple[int, ...],
    source: FloatArray,
    corner: FloatArray,
    v_step: FloatArray,
    u_step: FloatArray,
    shape: IntArray,
    strides: IntArray,
    spacing_mm: FloatArray,
) -> None:
    """Write the line integrals of ``x`` (voxels, N) to ``y`` (A, V, U, N), panel rows of all views in parallel."""
    n_views, n_rows, n_columns, n = y.shape
    for row in numba.prange(n_views * n_rows):
        a, v = row // n_rows, row % n_rows
        base = corner[a] + v * v_step[a] - source[a]
        for u in range(n_columns):
            dz, dy, dx = base[0] + u * u_step[a, 0], base[1] + u * u_step[a, 1], base[2] + u * u_step[a, 2]
            main = main_axis(dz, dy, dx)
            p, q, start, stop, zero_p, slope_p, zero_q, slope_q, step_mm = line(
                source[a], dz, dy, dx, main, shape, spacing_mm
            )
            s_main, s_p, s_q, length = strides[main], strides[p], strides[q], np.float32(step_mm)
            for b in range(n):
                y[a, v, u, b] = 0.0
            for i in range(start, stop):
                place, near, near_q, far, far_q = weights(i, s_p, s_q, zero_p, slope_p, zero_q, slope_q, length)
                o = i * s_main + place
                gather(y, row * n_columns + u, x, o, s_p, s_q, near, near_q, far, far_q, lanes)


@kernel
def project_cone_transposed(
    y: Float32Array,
    x: Float32Array,
    lanes: tuple[int, ...],
    n_blocks: int,
    source: FloatArray,
    corner: FloatArray,
    v_step: FloatArray,
    u_step: FloatArray,
    shape: IntArray,
    strides: IntArray,
    spacing_mm: FloatArray,
) -> None:
    """Add the transpose of `project_cone` applied to ``y`` (A, V, U, N) to ``x`` (voxels, N).

    View by view, the rays are worked out once; then those that step along z, y and x are taken one axis after the
    other. For each the threads own slabs across that axis, so that no two write the same voxel and the order of
    summation does not depend on their number.
    """
    n_views, n_rows, n_columns, _ = y.shape
    main = np.empty((n_rows, n_columns), np.int64)
    steps = np.empty((n_rows, n_columns, 2), np.int64)
    rays = np.empty((n_rows, n_columns, 5))
    for a in range(n_views):
        for v in numba.prange(n_rows):
            base = corner[a] + v * v_step[a] - source[a]
            for u in range(n_columns):
                dz, dy, dx = base[0] + u * u_step[a, 0], base[1] + u * u_step[a, 1], base[2] + u * u_step[a, 2]
                main[v, u] = main_axis(dz, dy, dx)
                _, _, start, stop, zero_p, slope_p, zero_q, slope_q, step_mm = line(
                    source[a], dz, dy, dx, main[v, u], shape, spacing_mm
                )
                steps[v, u, 0], steps[v, u, 1] = start, stop
                rays[v, u, 0], rays[v, u, 1], rays[v, u, 2], rays[v, u, 3] = zero_p, slope_p, zero_q, slope_q
                rays[v, u, 4] = step_mm
        for axis in range(3):
            if not np.any(main == axis):
                continue
            block = (shape[axis] + n_blocks - 1) // n_blocks
            p, q = 0 if axis > 0 else 1, 2 if axis < 2 else 1
            s_main, s_p, s_q = strides[axis], strides[p], strides[q]
            for part in numba.prange(n_blocks):
                lowest, highest = 1 + part * block, 1 + (part + 1) * block
                for v in range(n_rows):
                    for u in range(n_columns):
                        start, stop = max(steps[v, u, 0], lowest), min(steps[v, u, 1], highest)
                        if start >= stop or main[v, u] != axis:
                            continue
                        zero_p, slope_p, zero_q, slope_q = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2], rays[v, u, 3]
                        length = np.float32(rays[v, u, 4])
                        ray = (a * n_rows + v) * n_columns + u
                        for i in range(start, stop):
                            place, near, near_q, far, far_q = weights(
                                i, s_p, s_q, zero_p, slope_p, zero_q, slope_q, length
                            )
                            scatter(y, ray, x, i * s_main + place, s_p, s_q, near, near_q, far, far_q, lanes)
