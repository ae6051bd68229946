"""Where the body reaches the end of what the image shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latentct.findings.field import CircularField
from latentct.geometry import Grid

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

SIDES = ("left", "posterior", "right", "anterior")
LEAST_CUT_MM = 15.0
"""Shortest cut that counts. Real slices that end outside the body have none at all, but for noise about the skin; real
slices cut again to a field of 250 mm, in which the body reaches the end of it, have 55 mm or more."""

N_ANGLES = 1440
INSET_PX = 2.0


@dataclass(frozen=True, eq=False)
class BodyCut:
    """How much of the body's outline is the end of the image.

    Attributes:
        length_mm: Length of the end of the image that lies in the body, by slice (D,) and by side (`SIDES`), (D, 4).
    """

    length_mm: FloatArray

    @property
    def slices(self) -> BoolArray:
        """Slices in which the body is cut, (D,)."""
        return np.asarray(self.length_mm.sum(axis=1) >= LEAST_CUT_MM)

    @property
    def sides(self) -> tuple[str, ...]:
        """Sides on which it is cut in any slice."""
        longest_mm = self.length_mm.max(axis=0)
        return tuple(side for side, length in zip(SIDES, longest_mm, strict=True) if length >= LEAST_CUT_MM)


def body_cut(body: BoolArray, grid: Grid, field: CircularField | None) -> BodyCut:
    """Measure how much of the end of the image lies in the body.

    The end of the image is the field's circle where that runs inside the image, and the image's border elsewhere; the
    body is looked up along a line two pixels inside of it, where the mask is still sure.

    Args:
        body: Mask (D, H, W), True in the body.
        grid: Its grid, 3-D.
        field: Circular field, None where there is none.
    """
    line_mm, side = _line_mm(grid, field)
    index = [
        np.clip(np.rint((line_mm[:, i] - grid.origin_mm[1 + i]) / grid.spacing_mm[1 + i]).astype(int), 0, n - 1)
        for i, n in enumerate(grid.shape[1:])
    ]
    step_mm = np.hypot(*(np.roll(line_mm, -1, axis=0) - np.roll(line_mm, 1, axis=0)).T) / 2
    of_side = np.stack([step_mm * (side == number) for number in range(len(SIDES))], axis=1)
    return BodyCut(body[:, index[0], index[1]].astype(np.float64) @ of_side)


def _line_mm(grid: Grid, field: CircularField | None) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return points (y, x) just inside the end of the image, in order around it, and the side each is on."""
    inset_mm = INSET_PX * max(grid.spacing_mm[1:])
    middle_mm = np.array(grid.center_mm)[1:]
    half_mm = np.array(grid.extent_mm)[1:] / 2 - inset_mm
    angle_rad = np.arange(N_ANGLES) * 2 * np.pi / N_ANGLES
    towards = np.stack([np.sin(angle_rad), np.cos(angle_rad)], axis=1)
    reach_mm = (half_mm / np.maximum(np.abs(towards), 1e-9)).min(axis=1)
    if field is not None:
        offset = middle_mm - np.array(field.center_mm)
        radius_mm = field.diameter_mm / 2 - inset_mm
        along = towards @ offset
        reach_mm = np.minimum(reach_mm, np.sqrt(np.maximum(along**2 - offset @ offset + radius_mm**2, 0)) - along)
    side = np.floor(np.mod(angle_rad + np.pi / 4, 2 * np.pi) / (np.pi / 2)).astype(np.int64)
    return middle_mm + reach_mm[:, None] * towards, side
