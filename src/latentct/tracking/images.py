"""Pictures of slices for the record of a training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GAP_PX = 2


def comparison_panel(
    pairs_hu: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    window_hu: tuple[float, float],
    difference_hu: float,
) -> NDArray[np.uint8]:
    """Arrange pairs of images as rows of image | reconstruction | reconstruction minus image.

    Args:
        pairs_hu: image and reconstruction in HU, each (..., H, W); of leading axes the middle is shown.
        window_hu: HU shown as black and as white.
        difference_hu: HU of the difference shown as white, and with a minus sign as black.

    Returns:
        (rows, columns) uint8 picture. As in a radiological view, the first row of a slice (anterior) is on top.
    """
    rows = []
    for image_hu, recon_hu in pairs_hu:
        image, recon = _middle_slice(image_hu), _middle_slice(recon_hu)
        tiles = [
            _grey(image, *window_hu),
            _grey(recon, *window_hu),
            _grey(recon - image, -difference_hu, difference_hu),
        ]
        rows.append(np.hstack([np.pad(tile, GAP_PX, constant_values=255) for tile in tiles]))
    return np.vstack(rows)


def _middle_slice(volume: NDArray[np.floating]) -> NDArray[np.floating]:
    while volume.ndim > 2:
        volume = volume[volume.shape[0] // 2]
    return volume


def _grey(image_hu: NDArray[np.floating], low_hu: float, high_hu: float) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip((image_hu - low_hu) / (high_hu - low_hu), 0, 1)).astype(np.uint8)
