"""Ray masks and image masks that follow from geometry alone. True = measured, True = inside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from latentct.geometry.grid import Grid
from latentct.geometry.scan import ConeBeam, FanBeam, ParallelBeam

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def ray_distance_mm(scan: ParallelBeam | FanBeam | ConeBeam) -> FloatArray:
    """Return how far each detector column's ray passes from the rotation axis.

    The distance does not depend on the view, nor, for a panel, on the row.

    Args:
        scan: A circular scan.

    Returns:
        Distances in mm, shape (U,), not negative: ``|u|`` for parallel rays, ``sod * |sin(fan angle)|`` for divergent
        ones.
    """
    if isinstance(scan, ParallelBeam):
        return np.abs(scan.u_mm())
    fan_rad = scan.fan_angles_rad() if isinstance(scan, FanBeam) else np.arctan2(scan.u_mm(), scan.sdd_mm)
    return scan.sod_mm * np.abs(np.sin(fan_rad))


def truncation_ray_mask(scan: ParallelBeam | FanBeam | ConeBeam, diameter_mm: float) -> BoolArray:
    """Return which rays a detector measures that covers a centred field of measurement only.

    Args:
        scan: A circular scan.
        diameter_mm: Diameter of the field of measurement in mm.

    Returns:
        Mask of ``scan.sinogram_shape``; True where the ray passes the rotation axis within ``diameter_mm / 2``.
    """
    return np.broadcast_to(ray_distance_mm(scan) <= diameter_mm / 2, scan.sinogram_shape).copy()


def field_of_measurement_mask(grid: Grid, diameter_mm: float) -> BoolArray:
    """Return which pixels have their centre in the disk that every view sees completely.

    Args:
        grid: Grid of a slice, or of a volume, for which the mask is the cylinder's cross-section.
        diameter_mm: Diameter of the field of measurement in mm, centred on the rotation axis.

    Returns:
        Mask (H, W), True inside.
    """
    y_mm, x_mm = grid.coordinates_mm(grid.ndim - 2), grid.coordinates_mm(grid.ndim - 1)
    return np.hypot(y_mm[:, None], x_mm[None, :]) <= diameter_mm / 2
