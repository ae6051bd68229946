"""The table that the patient lies on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from latentct.geometry import Grid

BoolArray = npt.NDArray[np.bool_]
TABLE_HU = -700.0
"""Between air and the shells of a table, which fill a pixel in part."""

LEAST_WIDTH_MM = 150.0
LEAST_SHARE = 0.5


def table_side(x_hu: npt.NDArray[np.float32], body: BoolArray, grid: Grid) -> str | None:
    """Tell on which side of the body a table runs.

    A table is something that is not body and, seen from the front, at least `LEAST_WIDTH_MM` wide behind the middle of
    the body, or in front of it for a patient on the belly, in at least `LEAST_SHARE` of the slices.

    Args:
        x_hu: Volume (D, H, W) in HU.
        body: Mask of the body.
        grid: Its grid, 3-D.

    Returns:
        "posterior", "anterior" or None.
    """
    widths_mm = np.zeros((len(x_hu), 2))
    for index in np.flatnonzero(body.any(axis=(1, 2))):
        rows = np.flatnonzero(body[index].any(axis=1))
        middle = int(rows.mean())
        grown = _grown(body[index], max(1, round(6.0 / grid.spacing_mm[1])))
        other = (x_hu[index] > TABLE_HU) & ~grown
        parts = (other[middle:], other[:middle])
        widths_mm[index] = [part.any(axis=0).sum() * grid.spacing_mm[2] for part in parts]
    is_wide = (widths_mm >= LEAST_WIDTH_MM).mean(axis=0)
    side = int(np.median(widths_mm[:, 1]) > np.median(widths_mm[:, 0]))
    return ("posterior", "anterior")[side] if is_wide[side] >= LEAST_SHARE else None


def _grown(mask: BoolArray, pixels: int) -> BoolArray:
    """Grow a mask (H, W) by a square."""
    grown = mask.copy()
    for _ in range(pixels):
        grown[1:] |= grown[:-1].copy()
        grown[:-1] |= grown[1:].copy()
        grown[:, 1:] |= grown[:, :-1].copy()
        grown[:, :-1] |= grown[:, 1:].copy()
    return grown
