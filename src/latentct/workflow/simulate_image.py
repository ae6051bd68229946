"""An image as a scanner with a smaller field of view would have delivered it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from latentct.errors import InputError
from latentct.geometry.masks import field_of_measurement_mask
from latentct.io.image import CTImage

PADDING_HU = -1024.0
"""What stands outside of the field where the file format marks no padding."""


def cut_image(image: CTImage, field_mm: float) -> CTImage:
    """Remove what lies outside of a circle about the middle of the slices.

    The HU inside are those of the input. A scanner whose detector is too narrow would have changed them too: cupping
    towards the rim, and a bright ring on it. These artefacts are not in the result.

    Args:
        image: What is cut.
        field_mm: Diameter of the circle.

    Raises:
        InputError: The circle holds no pixel or all of them.
    """
    if not (math.isfinite(field_mm) and field_mm > 0):
        raise InputError(f"--field-mm is {field_mm:g}, but a diameter above 0 is expected; correct it.")
    inside = field_of_measurement_mask(image.grid, field_mm)
    if inside.all() or not inside.any():
        raise InputError(
            f"--field-mm {field_mm:g} leaves {int(inside.sum())} of {inside.size} pixels of a slice, so that there is "
            "nothing cut or nothing left; choose a diameter between the size of a pixel and of the image."
        )
    padding = np.broadcast_to(~inside, image.x_hu.shape)
    padding = padding.copy() if image.padding is None else padding | image.padding
    return replace(image, x_hu=np.where(padding, np.float32(PADDING_HU), image.x_hu), padding=padding)


def cut_sentence(field_mm: float) -> str:
    """Say what `cut_image` did, for people and for the header of a file."""
    return (
        f"Simulated field of view of {field_mm:g} mm: what lies outside of this circle about the middle of the image "
        "was removed, and the HU inside are unchanged, so the artefacts of a detector too narrow are not in it."
    )
