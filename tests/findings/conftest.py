"""An elliptical body in air, as a scanner shows it: inside a circle, the rest padded."""

from collections.abc import Callable

import numpy as np
import pytest

from latentct.geometry import Grid

Scene = Callable[..., np.ndarray]


@pytest.fixture
def grid() -> Grid:
    """Three slices of 160 x 160 pixels of 2 mm."""
    return Grid((3, 160, 160), (4.0, 2.0, 2.0))


@pytest.fixture
def scene(grid: Grid) -> Scene:
    """Return a maker of volumes in HU: body of given half axes (y, x) in a padded circle."""

    def make(half_mm: tuple[float, float], diameter_mm: float, center_mm: tuple[float, float] = (0.0, 0.0)):
        y_mm, x_mm = grid.coordinates_mm(1)[:, None], grid.coordinates_mm(2)[None]
        noise = np.random.default_rng(0).normal(0, 10, grid.shape)
        body = np.hypot(y_mm / half_mm[0], x_mm / half_mm[1]) <= 1
        seen = np.hypot(y_mm - center_mm[0], x_mm - center_mm[1]) <= diameter_mm / 2
        return np.where(seen, np.where(body, 40.0, -990.0) + noise, -2000.0).astype(np.float32)

    return make
