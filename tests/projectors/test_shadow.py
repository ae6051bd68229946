"""Where voxels appear on the panel."""

import math

import numpy as np
import pytest
import torch
from tests.projectors.cases import SCANS, VOLUME_GRID
from torch.nn.functional import grid_sample

from latentct.geometry import ConeBeam, Grid
from latentct.projectors.rays import cone_rays
from latentct.projectors.shadow import OUTSIDE, cast_shadow, pixel_at_center_mm, view_direction

CONES = ("cone", "cone_tumbling")


@pytest.mark.parametrize("name", CONES)
def test_shadow_lies_on_the_ray_through_the_voxel(name):
    scan = SCANS[name]
    shadow = cast_shadow(VOLUME_GRID, scan)
    axes_mm = [VOLUME_GRID.coordinates_mm(axis) for axis in range(3)]
    n_rows, n_columns = scan.detector_shape
    for view in range(scan.n_views):
        source_mm, direction = cone_rays(scan, view)
        for index in ((0, 0, 0), (5, 11, 20), (17, 21, 25)):
            u, v = shadow.position[(view, *index)].double().numpy()
            column, row = (u + 1) * n_columns / 2 - 0.5, (v + 1) * n_rows / 2 - 0.5
            if not (0 <= column < n_columns - 1 and 0 <= row < n_rows - 1):
                continue
            c, r = int(column), int(row)
            to_voxel = np.array([axes_mm[a][i] for a, i in enumerate(index)]) - source_mm[0, 0]
            to_voxel /= np.linalg.norm(to_voxel)
            corners = [direction[r + i, c + j] @ to_voxel for i in (0, 1) for j in (0, 1)]
            assert min(corners) > 0.995  # within a pixel of the nearest rays
            if math.isclose(column, c, abs_tol=0.02) and math.isclose(row, r, abs_tol=0.02):
                assert direction[r, c] @ to_voxel == pytest.approx(1.0, abs=1e-6)


def test_shadow_by_hand():
    scan = ConeBeam((0.0, math.pi / 2), (10, 20), (4.0, 3.0), sod_mm=100.0, sdd_mm=200.0, offset_mm=(2.0, -6.0))
    grid = Grid((1, 1, 1), (1.0, 1.0, 1.0), center_mm=(3.0, 20.0, 5.0))  # z, y, x
    # view 0: source at y = -100, u axis +x; the voxel is at depth 120, so magnified by 200 / 120
    magnified = 200 / 120
    expected = ((5 * magnified + 6) / 30, (3 * magnified - 2) / 20)  # half widths of the panel are 30 and 20 mm
    shadow = cast_shadow(grid, scan)
    assert shadow.position[0, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)
    # view 1: source at x = +100, u axis +y, depth 95
    magnified = 200 / 95
    expected = ((20 * magnified + 6) / 30, (3 * magnified - 2) / 20)
    assert shadow.position[1, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)
    assert shadow.visible.flatten().tolist() == [True, False]


def test_position_is_what_grid_sample_reads():
    scan = ConeBeam((0.4,), (6, 8), (5.0, 5.0), sod_mm=100.0, sdd_mm=150.0)
    vectors = scan.vectors()
    at_mm = np.array(vectors.detector_mm[0]) + 1.5 * np.array(vectors.u_mm[0]) - 0.5 * np.array(vectors.v_mm[0])
    grid = Grid((1, 1, 1), (1.0, 1.0, 1.0), center_mm=tuple(at_mm[::-1]))  # a voxel on the panel, at a pixel's centre
    panel = torch.arange(48.0).reshape(1, 1, 6, 8)
    position = cast_shadow(grid, scan).position[:, 0]
    assert grid_sample(panel, position, align_corners=False).item() == pytest.approx(panel[0, 0, 2, 5].item(), abs=1e-3)


@pytest.mark.parametrize("name", CONES)
def test_visible_is_what_a_spot_on_the_panel_shows(name):
    scan = SCANS[name]
    grid = Grid((5, 6, 7), (9.0, 8.0, 9.0), (-2.0, 3.0, -4.0))  # larger than the panel sees
    visible = cast_shadow(grid, scan).visible
    vectors = scan.vectors() if isinstance(scan, ConeBeam) else scan
    for view, (source, middle, u, v) in enumerate(
        zip(*(np.array(a) for a in (vectors.source_mm, vectors.detector_mm, vectors.u_mm, vectors.v_mm)), strict=True)
    ):
        for index in np.ndindex(*grid.shape):
            point = np.array([grid.coordinates_mm(axis)[i] for axis, i in enumerate(index)])[::-1]
            normal = np.cross(u, v)
            on_panel = source + (point - source) * ((middle - source) @ normal) / ((point - source) @ normal) - middle
            a, b = np.linalg.lstsq(np.stack([u, v], axis=1), on_panel)[0]
            inside = abs(a) <= scan.detector_shape[1] / 2 and abs(b) <= scan.detector_shape[0] / 2
            assert bool(visible[(view, *index)]) == inside
    assert 0.2 < visible.float().mean() < 0.9


def test_what_is_behind_the_source_casts_no_shadow():
    scan = ConeBeam((0.0,), (8, 8), (50.0, 50.0), sod_mm=10.0, sdd_mm=20.0)
    shadow = cast_shadow(Grid((1, 3, 1), (1.0, 10.0, 1.0)), scan)  # y = -10 (the source), 0, 10
    behind = cast_shadow(Grid((1, 1, 1), (1.0, 1.0, 1.0), (0.0, -15.0, 0.0)), scan)
    assert shadow.visible.flatten().tolist() == [False, True, True]
    assert shadow.position.isfinite().all()
    assert not behind.visible.any()
    assert (behind.position == OUTSIDE).all()


def test_direction_and_pixel_at_the_center():
    scan = ConeBeam((0.0, 1.0), (4, 4), (6.0, 8.0), sod_mm=800.0, sdd_mm=1200.0)
    grid = Grid((4, 4, 4), (1.0, 1.0, 1.0))
    z, y, x = view_direction(scan, grid).T
    assert z == pytest.approx(0.0)
    assert np.arctan2(-x, y) == pytest.approx(scan.angles_rad)
    assert pixel_at_center_mm(scan, grid) == pytest.approx((4.0, 16 / 3))
