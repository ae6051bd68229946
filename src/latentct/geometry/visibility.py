"""Which part of a volume the views of a cone-beam scan see."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from latentct.geometry.grid import Grid
from latentct.geometry.scan import ConeBeam, VectorConeBeam

FloatArray = npt.NDArray[np.float64]
MOST_POINTS_AN_AXIS = 24


def seen_share(grid: Grid, scan: ConeBeam | VectorConeBeam) -> FloatArray:
    """Return how much of a volume casts its shadow on the panel, view by view.

    A point is seen if it lies between the source and the panel's plane and its shadow falls within the panel. Points
    are voxel centres, of a large grid a regular choice of at most 24 along an axis that holds the outermost ones.

    Args:
        grid: where the voxels are, (z, y, x).
        scan: where source and panel are.

    Returns:
        Shares in [0, 1], shape (A,).
    """
    vectors = scan.vectors() if isinstance(scan, ConeBeam) else scan
    axes_mm = [_thinned(grid.coordinates_mm(axis)) for axis in range(3)]
    z_mm, y_mm, x_mm = np.meshgrid(*axes_mm, indexing="ij")
    points_mm = np.stack([x_mm, y_mm, z_mm], axis=-1).reshape(-1, 3)
    shares = [np.mean(_is_seen(points_mm, vectors, view)) for view in range(scan.n_views)]
    return np.asarray(shares, dtype=np.float64)


def _thinned(coordinates_mm: FloatArray) -> FloatArray:
    """Keep at most `MOST_POINTS_AN_AXIS` coordinates, the first and the last among them."""
    n = len(coordinates_mm)
    chosen = np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS_AN_AXIS)).round().astype(int))
    return np.asarray(coordinates_mm[chosen], dtype=np.float64)


def _is_seen(points_mm: FloatArray, scan: VectorConeBeam, view: int) -> npt.NDArray[np.bool_]:
    """Return which points (N, 3) one view sees, by solving ``source + t (p - source) = detector + a u + b v``."""
    source, middle, u, v = (
        np.asarray(vectors[view]) for vectors in (scan.source_mm, scan.detector_mm, scan.u_mm, scan.v_mm)
    )
    normal = np.cross(u, v)
    rays = points_mm - source
    reach = rays @ normal
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (normal @ (middle - source)) / reach
        on_panel = source + t[:, None] * rays - middle
        a, b = np.linalg.lstsq(np.stack([u, v], axis=1), np.nan_to_num(on_panel).T, rcond=None)[0]
    n_rows, n_columns = scan.detector_shape
    seen: npt.NDArray[np.bool_] = np.isfinite(t) & (t >= 1) & (np.abs(a) <= n_columns / 2) & (np.abs(b) <= n_rows / 2)
    return seen
