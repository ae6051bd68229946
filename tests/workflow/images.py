"""A body with organs, at a place of its own in the patient's world."""

import numpy as np

from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.io.image import CTImage
from latentct.io.nifti import grid_affine_lps_mm

GRID = Grid((5, 64, 72), (5.0, 4.0, 4.0))
MIDDLE_MM = (-12.5, 31.25, -640.0)


def body_hu(grid: Grid = GRID) -> np.ndarray:
    """An ellipse of soft tissue in air, with lung, bone and a slope of HU along z, smooth over two pixels."""
    z_mm, y_mm, x_mm = (grid.coordinates_mm(axis) for axis in range(3))
    y_mm, x_mm = y_mm[:, None], x_mm[None]

    def ellipse(center_mm, half_mm):
        distance = np.hypot((y_mm - center_mm[0]) / half_mm[0], (x_mm - center_mm[1]) / half_mm[1])
        return np.clip((1 - distance) * min(half_mm) / 8 + 0.5, 0, 1)

    plane = (
        -1000
        + 1040 * ellipse((0, 0), (80, 110))
        - 800 * ellipse((-10, 50), (35, 30))
        + 700 * ellipse((50, 0), (14, 14))
    )
    return (plane + np.clip(plane + 900, 0, 1) * z_mm[:, None, None]).astype(np.float32)


def body_image(grid: Grid = GRID, **changes) -> CTImage:
    return CTImage(body_hu(grid), grid_affine_lps_mm(grid, MIDDLE_MM), **changes)


def fail_at(monkeypatch, method: type, index: int, why: str) -> None:
    """Let a method refuse a slice, alone or among others."""
    real = method.correct

    def correct(self, slices):
        if slices.start <= index < slices.stop:
            raise InputError(why)
        return real(self, slices)

    monkeypatch.setattr(method, "correct", correct)
