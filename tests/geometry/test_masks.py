"""Masks that follow from geometry."""

import numpy as np
import pytest

from latentct.geometry import (
    ConeBeam,
    FanBeam,
    Grid,
    ParallelBeam,
    field_of_measurement_mask,
    ray_distance_mm,
    truncation_ray_mask,
)
from latentct.projectors.rays import plane_rays

ANGLES_RAD = (0.0, 0.7, 2.0)
PLANE_SCANS = [
    ParallelBeam(ANGLES_RAD, 40, 2.0, offset_mm=3.0),
    FanBeam(ANGLES_RAD, 40, 4.0, 200.0, 380.0, offset_mm=3.0),
    FanBeam(ANGLES_RAD, 40, 4.0, 200.0, 380.0, offset_mm=3.0, curved=True),
]


@pytest.mark.parametrize("scan", PLANE_SCANS)
def test_distance_is_that_of_the_line_to_the_axis(scan):
    point_mm, direction = plane_rays(scan)
    cross = point_mm[..., 0] * direction[..., 1] - point_mm[..., 1] * direction[..., 0]
    assert np.allclose(np.abs(cross), ray_distance_mm(scan)[None, :])


@pytest.mark.parametrize("scan", PLANE_SCANS)
def test_measured_rays_are_those_within_the_field(scan):
    mask = truncation_ray_mask(scan, diameter_mm=50.0)
    assert mask.shape == scan.sinogram_shape
    assert mask.dtype == np.bool_
    assert mask.any()
    assert not mask.all()
    assert np.array_equal(mask, np.broadcast_to(ray_distance_mm(scan) <= 25.0, mask.shape))


def test_a_cone_is_truncated_by_columns():
    cone = ConeBeam(ANGLES_RAD, (6, 40), (4.0, 4.0), 200.0, 380.0, offset_mm=(0.0, 3.0))
    mask = truncation_ray_mask(cone, diameter_mm=50.0)
    assert np.array_equal(mask[0, 3], truncation_ray_mask(PLANE_SCANS[1], 50.0)[0])
    assert np.array_equal(mask, np.broadcast_to(mask[:1, :1], mask.shape))


def test_field_of_measurement_is_a_disk_about_the_axis():
    grid = Grid((60, 80), (1.0, 1.0), (5.0, -10.0))
    mask = field_of_measurement_mask(grid, diameter_mm=30.0)
    assert mask.sum() == pytest.approx(np.pi * 15.0**2, rel=0.02)
    rows, columns = np.nonzero(mask)
    assert grid.coordinates_mm(0)[rows].mean() == pytest.approx(0.0, abs=1e-9)
    assert grid.coordinates_mm(1)[columns].mean() == pytest.approx(0.0, abs=1e-9)


def test_field_of_measurement_of_a_volume_is_its_cross_section():
    volume, plane = Grid((4, 20, 22), (3.0, 1.0, 1.0)), Grid((20, 22), (1.0, 1.0))
    assert np.array_equal(field_of_measurement_mask(volume, 12.0), field_of_measurement_mask(plane, 12.0))
