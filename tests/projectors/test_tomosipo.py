"""The tomosipo adaptor: its geometries on any machine that has tomosipo, its projections where there is a GPU."""

import math

import numpy as np
import pytest
import torch
from tests.projectors.cases import PLANE_GRID, SCANS, VOLUME_GRID, blob, build, random_pair, relative_error

from latentct.geometry import ConeBeam, ParallelBeam
from latentct.projectors import make_projector
from latentct.projectors.tomosipo_cuda import tomosipo_geometries

tomosipo = pytest.importorskip("tomosipo")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="tomosipo projects on CUDA devices")


def test_the_stack_of_slices_lies_where_the_grid_does():
    volume, _ = tomosipo_geometries(PLANE_GRID, SCANS["parallel"], n_slices=3)
    assert volume.shape == (3, *PLANE_GRID.shape)
    assert np.allclose(volume.pos, [(0.0, 4.0, -6.0)])
    assert np.allclose(volume.voxel_size, (1.0, 2.0, 1.7))


def test_parallel_rays_meet_the_detector_where_ours_do():
    scan = ParallelBeam((0.0, 0.7, math.pi / 2), 30, 1.5, offset_mm=4.0)
    _, projections = tomosipo_geometries(PLANE_GRID, scan, n_slices=5)
    z_mm, y_mm, x_mm = 1.0, -9.0, 21.0
    found = np.squeeze(projections.project_point((z_mm, y_mm, x_mm)))
    u_mm = x_mm * np.cos(scan.angles_rad) + y_mm * np.sin(scan.angles_rad) - scan.offset_mm
    assert np.allclose(found[:, 0], z_mm)
    assert np.allclose(found[:, 1], u_mm / 1.5)


def test_cone_rays_meet_the_panel_where_ours_do():
    scan = ConeBeam((0.0, 0.7, math.pi / 2), (20, 30), (1.2, 1.5), 150.0, 270.0, offset_mm=(3.0, -5.0))
    volume, projections = tomosipo_geometries(VOLUME_GRID, scan, n_slices=1)
    z_mm, y_mm, x_mm = 6.0, -9.0, 21.0
    t = np.asarray(scan.angles_rad)
    depth_mm = 150.0 + y_mm * np.cos(t) - x_mm * np.sin(t)
    found = np.squeeze(projections.project_point((z_mm, y_mm, x_mm)))
    assert np.allclose(found[:, 0], (270.0 * z_mm / depth_mm - 3.0) / 1.2)
    assert np.allclose(found[:, 1], (270.0 * (x_mm * np.cos(t) + y_mm * np.sin(t)) / depth_mm + 5.0) / 1.5)
    assert projections.det_shape == (20, 30)
    assert np.allclose(volume.pos, [(-2.0, 3.0, -4.0)])
    assert np.allclose(volume.size, VOLUME_GRID.extent_mm)


class _Recorder:
    """Stands in for a tomosipo operator: checks what it is given and numbers what it returns."""

    def __init__(self, domain_shape, range_shape):
        self.domain_shape, self.range_shape = domain_shape, range_shape

    def __call__(self, data, out):
        assert data.is_contiguous()
        assert tuple(data.shape) == self.domain_shape
        out.copy_(torch.arange(out[0].numel() * len(out), dtype=torch.float32).reshape(out.shape))


def test_the_adaptor_turns_rows_first_into_views_first(monkeypatch):
    projector = make_projector(VOLUME_GRID, SCANS["cone"], "tomosipo")
    n_views, n_rows, n_columns = SCANS["cone"].sinogram_shape
    stand_in = _Recorder(VOLUME_GRID.shape, (n_rows, n_views, n_columns))
    monkeypatch.setattr(projector, "_operator", lambda n_slices: stand_in)
    y = projector(torch.zeros(2, 1, *VOLUME_GRID.shape))
    assert y.shape == (2, 1, n_views, n_rows, n_columns)
    assert y[0, 0, 3, 2, 1] == 2 * n_views * n_columns + 3 * n_columns + 1


@needs_cuda
@pytest.mark.cuda
@pytest.mark.parametrize("name", ["parallel", "parallel_offset", "cone", "cone_tumbling"])
def test_projections_agree_with_the_reference(name):
    grid = PLANE_GRID if name.startswith("parallel") else VOLUME_GRID
    projector, reference = make_projector(grid, SCANS[name], "tomosipo"), build("torch", name)
    x = blob(grid, (5.0,) * grid.ndim, sd_mm=8.0).repeat(3, 1, *[1] * grid.ndim)
    assert relative_error(projector(x.cuda()).cpu(), reference(x)) < 0.02
    x, y = (tensor.cuda() for tensor in random_pair(projector, 2, torch.float32))
    forward, adjoint = projector(x), projector.adjoint(y)
    assert abs((forward * y).sum() - (x * adjoint).sum()) < 0.02 * forward.norm() * y.norm()
