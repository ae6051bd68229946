"""Metal implants as the plane of a CT slice cuts them: outlines drawn at random in mm, rendered as volume fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from latentct.geometry import Grid
from latentct.simulate.outlines import KINDS, Outline

FloatArray = npt.NDArray[np.float64]

SIZES_MM2 = (20.0, 60.0, 150.0, 450.0, 1100.0)
"""Areas in a slice of the five size classes: one filling, a few screws or crowns, a plate, a stem, a hip joint."""

IMPLANT_MATERIALS = ("titanium", "iron", "cobalt_chrome", "amalgam")
"""What the implants of a benchmark are made of; iron stands for steel."""

SUBPIXEL_MM = 0.25
"""Largest distance of the points that a pixel is sampled at; a wire of a coil is 0.8 mm thick."""


@dataclass(frozen=True)
class Implant:
    """A piece of metal about the origin of its own axes.

    Attributes:
        kind: one of `KINDS`.
        inside: tells of points (y, x) in mm whether they are metal.
        radius_mm: radius of a disk about the origin that holds all of it.
        area_mm2: area in the plane.
    """

    kind: str
    inside: Callable[[FloatArray, FloatArray], npt.NDArray[np.bool_]]
    radius_mm: float
    area_mm2: float

    def fraction(
        self,
        grid: Grid,
        center_mm: tuple[float, float],
        angle_rad: float,
        subpixel_mm: float | None = None,
        z_range_mm: tuple[float, float] | None = None,
    ) -> torch.Tensor:
        """Return which part of each pixel or voxel is metal.

        A pixel is sampled at a lattice of points. On a 3-D grid the implant is a prism: every slice is the outline
        times the part of its thickness in `z_range_mm`.

        Args:
            grid: 2-D, or 3-D together with `z_range_mm`.
            center_mm: where the origin of the implant goes, (y, x).
            angle_rad: by how much it is turned, anticlockwise about +z (from +x to +y).
            subpixel_mm: largest distance of the sampling points; None is `SUBPIXEL_MM` and four a side at the least.
            z_range_mm: lower and upper end of the prism.

        Returns:
            Fractions in [0, 1], float32, of the grid's shape.
        """
        plane_grid = Grid(grid.shape[-2:], grid.spacing_mm[-2:], cast("tuple[float, ...]", grid.center_mm)[-2:])
        plane = self._plane_fraction(plane_grid, center_mm, angle_rad, subpixel_mm)
        if grid.ndim == 2:
            return plane
        assert z_range_mm is not None, "a 3-D grid needs z_range_mm"
        thickness_mm = grid.spacing_mm[0]
        bottom_mm = grid.coordinates_mm(0) - thickness_mm / 2
        overlap_mm = np.minimum(bottom_mm + thickness_mm, z_range_mm[1]) - np.maximum(bottom_mm, z_range_mm[0])
        along_z = torch.from_numpy(np.clip(overlap_mm / thickness_mm, 0.0, 1.0)).float()
        return along_z[:, None, None] * plane

    def _plane_fraction(
        self, grid: Grid, center_mm: tuple[float, float], angle_rad: float, subpixel_mm: float | None
    ) -> torch.Tensor:
        fraction = torch.zeros(grid.shape)
        rows, columns = (self._span(grid, axis, center_mm[axis]) for axis in (0, 1))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return fraction
        n_y, n_x = (_points_a_side(spacing, subpixel_mm) for spacing in grid.spacing_mm)
        y_mm = _subpixels(grid, 0, rows, n_y)[:, None] - center_mm[0]
        x_mm = _subpixels(grid, 1, columns, n_x)[None, :] - center_mm[1]
        cos, sin = math.cos(angle_rad), math.sin(angle_rad)
        metal = self.inside(cos * y_mm - sin * x_mm, cos * x_mm + sin * y_mm)
        shape = (rows.stop - rows.start, n_y, columns.stop - columns.start, n_x)
        fraction[rows, columns] = torch.from_numpy(metal.reshape(shape).mean(axis=(1, 3))).float()
        return fraction

    def _span(self, grid: Grid, axis: int, center_mm: float) -> slice:
        """Pixels along an axis that the implant may reach."""
        position = (center_mm - grid.origin_mm[axis]) / grid.spacing_mm[axis]
        reach = self.radius_mm / grid.spacing_mm[axis] + 1
        return slice(max(0, math.floor(position - reach)), min(grid.shape[axis], math.ceil(position + reach) + 1))


def draw_implant(kind: str, area_mm2: float, *, generator: torch.Generator) -> Implant:
    """Draw the outline of an implant and scale it to an area.

    Outlines are drawn until one is within a factor of three of the wanted area, but no more than 20 times.

    Args:
        kind: one of `KINDS`.
        area_mm2: the wanted area; kept to one per cent or so.
        generator: chance.
    """
    for _ in range(20):
        outline = KINDS[kind].draw(generator)
        ratio = area_mm2 / _area_mm2(outline)
        if 1 / 3 < ratio < 3:
            break
    scale = math.sqrt(ratio)

    def inside(y_mm: FloatArray, x_mm: FloatArray) -> npt.NDArray[np.bool_]:
        return outline.distance_mm(y_mm / scale, x_mm / scale) < 0

    return Implant(kind, inside, scale * outline.radius_mm, area_mm2)


def kinds_of_size(area_mm2: float, kinds: tuple[str, ...] = tuple(KINDS)) -> tuple[str, ...]:
    """Return those of `kinds` that come in about this size.

    >>> kinds_of_size(20.0)
    ('screw', 'dental_filling', 'clip', 'coil')
    """
    return tuple(kind for kind in kinds if KINDS[kind].smallest_mm2 <= area_mm2 <= KINDS[kind].largest_mm2)


def size_class(area_mm2: float, sizes_mm2: tuple[float, ...] = SIZES_MM2) -> int:
    """Return the number, from 1, of the size class nearest by ratio; 0 for no metal.

    >>> size_class(130.0)
    3
    """
    if area_mm2 <= 0:
        return 0
    return 1 + int(np.argmin(np.abs(np.log(np.asarray(sizes_mm2) / area_mm2))))


def _area_mm2(outline: Outline) -> float:
    """Return the area of an outline by counting points."""
    side_mm = ((np.arange(300) + 0.5) / 150 - 1) * outline.radius_mm
    share = (outline.distance_mm(side_mm[:, None], side_mm[None, :]) < 0).mean()
    return float(share) * 4 * outline.radius_mm**2


def _points_a_side(spacing_mm: float, subpixel_mm: float | None) -> int:
    """Return at how many points a pixel is sampled along an axis."""
    if subpixel_mm is None:
        return max(4, math.ceil(spacing_mm / SUBPIXEL_MM))
    return math.ceil(spacing_mm / subpixel_mm)


def _subpixels(grid: Grid, axis: int, pixels: slice, n: int) -> FloatArray:
    """Return the sampling points of a range of pixels in mm, n a pixel."""
    points = (np.arange(n) + 0.5) / n - 0.5
    centers_mm = grid.coordinates_mm(axis)[pixels]
    return (centers_mm[:, None] + points[None, :] * grid.spacing_mm[axis]).ravel()
