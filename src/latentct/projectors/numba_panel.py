"""Compiled kernel that back-projects the panels of a circular cone beam, several volumes at once."""

from __future__ import annotations

import numba
import numpy as np

from latentct.projectors.numba_compile import kernel
from latentct.projectors.numba_plane import Float32Array, FloatArray


@kernel
def backproject_panel(
    q: Float32Array,
    x: Float32Array,
    z_mm: FloatArray,
    y_mm: FloatArray,
    x_mm: FloatArray,
    cosines: FloatArray,
    sines: FloatArray,
    first_mm: FloatArray,
    pixel_mm: FloatArray,
    sod_mm: float,
    sdd_mm: float,
) -> None:
    """Write the voxel-driven back-projection of ``q`` (A, V + 2, U + 2, N), zero at its border, to ``x`` (D, H, W, N).

    ``first_mm`` and ``pixel_mm`` are the centre of the first pixel and the pixel's size as (v, u). Slices of the
    volume run in parallel.
    """
    depth, height, width, n = x.shape
    n_views, n_bordered_v, n_bordered_u, _ = q.shape
    for k in numba.prange(depth):
        x[k] = 0.0
        for a in range(n_views):
            for j in range(height):
                for i in range(width):
                    scale = 1.0 / (sod_mm + y_mm[j] * cosines[a] - x_mm[i] * sines[a])
                    u_mm = (x_mm[i] * cosines[a] + y_mm[j] * sines[a]) * sdd_mm * scale
                    at_u = (u_mm - first_mm[1]) / pixel_mm[1] + 1.0
                    at_v = (z_mm[k] * sdd_mm * scale - first_mm[0]) / pixel_mm[0] + 1.0
                    if at_u < 0.0 or at_u >= n_bordered_u - 1 or at_v < 0.0 or at_v >= n_bordered_v - 1:
                        continue
                    v, u = int(at_v), int(at_u)
                    f_v, f_u = np.float32(at_v - v), np.float32(at_u - u)
                    weight = np.float32((sod_mm * scale) ** 2)
                    total, low_near, low_far = x[k, j, i], q[a, v, u], q[a, v, u + 1]
                    high_near, high_far = q[a, v + 1, u], q[a, v + 1, u + 1]
                    for b in range(n):
                        low = low_near[b] + f_u * (low_far[b] - low_near[b])
                        high = high_near[b] + f_u * (high_far[b] - high_near[b])
                        total[b] += weight * (low + f_v * (high - low))
