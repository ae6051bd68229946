"""Compiled kernels for cone beams on the CPU.

Volumes are (N, voxels) with the voxels of a zero-bordered grid flattened, projections (N, A, V, U), float32. Rays are
worked out from the vectors of the view as they are needed, because a table of all of them would be larger than the
data. Vectors are float64 in voxels of the bordered grid, in the order (z, y, x).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from latentct.projectors.numba_compile import inlined, kernel
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


@kernel
def project_cone(
    x: Float32Array,
    y: Float32Array,
    source: FloatArray,
    corner: FloatArray,
    v_step: FloatArray,
    u_step: FloatArray,
    shape: IntArray,
    strides: IntArray,
    spacing_mm: FloatArray,
) -> None:
    """Write the line integrals of ``x`` (N, voxels) to ``y`` (N, A, V, U), panel rows of all views in parallel."""
    n, n_views, n_rows, n_columns = y.shape
    for task in numba.prange(n_views * n_rows):
        a, v = task // n_rows, task % n_rows
        base = corner[a] + v * v_step[a] - source[a]
        for u in range(n_columns):
            dz, dy, dx = base[0] + u * u_step[a, 0], base[1] + u * u_step[a, 1], base[2] + u * u_step[a, 2]
            main = main_axis(dz, dy, dx)
            p, q, start, stop, zero_p, slope_p, zero_q, slope_q, step_mm = line(
                source[a], dz, dy, dx, main, shape, spacing_mm
            )
            s_main, s_p, s_q = strides[main], strides[p], strides[q]
            for b in range(n):
                total = np.float32(0.0)
                for i in range(start, stop):
                    at_p, at_q = zero_p + slope_p * i, zero_q + slope_q * i
                    k_p, k_q = int(at_p), int(at_q)
                    f_p, f_q = np.float32(at_p - k_p), np.float32(at_q - k_q)
                    o = i * s_main + k_p * s_p + k_q * s_q
                    near = x[b, o] + f_q * (x[b, o + s_q] - x[b, o])
                    far = x[b, o + s_p] + f_q * (x[b, o + s_p + s_q] - x[b, o + s_p])
                    total += near + f_p * (far - near)
                y[b, a, v, u] = total * np.float32(step_mm)


@kernel
def project_cone_transposed(
    y: Float32Array,
    x: Float32Array,
    n_blocks: int,
    source: FloatArray,
    corner: FloatArray,
    v_step: FloatArray,
    u_step: FloatArray,
    shape: IntArray,
    strides: IntArray,
    spacing_mm: FloatArray,
) -> None:
    """Add the transpose of `project_cone` applied to ``y`` (N, A, V, U) to ``x`` (N, voxels).

    The rays that step along z, y and x are taken one axis after the other; for each the threads own slabs across that
    axis, so that no two write the same voxel and the order of summation does not depend on their number.
    """
    n, n_views, n_rows, n_columns = y.shape
    for axis in range(3):
        block = (shape[axis] + n_blocks - 1) // n_blocks
        for part in numba.prange(n_blocks):
            lowest, highest = 1 + part * block, 1 + (part + 1) * block
            for a in range(n_views):
                for v in range(n_rows):
                    base_z = corner[a, 0] + v * v_step[a, 0] - source[a, 0]
                    base_y = corner[a, 1] + v * v_step[a, 1] - source[a, 1]
                    base_x = corner[a, 2] + v * v_step[a, 2] - source[a, 2]
                    for u in range(n_columns):
                        dz, dy, dx = base_z + u * u_step[a, 0], base_y + u * u_step[a, 1], base_x + u * u_step[a, 2]
                        if main_axis(dz, dy, dx) != axis:
                            continue
                        p, q, start, stop, zero_p, slope_p, zero_q, slope_q, step_mm = line(
                            source[a], dz, dy, dx, axis, shape, spacing_mm
                        )
                        s_main, s_p, s_q = strides[axis], strides[p], strides[q]
                        for b in range(n):
                            value = y[b, a, v, u] * np.float32(step_mm)
                            for i in range(max(start, lowest), min(stop, highest)):
                                at_p, at_q = zero_p + slope_p * i, zero_q + slope_q * i
                                k_p, k_q = int(at_p), int(at_q)
                                f_p, f_q = np.float32(at_p - k_p), np.float32(at_q - k_q)
                                o = i * s_main + k_p * s_p + k_q * s_q
                                far, near = value * f_p, value * (np.float32(1.0) - f_p)
                                x[b, o] += near * (np.float32(1.0) - f_q)
                                x[b, o + s_q] += near * f_q
                                x[b, o + s_p] += far * (np.float32(1.0) - f_q)
                                x[b, o + s_p + s_q] += far * f_q
