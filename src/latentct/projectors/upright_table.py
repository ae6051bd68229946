"""What the kernels for upright panels need to know of a cone beam."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.projectors.numba_window import N_LANES, WINDOW
from latentct.projectors.rays import TIE, FloatArray, IntArray, cone_vectors, steps_inside

Float32Array = npt.NDArray[np.float32]


class UprightTable(NamedTuple):
    """The traces of the panel columns in the (x, y) plane and the heights of their rays.

    Attributes:
        steps: Axis along which the trace steps (0 for y, 1 for x), first step inside the grid, one past the last,
            shape (A, U, 3).
        traces: Position across at step 0 in voxels and its change per step, then the same of the distance from the
            source in units of that to the panel, shape (A, U, 4).
        heights: Height of the source above the first slice in slices, rise to the first panel row, rise from row to
            row, shape (A, 3).
        flat: Length of a step in mm squared, but for its rise, shape (A, 1, U).
        rises: Rise in mm to a panel row squared, shape (A, V, 1).
        per_step: Part of the way to the panel that is a step, squared, shape (A, 1, U).
    """

    steps: IntArray
    traces: FloatArray
    heights: FloatArray
    flat: Float32Array
    rises: Float32Array
    per_step: Float32Array


def upright_table(grid: Grid, scan: ConeBeam | VectorConeBeam) -> UprightTable | None:
    """Return the table of a scan, or None if a panel is tilted, a ray steps along z or rows are far apart."""
    spacing_mm = np.asarray(grid.spacing_mm)
    source_mm, corner_mm, v_mm, u_mm = cone_vectors(scan)
    if np.any(v_mm[:, 1:]) or np.any(u_mm[:, 0]) or not np.all(v_mm[:, 0]):
        return None
    source = (source_mm - np.asarray(grid.origin_mm)) / spacing_mm + (0.0, 1.0, 1.0)
    v, u = (np.arange(n, dtype=np.float64) for n in scan.detector_shape)
    plane = ((corner_mm - source_mm)[:, None, 1:] + u[:, None] * u_mm[:, None, 1:]) / spacing_mm[1:]
    rise_mm = (corner_mm - source_mm)[:, :1] + v * v_mm[:, :1]
    along_x = np.abs(plane[..., 0]) < np.abs(plane[..., 1]) * (1.0 - TIE)
    axis = along_x.astype(np.int64)
    main, cross = (np.take_along_axis(plane, a[..., None], axis=-1)[..., 0] for a in (axis, 1 - axis))
    steepest = np.abs(rise_mm).max(axis=1, keepdims=True) / spacing_mm[0]
    if np.any(steepest >= np.abs(main) * (1.0 - 2 * TIE)):
        return None
    at_main, at_cross = (np.take_along_axis(source[:, 1:], a, axis=1) for a in (axis, 1 - axis))
    slope, per_step = cross / main, 1.0 / main
    shape = np.asarray(grid.shape[1:])
    start, stop = steps_inside(at_cross - slope * at_main, slope, shape[axis], shape[1 - axis])
    traces = np.stack([at_cross - slope * at_main, slope, -at_main * per_step, per_step], axis=-1)
    depth = traces[..., 2:3] + traces[..., 3:] * np.stack([start, stop - 1], axis=-1)
    apart = np.abs(depth * (v_mm[:, 0] / spacing_mm[0])[:, None, None])[start < stop]
    if np.any(apart * (N_LANES - 1) > WINDOW - 3):
        return None
    heights = np.stack([source[:, 0], rise_mm[:, 0] / spacing_mm[0], v_mm[:, 0] / spacing_mm[0]], axis=-1)
    flat = np.square(plane * spacing_mm[1:]).sum(axis=-1) * np.square(per_step)
    squares = (flat[:, None], np.square(rise_mm)[:, :, None], np.square(per_step)[:, None])
    steps = np.stack([axis, start, stop], axis=-1)
    return UprightTable(steps, traces, heights, *(square.astype(np.float32) for square in squares))
