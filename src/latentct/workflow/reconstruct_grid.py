"""On which pixels projections are reconstructed."""

from __future__ import annotations

import math

import numpy as np

from latentct.errors import InputError
from latentct.geometry import Grid, Scan, Scan2D, VectorConeBeam
from latentct.geometry.completion import bin_at_axis_mm
from latentct.geometry.masks import ray_distance_mm
from latentct.io.scan_geometry import ScanGeometry

LARGEST = 512
"""Pixels along a side, where nobody asks for more."""
MOST_PIXELS = 100_000


def choose_grid(geometry: ScanGeometry, size: int | None, spacing_mm: float | None) -> tuple[Grid, str]:
    """Choose the pixels of slices, or the voxels of a volume.

    Without a word of user and geometry file they cover what the detector sees, in steps of its bins as far as that
    makes no more than `LARGEST` a side.

    Args:
        geometry: Of the projections.
        size: Pixels along a side of a slice; None: as many as cover the field.
        spacing_mm: Distance of pixels, of the slices of a volume too; None: so that the size covers the field.

    Returns:
        The grid, and where it comes from, for people.

    Raises:
        InputError: A number does not make sense.
    """
    _refuse_senseless(size, spacing_mm)
    if geometry.image is not None and size is None and spacing_mm is None:
        return geometry.image, "as the geometry asks for"
    field_mm, height_mm, bin_mm = _seen_mm(geometry.scan)
    source = "to cover what the detector sees"
    if geometry.image is not None:
        field_mm, source = max(geometry.image.extent_mm), "to cover the image that the geometry asks for"
    if spacing_mm is None:
        n = size or min(LARGEST, math.ceil(field_mm / bin_mm))
        spacing_mm = field_mm / n
    n = size or math.ceil(field_mm / spacing_mm)
    if n > MOST_PIXELS:
        raise InputError(f"--spacing-mm {spacing_mm:g} makes {n} pixels along a side; choose a larger one.")
    if size is not None and abs(n * spacing_mm - field_mm) > spacing_mm:
        source = "as asked for"
    if isinstance(geometry.scan, Scan2D):
        return Grid((n, n), (spacing_mm, spacing_mm)), source
    depth = max(1, min(MOST_PIXELS, math.ceil(height_mm / spacing_mm)))
    return Grid((depth, n, n), (spacing_mm,) * 3), source


def grid_sentence(grid: Grid, source: str) -> str:
    """Say what grid was chosen."""
    size, spacing = " x ".join(map(str, grid.shape)), " x ".join(f"{mm:.4g}" for mm in grid.spacing_mm)
    return f"Reconstructed are {size} {'pixels' if grid.ndim == 2 else 'voxels'} of {spacing} mm, {source}."


def _refuse_senseless(size: int | None, spacing_mm: float | None) -> None:
    if size is not None and not 1 <= size <= MOST_PIXELS:
        raise InputError(f"--size is {size}, but 1 to {MOST_PIXELS} pixels are expected; correct it.")
    if spacing_mm is not None and not 1e-3 <= spacing_mm <= 1e3:
        raise InputError(f"--spacing-mm is {spacing_mm:g}, but 0.001 to 1000 mm are expected; correct it.")


def _seen_mm(scan: Scan) -> tuple[float, float, float]:
    """Return diameter and height of what a detector sees about the rotation axis, and its bins seen from there."""
    if isinstance(scan, VectorConeBeam):
        return _seen_by_panels_mm(scan)
    field_mm = 2 * float(ray_distance_mm(scan).max())
    if isinstance(scan, Scan2D):
        return field_mm, 0.0, bin_at_axis_mm(scan)
    scale = scan.sod_mm / scan.sdd_mm
    return field_mm, scale * scan.detector_shape[0] * scan.pixel_mm[0], scale * scan.pixel_mm[1]


def _seen_by_panels_mm(scan: VectorConeBeam) -> tuple[float, float, float]:
    """Return the same of the view that sees least, for panels that stand nearly upright."""
    source, middle, u, v = (np.array(getattr(scan, key)) for key in ("source_mm", "detector_mm", "u_mm", "v_mm"))
    distance_mm = np.linalg.norm(source, axis=1)
    scale = distance_mm / (distance_mm + np.linalg.norm(middle, axis=1))
    rows, columns = scan.detector_shape
    widths_mm, heights_mm = np.linalg.norm(u, axis=1) * scale, np.linalg.norm(v, axis=1) * scale
    return float(columns * widths_mm.min()), float(rows * heights_mm.min()), float(widths_mm.min())
