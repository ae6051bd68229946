"""What an image shows about how it was taken, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latentct.correction.body import body_mask
from latentct.findings.field import CircularField, find_field
from latentct.findings.metal import MetalFinding, find_metal
from latentct.findings.outline import BodyCut, body_cut
from latentct.findings.table import table_side
from latentct.geometry import Grid

BoolArray = npt.NDArray[np.bool_]
BODY_PIXEL_MM = 2.0


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in an image.

    Attributes:
        grid: Grid of the image, 3-D.
        field: Circular field of view, None where there is none.
        cut: How much of the body's outline is the end of the image.
        metal: Metal.
        table: Side of the body on which the table is, None where none was found.
    """

    grid: Grid
    field: CircularField | None
    cut: BodyCut
    metal: MetalFinding
    table: str | None

    @property
    def task(self) -> str | None:
        """Task that the findings ask for: "metal", "truncation" or None.

        Metal comes first: its streaks spoil what the image shows, and a prior that fills in what lies outside would
        have to explain them; the cut body spoils, at worst, the rim of the field.
        """
        if self.metal.slices.any():
            return "metal"
        return "truncation" if self.cut.slices.any() else None

    def reason(self) -> str:
        """Return why the task is what it is, as a sentence."""
        if self.task == "metal":
            also = " The body is cut too; that can be corrected after it." if self.cut.slices.any() else ""
            return f"Metal is corrected, because it spoils what the image shows.{also}"
        if self.task == "truncation":
            return "What lies outside the field of view is completed, because the body is cut and no metal was found."
        return "There is nothing to correct: the body is whole and no metal was found."

    def sentences(self) -> tuple[str, ...]:
        """Return the findings for people, without anything that tells who the patient is."""
        return self._field(), self._cut(), self._metal(), self._table()

    def _field(self) -> str:
        height_mm, width_mm = self.grid.extent_mm[1:]
        image = f"The image measures {width_mm:.0f} mm x {height_mm:.0f} mm"
        if self.field is None:
            return f"{image} and has no circular field of view."
        return f"{image}; its field of view is a circle of {self.field.diameter_mm:.0f} mm."

    def _cut(self) -> str:
        cut = self.cut.slices
        if not cut.any():
            return "The body is whole in all slices."
        longest_mm = float(self.cut.length_mm.sum(axis=1).max())
        sides = " and ".join(filter(None, (", ".join(self.cut.sides[:-1]), *self.cut.sides[-1:])))
        where = f" ({sides})" if sides else ""
        return f"The body is cut in {_of(cut)}{where}, along up to {longest_mm:.0f} mm of its outline."

    def _metal(self) -> str:
        if not self.metal.slices.any():
            return "No metal was found."
        return (
            f"Metal, or contrast agent as dense as metal, is in {_of(self.metal.slices)}: up to "
            f"{self.metal.area_mm2.max():.0f} mm2 in one slice, {self.metal.volume_mm3 / 1000:.1f} cm3 in all."
        )

    def _table(self) -> str:
        return "No table was found." if self.table is None else f"A table is on the {self.table} side of the body."


def find(x_hu: npt.NDArray[np.float32], grid: Grid, padding: BoolArray | None = None) -> Findings:
    """Look for a circular field of view, a cut body, metal and a table.

    Args:
        x_hu: Volume (D, H, W) in HU.
        grid: Its grid, 3-D.
        padding: bool (D, H, W), True = not reconstructed, where the file tells.
    """
    field = find_field(x_hu, grid, padding)
    coarse_hu, coarse_grid = _thinned(x_hu, grid)
    body = body_mask(coarse_hu, coarse_grid.spacing_mm[1:])
    cut = body_cut(body, coarse_grid, field)
    return Findings(grid, field, cut, find_metal(x_hu, grid), table_side(coarse_hu, body, coarse_grid))


def _thinned(x_hu: npt.NDArray[np.float32], grid: Grid) -> tuple[npt.NDArray[np.float32], Grid]:
    """Leave out rows and columns of pixels finer than the outline of a body needs; ten times as fast on 512 x 512."""
    steps = [max(1, int(BODY_PIXEL_MM / spacing)) for spacing in grid.spacing_mm[1:]]
    thin_hu = x_hu[:, :: steps[0], :: steps[1]]
    spacing_mm = (grid.spacing_mm[0], *(s * step for s, step in zip(grid.spacing_mm[1:], steps, strict=True)))
    center_mm = [
        origin + (n - 1) / 2 * s for origin, n, s in zip(grid.origin_mm, thin_hu.shape, spacing_mm, strict=True)
    ]
    return thin_hu, Grid(thin_hu.shape, spacing_mm, tuple(center_mm))


def _of(slices: BoolArray) -> str:
    n = len(slices)
    return f"{int(slices.sum())} of {n} slices" if n > 1 else "the slice"
