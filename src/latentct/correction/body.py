"""Where the patient is in a slice, and whether the image shows all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

BoolArray = npt.NDArray[np.bool_]

BODY_THRESHOLD_HU = -500.0
"""Half way between air and soft tissue."""


def body_mask(
    x_hu: npt.NDArray[Any], spacing_mm: Sequence[float], sheet_mm: float = 6.0, least_mm2: float = 1000.0
) -> BoolArray:
    """Find the patient in each slice, without table, blankets and leads.

    Tissue is what exceeds `BODY_THRESHOLD_HU`. An opening removes sheets thinner than `sheet_mm`, as the shells of a
    table, pieces smaller than `least_mm2` are dropped, and holes (lungs, bowel gas) are filled slice by slice.

    Args:
        x_hu: volume (D, H, W) in HU.
        spacing_mm: (dy, dx) of the pixels.
        sheet_mm: thickness in mm under which a structure is not body.
        least_mm2: area in mm2 under which a piece is not body.

    Returns:
        Mask (D, H, W), True in the body.
    """
    disk = _disk(sheet_mm / 2, spacing_mm)
    least_pixels = least_mm2 / (spacing_mm[0] * spacing_mm[1])
    return np.stack([_slice_body(tissue, disk, least_pixels) for tissue in np.asarray(x_hu) > BODY_THRESHOLD_HU])


def cut_contour_fraction(body: BoolArray) -> npt.NDArray[np.float64]:
    """Return the share of the body's contour that lies on the border of the image or of its inscribed circle.

    A scanner's image ends at the largest circle that fits into it. Where the body reaches that circle it goes on
    outside, so the projections of the slice are not those of the patient.

    Args:
        body: masks (D, H, W).

    Returns:
        Fractions (D,), 0 for a whole or an empty slice.
    """
    _, height, width = body.shape
    y, x = (np.arange(n) - (n - 1) / 2 for n in (height, width))
    edge = np.hypot(y[:, None] / (height / 2), x[None, :] / (width / 2)) >= 1 - 4 / min(height, width)
    contour = body & ~ndimage.binary_erosion(body, structure=np.ones((1, 3, 3)), border_value=0)
    fraction: npt.NDArray[np.float64] = (contour & edge).sum(axis=(1, 2)) / np.maximum(contour.sum(axis=(1, 2)), 1)
    return fraction


def _disk(radius_mm: float, spacing_mm: Sequence[float]) -> BoolArray:
    ny, nx = (int(radius_mm // step) for step in spacing_mm)
    y, x = np.ogrid[-ny : ny + 1, -nx : nx + 1]
    return np.hypot(y * spacing_mm[0], x * spacing_mm[1]) <= radius_mm


def _slice_body(tissue: BoolArray, disk: BoolArray, least_pixels: float) -> BoolArray:
    opened = ndimage.binary_opening(tissue, structure=disk)
    labels, n = ndimage.label(opened)
    sizes = ndimage.sum_labels(opened, labels, index=np.arange(n + 1))
    return np.asarray(ndimage.binary_fill_holes((sizes >= least_pixels)[labels] & opened), dtype=bool)
