"""The pixels that an image is corrected on: its own, and as many around them as the prior's field has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.findings import Findings
from latentct.geometry import Grid
from latentct.io.image import CTImage
from latentct.workflow.rays import working_grid

AIR_HU = -1000.0
INSET_PX = 1.0
"""A field of view that was found by its pixels, because the file marks none as padding, is good to a pixel."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image on pixels that reach beyond it.

    Attributes:
        image: what came in, D slices.
        findings: what was found in it.
        plane: pixels of a slice of the frame, 2-D, with the middle of the field of view on the rotation axis.
        margin: pixels (rows, columns) that the frame has more on each side than the image.
        known: pixels that the scanner reconstructed in all slices, bool (H, W) of the frame.
    """

    image: CTImage
    findings: Findings
    plane: Grid
    margin: tuple[int, int]
    known: NDArray[np.bool_]

    @property
    def grid(self) -> Grid:
        """The volume of the frame, 3-D."""
        depth, step_mm = self.findings.grid.shape[0], self.findings.grid.spacing_mm[0]
        y_mm, x_mm = self.plane.center_mm or (0.0, 0.0)
        return Grid((depth, *self.plane.shape), (step_mm, *self.plane.spacing_mm), (0.0, y_mm, x_mm))

    @property
    def affine_lps_mm(self) -> NDArray[np.float64]:
        """From voxel indices (z, y, x) of the frame to LPS mm."""
        affine = self.image.affine_lps_mm.copy()
        affine[:3, 3] -= affine[:3, 1:3] @ np.array(self.margin, float)
        return affine

    def slices_hu(self, indices: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return slices (S, H, W) of the frame in HU; what the scanner did not reconstruct is air."""
        x_hu = self.image.x_hu[indices]
        if self.image.padding is not None:
            x_hu = np.where(self.image.padding[indices], AIR_HU, x_hu)
        padded = self.on_frame(x_hu, AIR_HU)
        return np.where(self.known, padded, AIR_HU).astype(np.float32)

    def on_frame(self, slices: NDArray[Any], fill: float) -> NDArray[Any]:
        """Return what is on the pixels of the image, (S, H, W), on those of the frame."""
        rows, columns = self.margin
        return np.pad(slices, ((0, 0), (rows, rows), (columns, columns)), constant_values=fill)

    def on_image(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Return what is on the pixels of the frame, (S, H', W'), on those of the image."""
        (rows, columns), (height, width) = self.margin, self.image.x_hu.shape[1:]
        return slices[:, rows : rows + height, columns : columns + width]


def frame_of(image: CTImage, findings: Findings) -> Frame:
    """Return the frame of an image, which reaches beyond it where its body is cut by the border of the image."""
    middle_mm = np.array(findings.grid.center_mm)[1:]
    axis_mm = middle_mm if findings.field is None else np.array(findings.field.center_mm)
    own = Grid(image.x_hu.shape[1:], image.spacing_mm[1:], tuple(middle_mm - axis_mm))
    ends_inside = findings.field is not None and findings.field.diameter_mm <= min(own.extent_mm)
    plane = working_grid(own) if findings.cut.slices.any() and not ends_inside else own
    rows, columns = ((new - old) // 2 for new, old in zip(plane.shape, own.shape, strict=True))
    seen = np.ones(own.shape, np.bool_) if image.padding is None else ~image.padding.any(axis=0)
    if findings.field is not None and image.padding is None:
        radius_mm = findings.field.diameter_mm / 2 - INSET_PX * max(own.spacing_mm)
        y_mm, x_mm = (own.coordinates_mm(axis) for axis in (0, 1))
        seen &= np.hypot(y_mm[:, None], x_mm[None]) <= radius_mm
    known = np.pad(seen, ((rows, rows), (columns, columns)))
    return Frame(image, findings, plane, (rows, columns), known)
