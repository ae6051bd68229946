"""Compiled kernel for the pixel-driven back-projection of plane scans, several slices innermost."""

from __future__ import annotations

import math

import numba
import numpy as np

from latentct.projectors.numba_compile import kernel
from latentct.projectors.numba_plane import Float32Array, FloatArray


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
