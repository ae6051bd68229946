"""The circle outside of which the scanner reconstructed nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latentct.geometry import Grid

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

N_SECTORS = 72
LEAST_SECTORS = 6
LEAST_COVERED = 0.9
MOST_OUTSIDE = 1e-3
TOLERANCE_PX = 1.5
N_ROUNDS = 14


@dataclass(frozen=True)
class CircularField:
    """A circle in the plane of the slices, the same in all of them.

    Attributes:
        center_mm: (y, x) in the coordinates of the image's grid.
        diameter_mm: Diameter in mm.
    """

    center_mm: tuple[float, float]
    diameter_mm: float


def find_field(x_hu: npt.NDArray[np.float32], grid: Grid, padding: BoolArray | None = None) -> CircularField | None:
    """Find the circle outside of which all pixels are padding, or hold the one value of the corners.

    The outermost pixels of every row and column that are not filled lie on the circle, or inside it where air has the
    value of the filling; so the circle is fitted to them by least squares again and again, each time without what lies
    inside the last one. It counts when all around, as far as it runs in the image, it is touched from inside, and
    nothing lies outside.

    Args:
        x_hu: Volume (D, H, W) in HU.
        grid: Its grid, 3-D.
        padding: bool (D, H, W), True = not reconstructed, where the file tells; None: the value of the corners.

    Returns:
        The circle, good to a pixel, or None where there is none.
    """
    seen: BoolArray = ~_filling(x_hu) if padding is None else ~np.all(padding, axis=0)
    points = _outermost_mm(seen, grid)
    if len(points) < N_SECTORS:
        return None
    tolerance_mm = TOLERANCE_PX * max(grid.spacing_mm[1:])
    center, radius_mm = np.array(grid.center_mm[1:] if grid.center_mm else (0.0, 0.0)), 0.0
    radius_mm = float(np.hypot(*(points - center).T).max())
    for round_ in range(N_ROUNDS):
        inside_mm = radius_mm - np.hypot(*(points - center).T)
        kept = points[np.abs(inside_mm) <= max(tolerance_mm, 0.3 * radius_mm * 0.5**round_)]
        if len(kept) < LEAST_SECTORS:
            return None
        center, radius_mm = _fitted(kept)
    if not _is_field(seen, kept, center, radius_mm, grid, tolerance_mm):
        return None
    return CircularField((float(center[0]), float(center[1])), 2 * radius_mm)


def _filling(x_hu: npt.NDArray[np.float32]) -> BoolArray:
    """Return the pixels (H, W) that hold the value of the corners in all slices."""
    value = np.median(x_hu[:, [0, 0, -1, -1], [0, -1, 0, -1]])
    filled = np.ones(x_hu.shape[1:], dtype=np.bool_)
    for plane in x_hu:
        filled &= plane == value
    return filled


def _outermost_mm(seen: BoolArray, grid: Grid) -> FloatArray:
    """Return the outer edges (y, x) of the first and last pixel of each row and column, but for those of the image."""
    points = []
    for axis in (0, 1):
        along = seen if axis == 1 else seen.T
        across_mm, along_mm = grid.coordinates_mm(2 - axis), grid.coordinates_mm(1 + axis)
        half_mm, rows, n = grid.spacing_mm[1 + axis] / 2, np.flatnonzero(along.any(axis=1)), along.shape[1]
        for ends, side, border in (
            (along[rows].argmax(axis=1), -1, 0),
            (n - 1 - along[rows, ::-1].argmax(axis=1), 1, n - 1),
        ):
            is_inner = ends != border
            pair = (across_mm[rows[is_inner]], along_mm[ends[is_inner]] + side * half_mm)
            points.append(np.stack(pair if axis == 1 else pair[::-1], axis=1))
    return np.concatenate(points)


def _fitted(points: FloatArray) -> tuple[FloatArray, float]:
    """Return centre and radius of the circle of least squared ``|p - c|^2 - r^2`` (Kasa 1976)."""
    system = np.column_stack([2 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0]
    center = solution[:2]
    return center, float(np.sqrt(max(solution[2] + center @ center, 0.0)))


def _is_field(
    seen: BoolArray, kept: FloatArray, center: FloatArray, radius_mm: float, grid: Grid, tolerance_mm: float
) -> bool:
    y_mm, x_mm = (grid.coordinates_mm(axis) for axis in (1, 2))
    outside = np.hypot(y_mm[:, None] - center[0], x_mm[None] - center[1]) > radius_mm + tolerance_mm
    sector_rad = (np.arange(N_SECTORS) + 0.5) * 2 * np.pi / N_SECTORS
    at_mm = center[:, None] + radius_mm * np.stack([np.sin(sector_rad), np.cos(sector_rad)])
    in_image = np.ones(N_SECTORS, dtype=np.bool_)
    for position_mm, axis_mm in zip(at_mm, (y_mm, x_mm), strict=True):
        in_image &= (position_mm >= axis_mm[0] + tolerance_mm) & (position_mm <= axis_mm[-1] - tolerance_mm)
    kept_rad = np.mod(np.arctan2(*(kept - center).T), 2 * np.pi)
    touched = np.bincount((kept_rad * N_SECTORS / (2 * np.pi)).astype(int) % N_SECTORS, minlength=N_SECTORS) > 0
    n = int(in_image.sum())
    return bool(
        n >= LEAST_SECTORS
        and (touched & in_image).sum() >= LEAST_COVERED * n
        and (seen & outside).sum() <= MOST_OUTSIDE * seen.size
    )
