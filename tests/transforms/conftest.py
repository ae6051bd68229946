"""A body on a table, as volumes with an affine."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

SPACING_MM = (5.0, 2.0, 2.0)
SHAPE = (120, 160)


def disk(center: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """Pixels of an ellipse, centre and half axes in mm from the middle of the slice, in the order y, x."""
    y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING_MM[1:], strict=True))
    return ((y[:, None] - center[0]) / radii[0]) ** 2 + ((x[None, :] - center[1]) / radii[1]) ** 2 <= 1


@pytest.fixture
def torso() -> np.ndarray:
    """Where the trunk is."""
    return disk((0, 0), (60, 90))


@pytest.fixture
def arms() -> np.ndarray:
    """Where the arms are, apart from the trunk."""
    return disk((10, -120), (22, 22)) | disk((10, 120), (22, 22))


@pytest.fixture
def scene_hu(torso: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """One slice: trunk with lungs and arms on a thin table, with a lead above."""
    x_hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    x_hu[torso | arms] = 40
    x_hu[disk((-5, -40), (30, 25)) | disk((-5, 40), (30, 25))] = -850
    x_hu[100:102] = 200  # the table: a shell of 4 mm, 10 mm below the trunk
    x_hu[10:13, 20:23] = 1500  # a lead of 6 mm
    return x_hu


@pytest.fixture
def make_volume() -> Callable[..., MetaTensor]:
    """From an array (D, H, W) to what MONAI has after `Orientationd(axcodes="SPL")`."""

    def make(x_hu: np.ndarray, spacing_mm: tuple[float, ...] = SPACING_MM, **meta: str) -> MetaTensor:
        affine = np.zeros((4, 4))
        affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (*spacing_mm, 1.0)
        affine[:3, 3] = (-30.0, 20.0, -400.0)
        return MetaTensor(torch.as_tensor(x_hu, dtype=torch.float32)[None], affine=affine, meta=meta)

    return make
