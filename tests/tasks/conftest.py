"""A body that is scanned with and without metal."""

import math

import numpy as np
import pytest
import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.units import MU_WATER_70KEV

GRID = Grid((60, 64), (4.0, 4.0))
SCANS = {
    "parallel": ParallelBeam.equally_spaced(120, math.pi, 96, 4.0),
    "fan": FanBeam.equally_spaced(180, 2 * math.pi, 110, 6.0, sod_mm=500.0, sdd_mm=900.0),
}


@pytest.fixture(params=SCANS)
def projector(request):
    return make_projector(GRID, SCANS[request.param])


@pytest.fixture
def parallel():
    return make_projector(GRID, SCANS["parallel"])


@pytest.fixture(scope="session")
def body_mu():
    """An ellipse of water with a bone (2, 1, H, W), the second slice denser."""
    y_mm, x_mm = GRID.coordinates_mm(0)[:, None], GRID.coordinates_mm(1)
    x = np.where((y_mm / 85) ** 2 + (x_mm / 105) ** 2 < 1, 1.0, 0.0) + np.where(np.hypot(y_mm, x_mm + 40) < 15, 0.6, 0)
    return torch.from_numpy(np.stack([x, 1.05 * x])[:, None]).float() * MU_WATER_70KEV


@pytest.fixture(scope="session")
def metal():
    """One pixel of metal in the first slice, a plate in the second, bool (2, 1, H, W)."""
    mask = torch.zeros(2, 1, *GRID.shape, dtype=torch.bool)
    mask[0, 0, 25, 40] = True
    mask[1, 0, 30:33, 20:32] = True
    return mask
