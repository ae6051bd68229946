"""Feldkamp's algorithm: amplitude and position of a sphere in full, short and displaced scans; few views."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from latentct.geometry import ConeBeam, Grid
from latentct.projectors import make_projector
from latentct.recon import FDK, fdk
from latentct.units import MU_WATER_70KEV

GRID = Grid((24, 40, 42), (6.0, 6.0, 6.0))
PANEL = {"detector_shape": (40, 64), "pixel_mm": (9.0, 7.5), "sod_mm": 800.0, "sdd_mm": 1200.0}
CENTER_MM, RADIUS_MM = (20.0, -15.0, 10.0), 60.0

SCANS = {
    "full": ConeBeam.equally_spaced(120, 2 * math.pi, **PANEL),
    "short": ConeBeam.equally_spaced(100, math.pi + 0.5, **PANEL, start_rad=-0.7),
    "displaced": ConeBeam.equally_spaced(
        120, 2 * math.pi, (40, 40), (9.0, 7.5), 800.0, 1200.0, offset_mm=(10.0, -100.0)
    ),
}


def sphere(scan: ConeBeam) -> torch.Tensor:
    """Return the line integrals (1, 1, A, V, U) of a sphere of water, in closed form."""
    views = scan.vectors()
    source_mm, middle_mm, u_mm, v_mm = (
        np.asarray(vectors)[:, None, None] for vectors in (views.source_mm, views.detector_mm, views.u_mm, views.v_mm)
    )
    n_rows, n_columns = scan.detector_shape
    v, u = np.arange(n_rows) - (n_rows - 1) / 2, np.arange(n_columns) - (n_columns - 1) / 2
    ray = middle_mm + v[:, None, None] * v_mm + u[:, None] * u_mm - source_mm
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    to_center = np.asarray(CENTER_MM) - source_mm
    squared = (to_center**2).sum(-1) - (ray * to_center).sum(-1) ** 2
    return torch.from_numpy(2 * MU_WATER_70KEV * np.sqrt(np.maximum(RADIUS_MM**2 - squared, 0))).float()[None, None]


def distance_mm() -> torch.Tensor:
    """Return the distance of each voxel to the centre of the sphere."""
    z_mm, y_mm, x_mm = np.meshgrid(*(GRID.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    x, y, z = CENTER_MM
    return torch.from_numpy(np.sqrt((x_mm - x) ** 2 + (y_mm - y) ** 2 + (z_mm - z) ** 2))


@pytest.mark.parametrize("name", SCANS)
def test_a_sphere_of_water_comes_back_at_its_amplitude(name):
    x = fdk(sphere(SCANS[name]), GRID, SCANS[name])[0, 0] / MU_WATER_70KEV
    inside, around = x[distance_mm() < 48], x[(distance_mm() > 75) & (distance_mm() < 100)]
    assert inside.mean().item() == pytest.approx(1.0, abs=0.005)
    assert inside.std() < 0.01
    assert around.mean().item() == pytest.approx(0.0, abs=0.002)


@pytest.mark.parametrize("name", SCANS)
def test_the_sphere_is_where_it_was(name):
    x = fdk(sphere(SCANS[name]), GRID, SCANS[name], "hann")[0, 0].double()
    mass = torch.where(x > 0.3 * MU_WATER_70KEV, x, 0.0)
    for axis, expected_mm in enumerate(reversed(CENTER_MM)):
        others = tuple(other for other in range(3) if other != axis)
        found_mm = (mass.sum(others) * torch.from_numpy(GRID.coordinates_mm(axis))).sum() / mass.sum()
        assert found_mm.item() == pytest.approx(expected_mm, abs=0.4)


@pytest.mark.parametrize("angles_rad", [(0.0,), (0.0, 1.57), (0.1, 0.9, 4.0, 5.5), (0.5, 0.5, 2.0)])
def test_few_views_at_any_angles_keep_the_level(angles_rad):
    """One view spreads the sphere along its rays; more pile up in it."""
    scan = replace(SCANS["full"], angles_rad=angles_rad)
    x = fdk(sphere(scan), GRID, scan)[0, 0] / MU_WATER_70KEV
    assert torch.isfinite(x).all()
    assert 0.1 < x[distance_mm() < 48].mean() < 1.6


def test_eight_views_over_half_a_turn():
    scan = ConeBeam.equally_spaced(8, math.pi, **PANEL)
    x = fdk(sphere(scan), GRID, scan)[0, 0] / MU_WATER_70KEV
    assert x[distance_mm() < 48].mean().item() == pytest.approx(1.0, abs=0.04)


def test_compiled_and_reference_agree_and_a_batch_is_its_items():
    scan = replace(SCANS["displaced"], angles_rad=SCANS["displaced"].angles_rad[::10])
    y = torch.rand(3, 1, *scan.sinogram_shape, generator=torch.Generator().manual_seed(0))
    x = fdk(y, GRID, scan)
    torch.testing.assert_close(x, fdk(y.double(), GRID, scan).float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(x[1:2], fdk(y[1:2], GRID, scan), rtol=0, atol=1e-7)


def test_the_reconstructor_counts_unmeasured_rays_as_zero():
    scan = replace(SCANS["full"], angles_rad=SCANS["full"].angles_rad[::20])
    projector = make_projector(GRID, scan)
    ray_mask = torch.rand(scan.sinogram_shape, generator=torch.Generator().manual_seed(0)) > 0.3
    y = sphere(scan)
    found = FDK("hann")(torch.where(ray_mask, y, torch.nan), projector, ray_mask)
    assert torch.equal(found, fdk(y * ray_mask, GRID, scan, "hann"))


def test_free_geometries_and_wrong_shapes_are_refused():
    vectors = SCANS["full"].vectors()
    with pytest.raises(TypeError, match="VectorConeBeam"):
        fdk(torch.zeros(1, 1, *vectors.sinogram_shape), GRID, vectors)
    with pytest.raises(ValueError, match="end in"):
        fdk(torch.zeros(1, 1, 3, 4, 5), GRID, SCANS["full"])
