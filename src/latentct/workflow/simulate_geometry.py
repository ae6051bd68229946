"""Which rays of an image a simulated scan measures, and where they lie in the patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.findings import virtual_scan
from latentct.geometry import ConeBeam, FanBeam, Grid, Scan, Scan2D, VectorConeBeam
from latentct.io.image import CTImage
from latentct.io.nifti import grid_affine_lps_mm
from latentct.io.scan_geometry import ScanGeometry
from latentct.tasks.base import GeometricTask
from latentct.tasks.geometric import LimitedAngle, SparseView, Truncation
from latentct.units import MU_WATER_70KEV

SAME_PLACE_MM = 1e-3
WIDEST_MM = 2000.0
LEAST_PIXELS = 16
"""Rows and columns of the smallest image that a geometry file describes."""


def image_grid(image: CTImage) -> Grid:
    """Return the grid of an image about its own middle.

    Raises:
        InputError: Its voxels do not stand along the patient's axes, or it is smaller than a geometry file allows.
    """
    grid = image.grid
    if min(grid.shape[1:]) < LEAST_PIXELS:
        raise InputError(
            f"the slices have {grid.shape[1]} x {grid.shape[2]} pixels, but at least {LEAST_PIXELS} x {LEAST_PIXELS} "
            "are expected; give an axial series."
        )
    upright = grid_affine_lps_mm(grid, middle_mm(image))
    if largest_distance_mm(image.affine_lps_mm, upright, grid.shape) > SAME_PLACE_MM:
        raise InputError(
            "the voxels of the image do not stand along the patient's axes (tilted gantry or oblique series), which no "
            "geometry of projections can tell; resample the image first."
        )
    return grid


def middle_mm(image: CTImage) -> tuple[float, float, float]:
    """Return the position (x, y, z) of the middle of an image in LPS mm."""
    index = (np.array(image.x_hu.shape) - 1) / 2
    x, y, z = image.affine_lps_mm[:3, :3] @ index + image.affine_lps_mm[:3, 3]
    return float(x), float(y), float(z)


def largest_distance_mm(affine: NDArray[np.float64], other: NDArray[np.float64], shape: Sequence[int]) -> float:
    """Return how far the voxels of two images of one shape lie apart at most, which is at a corner."""
    corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm((corners @ (affine - other).T)[:, :3], axis=1).max())


def complete_geometry(image: CTImage, given: ScanGeometry | None) -> ScanGeometry:
    """Return a scan about the middle of an image, whose reconstruction lands on the image's voxels.

    Args:
        image: What is scanned.
        given: The scan; image, isocentre and slice distance are replaced by those of the image. None: the virtual fan
            beam of `latentct.findings.virtual_scan`.

    Raises:
        InputError: Image and scan do not go together.
    """
    grid = image_grid(image)
    if given is None and max(grid.extent_mm[1:]) > WIDEST_MM:
        raise InputError(
            f"the slices measure {max(grid.extent_mm[1:]):.0f} mm, but at most {WIDEST_MM:.0f} mm are expected of a "
            "patient; correct the spacing, or give a --geometry."
        )
    scan = virtual_scan(grid).scan if given is None else given.scan
    _refuse_source_inside(scan, grid)
    return ScanGeometry(
        scan,
        MU_WATER_70KEV if given is None else given.mu_water,
        isocenter_mm=middle_mm(image),
        slice_mm=grid.spacing_mm[0],
        image=Grid(grid.shape[1:], grid.spacing_mm[1:]) if isinstance(scan, Scan2D) else None,
        simulated=True,
    )


def incomplete_scan(scan: Scan, task: str, field_mm: float | None, arc_deg: float | None, n_views: int | None) -> Scan:
    """Return the scan that is left of a complete one: its measured rays and no others, where they were.

    Args:
        scan: The complete one.
        task: "truncation", "limited-angle", "sparse-view"; all else leaves every ray.
        field_mm: Diameter of the field of measurement about the rotation axis, for truncation.
        arc_deg: Arc from the angle 0 on, for a limited angle.
        n_views: Number of views, spread evenly, for sparse views.

    Raises:
        InputError: The number that the task needs is missing, another one is given, or it leaves all or too few rays.
    """
    given = {"--field-mm": field_mm, "--arc-deg": arc_deg, "--views": n_views}
    needed = {"truncation": "--field-mm", "limited-angle": "--arc-deg", "sparse-view": "--views"}.get(task)
    if needed is not None and given[needed] is None:
        raise InputError(f"--task {task} needs {needed}; give it.")
    foreign = [name for name, value in given.items() if name != needed and value is not None]
    if foreign:
        raise InputError(f"{foreign[0]} does not belong to --task {task}; leave it out or choose another task.")
    if needed is None:
        return scan
    number = given[needed]
    assert number is not None
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{needed} is {number:g}, but a number above 0 is expected; correct it.")
    if isinstance(scan, VectorConeBeam) and task != "sparse-view":
        raise InputError(f"--task {task} is for sources on a circle; leave out views of the geometry file instead.")
    return _measured_part(scan, _task(task, number, scan), f"{needed} {number:g}")


def _task(name: str, number: float, scan: Scan) -> GeometricTask:
    if name == "truncation":
        return Truncation(number)
    if name == "limited-angle":
        return LimitedAngle(math.radians(number), start_rad=0.0)
    return SparseView(min(int(number), scan.n_views))


def _measured_part(scan: Scan, task: GeometricTask, option: str) -> Scan:
    """Return the views and columns of a scan that a task leaves; no task here leaves other rays."""
    mask = task.mask_of(scan).numpy()
    views = np.flatnonzero(mask.reshape(scan.n_views, -1).any(axis=1))
    columns = np.flatnonzero(mask.reshape(-1, mask.shape[-1]).any(axis=0))
    if mask.all():
        raise InputError(
            f"{option} leaves the complete scan of {scan.n_views} views and {mask.shape[-1]} columns; ask for less."
        )
    if len(columns) < 2 or len(views) < 1:
        raise InputError(f"{option} leaves {len(views)} views and {len(columns)} columns; ask for more.")
    if isinstance(scan, VectorConeBeam):
        kept = {
            key: tuple(getattr(scan, key)[i] for i in views) for key in ("source_mm", "detector_mm", "u_mm", "v_mm")
        }
        return replace(scan, **kept)
    angles_rad = tuple(scan.angles_rad[i] for i in views)
    u_mm = float(scan.u_mm()[columns].mean())
    if isinstance(scan, ConeBeam):
        shape = (scan.detector_shape[0], len(columns))
        return replace(scan, angles_rad=angles_rad, detector_shape=shape, offset_mm=(scan.offset_mm[0], u_mm))
    return replace(scan, angles_rad=angles_rad, n_bins=len(columns), offset_mm=u_mm)


def _refuse_source_inside(scan: Scan, grid: Grid) -> None:
    radius_mm = math.hypot(*grid.extent_mm[1:]) / 2
    if isinstance(scan, FanBeam | ConeBeam):
        nearest_mm = scan.sod_mm
    elif isinstance(scan, VectorConeBeam):
        nearest_mm = float(np.linalg.norm(np.array(scan.source_mm)[:, :2], axis=1).min())
    else:
        return
    if nearest_mm <= radius_mm:
        raise InputError(
            f"the source comes within {nearest_mm:g} mm of the rotation axis, but the image reaches {radius_mm:.0f} mm "
            "from it; give a geometry with the source outside of the image."
        )
