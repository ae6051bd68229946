"""The virtual scan: what it covers, what it keeps, which rays it leaves."""

import numpy as np
import pytest
import torch

from latentct.findings import CircularField, find, rays_through_field, virtual_scan, with_changed_rays
from latentct.geometry import Grid, ray_distance_mm
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.tasks.metal import rays_beside
from latentct.units import MU_WATER_70KEV, hu_to_mu, mu_to_hu


def _scanned(x_hu: np.ndarray, virtual) -> tuple:
    projector = make_projector(virtual.grid, virtual.scan)
    slices_hu = torch.from_numpy(x_hu)[:, None]
    return projector, slices_hu, projector(hu_to_mu(slices_hu.clamp_min(-1000), MU_WATER_70KEV))


def _beside_metal(findings, virtual) -> torch.Tensor:
    metal = torch.from_numpy(findings.metal.mask)[:, None]
    return rays_beside(metal, make_projector(virtual.grid, virtual.scan))


def test_axis_is_in_the_middle_of_the_field(grid):
    virtual = virtual_scan(grid, CircularField((10.0, -20.0), 250.0))
    assert virtual.grid.center_mm == (-10.0, 20.0)
    assert virtual.grid.shape == grid.shape[1:]


def test_rays_cover_the_field_or_what_is_asked_for():
    grid = Grid((1, 64, 64), (1.0, 4.0, 4.0))
    for virtual, radius_mm in (
        (virtual_scan(grid), 128 * np.sqrt(2)),
        (virtual_scan(grid, CircularField((0, 0), 200.0)), 100),
        (virtual_scan(grid, CircularField((0, 0), 200.0), cover_mm=500.0), 250),
        (virtual_scan(grid, None, cover_mm=1100.0), 550),
    ):
        reach_mm = ray_distance_mm(virtual.scan).max()
        assert radius_mm <= reach_mm < radius_mm + 16
        assert virtual.scan.sod_mm > radius_mm


def test_complete_scan_gives_the_image_back(grid, scene):
    x_hu = scene((90, 100), 300.0)[:1]
    x_hu = np.where(x_hu > -500, 40, -1000).astype(np.float32)
    virtual = virtual_scan(grid, CircularField((0, 0), 300.0))
    _, _, y = _scanned(x_hu, virtual)
    found_hu = mu_to_hu(fbp(y, virtual.grid, virtual.scan), MU_WATER_70KEV)[0, 0].numpy()
    y_mm, x_mm = grid.coordinates_mm(1)[:, None], grid.coordinates_mm(2)[None]
    inside = np.hypot(y_mm / 80, x_mm / 90) <= 1
    assert found_hu[inside].mean() == pytest.approx(40, abs=1)
    assert np.quantile(np.abs(found_hu[inside] - 40), 0.95) < 10


def test_image_whose_rays_do_not_change_is_kept_and_a_change_arrives(grid, scene):
    x_hu = scene((90, 100), 300.0)[:1]
    virtual = virtual_scan(grid, CircularField((0, 0), 300.0))
    projector, slices_hu, y = _scanned(x_hu, virtual)
    assert torch.equal(with_changed_rays(slices_hu, y, y.clone(), virtual, MU_WATER_70KEV), slices_hu)
    changed = torch.zeros_like(slices_hu)
    changed[0, 0, 60:90, 60:90] = 100 / 1000 * MU_WATER_70KEV
    found_hu = with_changed_rays(slices_hu, y, y + projector(changed), virtual, MU_WATER_70KEV)
    assert (found_hu - slices_hu)[0, 0, 65:85, 65:85].numpy() == pytest.approx(100, abs=5)


def test_truncation_leaves_the_rays_through_the_field(grid, scene):
    findings = find(scene((90, 150), 250.0), grid)
    virtual = virtual_scan(grid, findings.field, cover_mm=400.0)
    rays = rays_through_field(findings, virtual.scan)
    assert rays.shape == virtual.scan.sinogram_shape
    distance_mm = ray_distance_mm(virtual.scan)
    assert rays[0][distance_mm < 123].all() and not rays[0][distance_mm > 127].any()


def test_metal_leaves_the_rays_beside_it_slice_by_slice(grid, scene):
    x_hu = scene((90, 100), 300.0)
    x_hu[1, 80:85, 60:64] = 8000
    findings = find(x_hu, grid)
    virtual = virtual_scan(grid, findings.field)
    rays = _beside_metal(findings, virtual)
    assert rays.shape == (3, 1, *virtual.scan.sinogram_shape)
    assert rays[0].all() and rays[2].all()
    missing = (~rays[1, 0]).sum(dim=1)
    assert (missing >= 8).all() and (missing <= 17).all()  # 8 mm x 10 mm, a pixel wider at most


def test_whole_body_is_seen_by_all_rays(grid, scene):
    findings = find(scene((90, 100), 300.0), grid)
    virtual = virtual_scan(grid, findings.field)
    assert _beside_metal(findings, virtual).all()
