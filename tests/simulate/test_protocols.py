"""The published protocols, number by number."""

import math

import numpy as np
import pytest
import torch

from latentct.correction import linear_interpolation
from latentct.geometry import FanBeam, Grid
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.simulate.protocols import syn_deep_lesion


@pytest.fixture(scope="module")
def protocol():
    return syn_deep_lesion()


def test_syn_deep_lesion_has_its_grid_and_geometry(protocol):
    pixel_mm = 0.36923077
    assert protocol.grid.shape == (416, 416)
    assert protocol.grid.spacing_mm == pytest.approx((pixel_mm, pixel_mm))
    scan = protocol.scan
    assert (scan.n_views, scan.n_bins) == (640, 641)
    assert not scan.curved and scan.offset_mm == 0
    assert np.diff(scan.angles_rad) == pytest.approx(2 * math.pi / 640)
    assert scan.sod_mm == pytest.approx(396.923, abs=1e-3)
    assert scan.sdd_mm - scan.sod_mm == pytest.approx(396.923, abs=1e-3)
    assert scan.n_bins * scan.bin_mm == pytest.approx(2 * math.hypot(153.6, 153.6))


def test_syn_deep_lesion_has_its_physics(protocol):
    scanner = protocol.scanner
    energies_kev = scanner.beam.spectrum.energies_kev
    assert 20 <= min(energies_kev) < 22 and 118 < max(energies_kev) <= 120
    assert scanner.beam.reference_kev == 70
    assert not scanner.beam.energy_integrating
    assert (scanner.i0_photons, scanner.scatter_photons, scanner.electronic_photons) == (2e7, 20, 0)
    assert scanner.scatter_to_primary == 0
    assert scanner.mu_water == 0.0192
    assert len(scanner.water_correction.coefficients) == 3
    water_y = scanner.beam.line_integrals({"water": torch.tensor(500.0) * scanner.beam.reference_mu("water")})
    assert scanner.water_correction.y_max == pytest.approx(float(water_y), rel=1e-4)


GRID = Grid((104, 104), (4 * 0.36923077,) * 2)
SCAN = FanBeam.equally_spaced(320, 2 * math.pi, 321, 1.3534, sod_mm=396.923, sdd_mm=793.846)
Y, X = np.meshgrid(GRID.coordinates_mm(0), GRID.coordinates_mm(1), indexing="ij")


def image(mask) -> torch.Tensor:
    return torch.from_numpy(mask).float()[None, None]


def test_a_ray_through_opaque_metal_counts_its_scatter(protocol):
    """Twenty photons of 2e7: the line integral is ln(1e6), give or take 1 / sqrt(20)."""
    scanner, projector = protocol.scanner, make_projector(GRID, SCAN)
    iron = image(np.hypot(Y, X) < 60)
    y = scanner.scan(torch.zeros_like(iron), projector, {"iron": iron}, generator=torch.Generator().manual_seed(0))
    opaque = scanner.water_correction(torch.tensor(math.log(1e6)))
    assert float(y[..., 155:166].mean()) == pytest.approx(float(opaque), rel=0.01)
    assert float(scanner.noiseless().scan(torch.zeros_like(iron), projector, {"iron": iron}).max()) > 1.5 * float(
        opaque
    )


def test_water_is_measured_at_the_reference_energy(protocol):
    scanner, projector = protocol.scanner, make_projector(GRID, SCAN)
    water = 0.0192 * image(np.hypot(Y, X) < 60)
    y = scanner.scan(water, projector, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(y, projector(water), atol=0.02)


def test_metal_makes_streaks_that_shrink_when_the_trace_is_interpolated(protocol):
    scanner, projector = protocol.scanner, make_projector(GRID, SCAN)
    body = np.hypot(Y, X) < 65
    disks = (np.hypot(Y, X + 30) < 5) | (np.hypot(Y - 10, X - 30) < 5)
    x_mu, metal = 0.0192 * image(body), image(disks)
    y_clean = scanner.noiseless().scan(x_mu, projector)
    y = scanner.scan(x_mu, projector, {"titanium": metal}, generator=torch.Generator().manual_seed(0))
    ray_mask = projector(metal) == 0
    reference_hu, metal_hu, li_hu = (
        1000 * (fbp(data, GRID, SCAN) / 0.0192 - 1) for data in (y_clean, y, linear_interpolation(y, ray_mask))
    )
    tissue = image((np.hypot(Y, X) < 60) & (np.hypot(Y, X + 30) > 9) & (np.hypot(Y - 10, X - 30) > 9)).bool()
    streaks, left = ((x - reference_hu)[tissue].square().mean().sqrt() for x in (metal_hu, li_hu))
    assert streaks > 30
    assert left < 0.5 * streaks
