"""Compiled kernel that back-projects the panels of a circular cone beam, sixteen voxels above each other at a time.

The voxels of a column along z lie on one column of the panel, at rows that are affine in z; a window of the panel
that covers those of sixteen voxels is loaded whole (`numba_window.lookup`). Panels are (A, U, pitch) with the rows
innermost, `MARGIN` zeros before them and at least as many behind, volumes (H, W, depth) with z innermost and at least
`N_LANES` unused voxels behind.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from latentct.projectors.numba_compile import compiled, inlined, kernel
from latentct.projectors.numba_plane import Float32Array
from latentct.projectors.numba_window import (
    N_LANES,
    WINDOW,
    as_vector,
    following,
    keep,
    lane_numbers,
    load,
    lookup,
    spread,
    store,
    truncated,
)

MARGIN = WINDOW
"""Zeros before the rows of a panel, for windows that begin before it."""
SLAB = 8
"""Rows of the volume that share a panel in the second cache."""


@inlined
def add_column(
    q: Any,
    near: int,
    far: int,
    right: float,
    n_rows: int,
    x: Any,
    voxel: int,
    size: int,
    row: float,
    change: float,
    weight: float,
) -> None:
    """Add ``weight`` times what ``size`` voxels find on two panel columns to a column of the volume.

    Args:
        q: Panels; ``near`` and ``far`` are the numbers of the first row of the two columns in it.
        near: See ``q``.
        far: See ``q``.
        right: Weight of the far column; that of the near one is one less it.
        n_rows: Rows of the panel.
        x: Volume; ``voxel`` is the number of the lowest voxel in it.
        voxel: See ``x``.
        size: Voxels of the column.
        row: Panel row of the lowest voxel.
        change: Rows from one voxel to the next.
        weight: Of all voxels.
    """
    n_each = max(1, min(N_LANES, int((WINDOW - 3) / change)))
    part, scale, rising = spread(np.float32(right)), spread(np.float32(weight)), spread(np.float32(change))
    for k in range(0, size, n_each):
        lowest = row + k * change
        base = math.floor(lowest)
        if base < -MARGIN or base >= n_rows:
            continue
        low, high = load(q, near + base), load(q, near + base + N_LANES)
        low = low + part * (load(q, far + base) - low)
        high = high + part * (load(q, far + base + N_LANES) - high)
        position = spread(np.float32(lowest - base)) + rising * lane_numbers()
        place = truncated(position)
        below, above = lookup(low, high, place), lookup(low, high, following(place))
        found = below + (position - as_vector(place)) * (above - below)
        store(x, voxel + k, load(x, voxel + k) + keep(scale * found, 0, n_each - 1))


@compiled
def backproject_slab(q: Float32Array, x: Float32Array, rows: Any, places: Any, panel: Any) -> None:
    """Do the work of `backproject_panel` for the rows [first, stop) of the volume."""
    z_mm, y_mm, x_mm, cosines, sines = places
    n_rows, first_v_mm, first_u_mm, pixel_v_mm, pixel_u_mm, sod_mm, sdd_mm = panel
    n_views, n_columns, pitch = q.shape
    spacing_mm = z_mm[1] - z_mm[0] if len(z_mm) > 1 else 1.0
    x[rows[0] : rows[1]] = 0.0
    for a in range(n_views):
        for j in range(rows[0], rows[1]):
            for i in range(len(x_mm)):
                scale = 1.0 / (sod_mm + y_mm[j] * cosines[a] - x_mm[i] * sines[a])
                across = (x_mm[i] * cosines[a] + y_mm[j] * sines[a]) * sdd_mm * scale
                u = (across - first_u_mm) / pixel_u_mm
                if u <= -1.0 or u >= n_columns:
                    continue
                near = math.floor(u)
                right, weight = u - near, (sod_mm * scale) ** 2
                if near < 0:  # between the edge and the first column
                    near, right, weight = 0, 0.0, weight * right
                elif near == n_columns - 1:
                    right, weight = 0.0, weight * (1.0 - right)
                far = min(near + 1, n_columns - 1)
                row = (z_mm[0] * sdd_mm * scale - first_v_mm) / pixel_v_mm
                change = spacing_mm * sdd_mm * scale / pixel_v_mm
                first = a * n_columns * pitch + MARGIN
                voxel = (j * len(x_mm) + i) * x.shape[2]
                add_column(
                    q,
                    first + near * pitch,
                    first + far * pitch,
                    right,
                    n_rows,
                    x,
                    voxel,
                    len(z_mm),
                    row,
                    change,
                    weight,
                )


@kernel
def backproject_panel(q: Float32Array, x: Float32Array, places: Any, panel: Any) -> None:
    """Write the voxel-driven back-projection of ``q`` (A, U, pitch) to ``x`` (H, W, depth), slabs in parallel.

    Args:
        q: Panels.
        x: Volume.
        places: Coordinates of the voxels along z, y and x in mm, cosines and sines of the views.
        panel: Number of rows, centre of the first pixel as v and u and size of a pixel as v and u in mm, distances of
            the source from the axis and from the panel in mm.
    """
    for slab in numba.prange((len(x) + SLAB - 1) // SLAB):
        backproject_slab(q, x, (slab * SLAB, min((slab + 1) * SLAB, len(x))), places, panel)
