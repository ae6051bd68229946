"""Where the rays of a scan are, and where they cross the rows or columns of a grid.

Joseph's method (IEEE Trans. Med. Imaging 1982, doi 10.1109/TMI.1982.4307572) lets a ray step along the axis it is
most parallel to and interpolates the image linearly between the neighbours beside it. Indices refer to the grid with
one pixel of zeros added on every side, so that the interpolation needs no test at the border. Rays are infinite
lines: the grid has to lie between source and detector.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam, VectorConeBeam

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

TIE = 1e-9
"""Relative margin by which earlier axes win, so that rounding does not decide the axis of rays at 45 degrees."""
EDGE = 1e-6
"""Rays nearer than this fraction of a pixel to the far side of the added border are cut: their weight there is nil."""


class RayTable(NamedTuple):
    """The crossings of all rays of a plane scan, arrays of shape (A, U).

    Attributes:
        over_rows: Whether the ray steps over rows (else over columns).
        start: First step inside the grid.
        stop: One past the last step; equal to ``start`` for a ray that misses the grid.
        at_zero: Position across at step 0 in pixels.
        slope: Change of this position per step, in [-1, 1] pixels.
        step_mm: Length of the ray per step in mm.
    """

    over_rows: BoolArray
    start: IntArray
    stop: IntArray
    at_zero: FloatArray
    slope: FloatArray
    step_mm: FloatArray


def plane_rays(scan: ParallelBeam | FanBeam) -> tuple[FloatArray, FloatArray]:
    """Return a point in mm and the unit direction of every ray of a plane scan.

    Args:
        scan: A parallel or fan beam.

    Returns:
        Points and directions, each of shape (A, U, 2) in the order (y, x).
    """
    t = np.asarray(scan.angles_rad)[:, None]
    u_mm = scan.u_mm()[None, :]
    along = np.stack([np.cos(t), -np.sin(t)], axis=-1)
    across = np.stack([np.sin(t), np.cos(t)], axis=-1)
    if isinstance(scan, ParallelBeam):
        return u_mm[..., None] * across, np.broadcast_to(along, (*scan.sinogram_shape, 2))
    fan_rad = scan.fan_angles_rad()[None, :, None]
    point_mm = np.broadcast_to(-scan.sod_mm * along, (*scan.sinogram_shape, 2))
    return point_mm, np.cos(fan_rad) * along + np.sin(fan_rad) * across


def bins_at(scan: ParallelBeam | FanBeam, y_mm: FloatArray, x_mm: FloatArray) -> FloatArray:
    """Return where the rays through points meet the detector, counted in bins from the first one's centre.

    Args:
        scan: A parallel or fan beam.
        y_mm: Points in mm, of a shape that broadcasts with (A, 1), the views.
        x_mm: The same.
    """
    t = np.asarray(scan.angles_rad)[:, None]
    cosines, sines = np.cos(t), np.sin(t)
    at_mm: FloatArray = x_mm * cosines + y_mm * sines
    if isinstance(scan, FanBeam):
        depth_mm = scan.sod_mm + y_mm * cosines - x_mm * sines
        at_mm = scan.sdd_mm * (np.arctan2(at_mm, depth_mm) if scan.curved else at_mm / depth_mm)
    first_mm = float(scan.u_mm()[0])
    return (at_mm - first_mm) / scan.bin_mm


def cone_rays(scan: ConeBeam | VectorConeBeam, view: int) -> tuple[FloatArray, FloatArray]:
    """Return a point in mm and the unit direction of every ray of one view of a cone beam.

    Args:
        scan: A cone beam.
        view: Index of the view.

    Returns:
        The source repeated and the directions to the pixels, each of shape (V, U, 3) in the order (z, y, x).
    """
    source_mm, corner_mm, v_mm, u_mm = (vectors[view] for vectors in cone_vectors(scan))
    v, u = (np.arange(n, dtype=np.float64)[:, None] for n in scan.detector_shape)
    direction = corner_mm + (v * v_mm)[:, None] + u * u_mm - source_mm
    return np.broadcast_to(source_mm, direction.shape), direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def cone_vectors(scan: ConeBeam | VectorConeBeam) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return source, centre of the first pixel, row step and column step per view in mm, each (A, 3) as (z, y, x)."""
    vectors = scan.vectors() if isinstance(scan, ConeBeam) else scan
    n_rows, n_columns = vectors.detector_shape
    source_mm, detector_mm, v_mm, u_mm = (
        np.asarray(per_view, dtype=np.float64)[:, ::-1]
        for per_view in (vectors.source_mm, vectors.detector_mm, vectors.v_mm, vectors.u_mm)
    )
    corner_mm = detector_mm - (n_rows - 1) / 2 * v_mm - (n_columns - 1) / 2 * u_mm
    return source_mm, corner_mm, v_mm, u_mm


def ray_table(grid: Grid, scan: ParallelBeam | FanBeam) -> RayTable:
    """Return the crossings of all rays of a plane scan with a 2-D grid."""
    point_mm, direction = plane_rays(scan)
    spacing_mm, shape = np.asarray(grid.spacing_mm), np.asarray(grid.shape)
    point = (point_mm - np.asarray(grid.origin_mm)) / spacing_mm + 1.0
    direction = direction / spacing_mm
    over_rows = np.abs(direction[..., 0]) >= np.abs(direction[..., 1]) * (1.0 - TIE)
    main = np.where(over_rows, 0, 1)

    def of_axis(values: FloatArray, axis: IntArray) -> FloatArray:
        return np.take_along_axis(values, axis[..., None], axis=-1)[..., 0]

    slope = of_axis(direction, 1 - main) / of_axis(direction, main)
    at_zero = of_axis(point, 1 - main) - slope * of_axis(point, main)
    start, stop = steps_inside(at_zero, slope, shape[main], shape[1 - main])
    return RayTable(over_rows, start, stop, at_zero, slope, 1.0 / np.abs(of_axis(direction, main)))


def steps_inside(
    at_zero: FloatArray, slope: FloatArray, n_main: IntArray, n_cross: IntArray
) -> tuple[IntArray, IntArray]:
    """Return start and stop of the steps 1..n_main at which ``at_zero + slope * step`` lies in [0, n_cross + 1)."""
    low, high = EDGE - at_zero, n_cross + 1 - EDGE - at_zero
    flat = np.abs(slope) < EDGE / (n_main + 1)
    safe = np.where(flat, 1.0, slope)
    first, last = np.minimum(low / safe, high / safe), np.maximum(low / safe, high / safe)
    middle = at_zero + slope * (n_main + 1) / 2
    hit = (middle >= 2 * EDGE) & (middle <= n_cross + 1 - 2 * EDGE)
    first = np.where(flat, np.where(hit, 1.0, 2.0), first)
    last = np.where(flat, np.where(hit, n_main, 1.0), last)
    start = np.clip(np.ceil(first), 1, n_main + 1).astype(np.int64)
    stop = np.clip(np.floor(last) + 1, start, n_main + 1).astype(np.int64)
    return start, stop
