"""The water correction."""

import math

import pytest
import torch

from latentct.geometry import FanBeam, Grid
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.simulate import Beam, WaterCorrection, make_scanner, tube_spectrum
from latentct.units import MU_WATER_70KEV, mu_to_hu

GRID = Grid((96, 96), (4.6, 4.6))
SCAN = FanBeam.equally_spaced(120, 2 * math.pi, 192, 4.6, 595.0, 1085.6, curved=True)
PROJECTOR = make_projector(GRID, SCAN)
TUBE = Beam(tube_spectrum(120))


def disk(radius_mm: float, x_mm: float = 0.0) -> torch.Tensor:
    """Share of each pixel in a disk, its rim blurred over one pixel, (1, 1, H, W)."""
    y, x = (torch.from_numpy(GRID.coordinates_mm(axis)) for axis in (0, 1))
    distance_mm = torch.hypot(y[:, None], x[None] - x_mm)
    return ((radius_mm - distance_mm) / 4.6 + 0.5).clamp(0, 1).float()[None, None]


def change_hu(x_mu: torch.Tensor, metal: dict[str, torch.Tensor], water_degree: int | None) -> torch.Tensor:
    """What the beam changes in the image against the scan at one energy, in HU."""
    scanner = make_scanner(water_degree=water_degree).noiseless()
    ideal = make_scanner(None, water_degree=None).noiseless()
    found, expected = (fbp(s.scan(x_mu, PROJECTOR, metal), GRID, SCAN) for s in (scanner, ideal))
    return mu_to_hu(found, MU_WATER_70KEV) - mu_to_hu(expected, MU_WATER_70KEV)


@pytest.mark.parametrize("radius_mm", [50.0, 100.0, 200.0])
def test_water_cylinders_of_all_sizes_read_zero(radius_mm):
    x_mu = disk(radius_mm) * MU_WATER_70KEV
    inside = disk(radius_mm - 15) == 1
    corrected, uncorrected = (change_hu(x_mu, {}, degree)[inside] for degree in (4, None))
    assert corrected.abs().max() < 2
    assert corrected.mean().abs() < 0.5
    assert uncorrected.abs().max() > 20


@pytest.mark.parametrize("material, least_hu", [("bone", 30), ("titanium", 60), ("iron", 400)])
def test_what_is_denser_than_water_leaves_a_dark_band(material, least_hu):
    """Between two rods of 20 mm radius in water; beside them there is none."""
    rods = disk(20, -50) + disk(20, 50)
    x_mu = disk(150) * MU_WATER_70KEV
    change = change_hu(x_mu, {material: rods}, water_degree=4)[0, 0]
    assert change[46:50, 46:50].mean() < -least_hu
    assert change[20:24, 46:50].mean().abs() < least_hu / 4


def test_a_higher_degree_fits_better():
    path = torch.linspace(1, 9, 50, dtype=torch.float64)
    y = TUBE.line_integrals({"water": path})
    errors = [(WaterCorrection.fit(TUBE, degree)(y) / path - 1).abs().max().item() for degree in (1, 2, 3, 4, 5)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-2] < 1e-3


def test_beyond_the_longest_path_and_below_zero_it_goes_on_straight():
    correction = WaterCorrection((1.0, 0.5), y_max=2.0)
    y = torch.tensor([-1.0, 0.0, 1.0, 2.0, 5.0])
    torch.testing.assert_close(correction(y), torch.tensor([-1.0, 0.0, 1.5, 4.0, 13.0]))


def test_differentiable():
    correction = WaterCorrection.fit(TUBE, 3, max_path_mm=300)
    y = torch.tensor([-0.5, 0.3, 2.0, 5.0, 9.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(correction, (y,))
