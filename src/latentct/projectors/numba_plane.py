"""Compiled kernels for plane scans on the CPU, slices innermost so that the interpolation is vectorised over them.

Images are (pixels, N) with the pixels of a zero-bordered grid flattened, projections (A, U, N), float32. A step along
the ray and a step across it are both strides into the flattened pixels, so one loop serves rays over rows and over
columns.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from latentct.projectors.numba_compile import kernel

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@kernel
def project_plane(
    x: Float32Array,
    y: Float32Array,
    width: int,
    over_rows: BoolArray,
    start: IntArray,
    stop: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
    step_mm: FloatArray,
) -> None:
    """Write the line integrals of ``x`` (pixels, N) to ``y`` (A, U, N), views in parallel.

    ``width`` is the length of a bordered row; the other arguments are those of `rays.RayTable`.
    """
    n_views, n_bins, n = y.shape
    for a in numba.prange(n_views):
        for u in range(n_bins):
            along, across = (width, 1) if over_rows[a, u] else (1, width)
            total = y[a, u]
            total[:] = 0.0
            for i in range(start[a, u], stop[a, u]):
                position = at_zero[a, u] + slope[a, u] * i
                k = int(position)
                right = np.float32(position - k)
                left = np.float32(1.0) - right
                near = x[i * along + k * across]
                far = x[i * along + (k + 1) * across]
                for b in range(n):
                    total[b] += left * near[b] + right * far[b]
            length = np.float32(step_mm[a, u])
            for b in range(n):
                total[b] *= length


@kernel
def project_plane_transposed(
    y: Float32Array,
    x: Float32Array,
    width: int,
    n_blocks: int,
    over_rows: BoolArray,
    start: IntArray,
    stop: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
    step_mm: FloatArray,
) -> None:
    """Add the transpose of `project_plane` applied to ``y`` (A, U, N) to ``x`` (pixels, N).

    For the rays that step over rows, then for the others, the image is cut into ``n_blocks`` bands of rows or columns
    that belong to one thread each, so that no two write the same pixel and the order of summation does not depend on
    their number.
    """
    n_views, n_bins, n = y.shape
    height = x.shape[0] // width
    for rows in (True, False):
        along, across = (width, 1) if rows else (1, width)
        block = ((height if rows else width) + n_blocks - 1) // n_blocks
        for part in numba.prange(n_blocks):
            for a in range(n_views):
                for u in range(n_bins):
                    if over_rows[a, u] != rows:
                        continue
                    length = step_mm[a, u]
                    value = y[a, u]
                    for i in range(max(start[a, u], part * block), min(stop[a, u], (part + 1) * block)):
                        position = at_zero[a, u] + slope[a, u] * i
                        k = int(position)
                        right = np.float32((position - k) * length)
                        left = np.float32(length) - right
                        near = x[i * along + k * across]
                        far = x[i * along + (k + 1) * across]
                        for b in range(n):
                            near[b] += left * value[b]
                            far[b] += right * value[b]


@kernel
def backproject_plane(
    q: Float32Array,
    x: Float32Array,
    y_mm: FloatArray,
    x_mm: FloatArray,
    cosines: FloatArray,
    sines: FloatArray,
    first_mm: float,
    bin_mm: float,
    kind: int,
    sod_mm: float,
    sdd_mm: float,
    weighted: bool,
) -> None:
    """Write the pixel-driven back-projection of ``q`` (A, U + 2, N), zero at both ends, to ``x`` (H, W, N).

    ``kind`` is 0 for parallel rays, 1 for a flat and 2 for a curved fan detector. Image rows run in parallel.
    """
    height, width, n = x.shape
    n_views, n_bordered, _ = q.shape
    for row in numba.prange(height):
        x[row] = 0.0
        for a in range(n_views):
            for column in range(width):
                across = x_mm[column] * cosines[a] + y_mm[row] * sines[a]
                weight = 1.0
                if kind > 0:
                    depth = sod_mm + y_mm[row] * cosines[a] - x_mm[column] * sines[a]
                    if weighted:
                        squared = depth * depth + across * across if kind == 2 else depth * depth
                        weight = sod_mm * sod_mm / squared
                    across = sdd_mm * (math.atan2(across, depth) if kind == 2 else across / depth)
                position = (across - first_mm) / bin_mm + 1.0
                if position < 0.0 or position >= n_bordered - 1:
                    continue
                k = int(position)
                right = np.float32(weight * (position - k))
                left = np.float32(weight) - right
                total, near, far = x[row, column], q[a, k], q[a, k + 1]
                for b in range(n):
                    total[b] += left * near[b] + right * far[b]
