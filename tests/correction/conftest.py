"""Phantoms made of ellipses, projected in closed form."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from latentct.geometry import FanBeam, ParallelBeam

FIELD_MM = 150.0
MU_WATER = 0.01929

# x and y of the centre, half axes along x and y (mm), what it adds to the density (water = 1)
Ellipse = tuple[float, float, float, float, float]
CHEST: tuple[Ellipse, ...] = (
    (0.0, 0.0, 200.0, 140.0, 1.0),
    (-95.0, -15.0, 70.0, 95.0, -0.7),
    (95.0, -15.0, 70.0, 95.0, -0.7),
    (0.0, 85.0, 25.0, 25.0, 0.5),
)

SCANS: dict[str, ParallelBeam | FanBeam] = {
    "parallel": ParallelBeam.equally_spaced(180, math.pi, 230, 2.0),
    "fan_flat": FanBeam.equally_spaced(360, 2 * math.pi, 300, 3.0, sod_mm=600.0, sdd_mm=1050.0),
    "fan_curved": FanBeam.equally_spaced(360, 2 * math.pi, 300, 3.0, sod_mm=600.0, sdd_mm=1050.0, curved=True),
}


def _project(scan: ParallelBeam | FanBeam, ellipses: tuple[Ellipse, ...]) -> torch.Tensor:
    t = np.asarray(scan.angles_rad)[:, None]
    if isinstance(scan, ParallelBeam):
        direction_rad, distance_mm = t, scan.u_mm()
    else:
        direction_rad, distance_mm = t - scan.fan_angles_rad(), scan.sod_mm * np.sin(scan.fan_angles_rad())
    y = np.zeros(scan.sinogram_shape)
    for x0, y0, a, b, density in ellipses:
        h2 = (a * np.cos(direction_rad)) ** 2 + (b * np.sin(direction_rad)) ** 2
        d = distance_mm - x0 * np.cos(direction_rad) - y0 * np.sin(direction_rad)
        y += density * MU_WATER * 2 * a * b * np.sqrt(np.maximum(h2 - d**2, 0)) / h2
    return torch.from_numpy(y).float()[None, None]


@pytest.fixture(params=SCANS)
def scan(request: pytest.FixtureRequest) -> ParallelBeam | FanBeam:
    return SCANS[request.param]


@pytest.fixture(scope="session")
def project() -> Callable[[ParallelBeam | FanBeam, tuple[Ellipse, ...]], torch.Tensor]:
    return _project


@pytest.fixture(scope="session")
def chest() -> tuple[Ellipse, ...]:
    return CHEST
