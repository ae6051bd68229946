"""Volumes from few cone-beam views; other views are sent elsewhere."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import ConeBeam, FanBeam
from latentct.io.projections import Projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector
from latentct.serving import Corrector, load_corrector
from latentct.units import hu_to_mu
from latentct.workflow.rays import rays_method
from latentct.workflow.volumes import check_views, reconstruct_views

from ..serving.conftest import body_hu, stage_small


@pytest.fixture(scope="module")
def corrector(tmp_path_factory: pytest.TempPathFactory) -> Corrector:
    return load_corrector(stage_small(tmp_path_factory.mktemp("staged"), "clsdm_sparse_view"), "cpu")


def views(corrector: Corrector, n: int = 3) -> Projections:
    """Views of a body at its isocentre, somewhere in the patient's world."""
    method = corrector.method
    scan = replace(method.geometry.scan, angles_rad=tuple(math.pi * i / n for i in range(n)))
    x_mu = hu_to_mu(torch.from_numpy(body_hu(method.grid.shape)).float(), method.mu_water)[None, None]
    y = make_projector(method.grid, scan)(x_mu)[0, 0].numpy()
    return Projections(y, ScanGeometry(scan, method.mu_water, isocenter_mm=(10.0, 20.0, 30.0)))


def test_volume_and_spread_are_those_of_the_sampler(corrector):
    projections = views(corrector)
    result = reconstruct_views(projections, None, corrector)
    method = corrector.method
    y = torch.from_numpy(projections.y)[None, None]
    projector = make_projector(method.grid, projections.geometry.scan)
    found = method.sampler.reconstruct(y, method.network, projector=projector)
    expected_hu = 1000 * (found.x_mu[0, 0] / method.mu_water - 1)
    np.testing.assert_allclose(result.x_hu, expected_hu.clamp(min=-1024), atol=0.51)
    np.testing.assert_allclose(result.spread_hu, 1000 * found.x_std_mu[0, 0] / method.mu_water, rtol=1e-4)
    assert result.residual == pytest.approx(float(found.residual))
    assert result.x_hu.dtype == np.float32 and "All 3 views were measured" in result.statement
    middle = result.affine_lps_mm @ (*((np.array(method.grid.shape) - 1) / 2), 1)
    np.testing.assert_allclose(middle[:3], (10, 20, 30))
    again = reconstruct_views(projections, "sparse-view", corrector)
    assert np.array_equal(again.x_hu, result.x_hu)


def test_other_views_tasks_and_bundles_are_refused(corrector, tmp_path: Path):
    few, slices = views(corrector), load_corrector(stage_small(tmp_path, "lsr_truncation"), "cpu")
    many = ConeBeam.equally_spaced(17, math.pi, (4, 4), (100.0, 100.0), 800.0, 1200.0)
    with pytest.raises(InputError, match=r"17 cone-beam views, but 2 to 16 .* use `latentct reconstruct`"):
        check_views(Projections(np.zeros(many.sinogram_shape, np.float32), ScanGeometry(many, 0.02)), None)
    with pytest.raises(InputError, match="the task metal is for slices"):
        reconstruct_views(few, "metal", corrector)
    with pytest.raises(InputError, match="give clsdm_sparse_view"):
        reconstruct_views(few, None, slices)
    fan = FanBeam.equally_spaced(180, 2 * math.pi, 60, 15.0, 600.0, 1000.0)
    rays = Projections(np.zeros((1, *fan.sinogram_shape), np.float32), ScanGeometry(fan, 0.02))
    with pytest.raises(InputError, match="the bundle makes volumes of cone-beam views"):
        rays_method(rays, None, corrector)
    away = replace(few.geometry, scan=replace(few.geometry.scan, offset_mm=(0.0, 5000.0)))
    with pytest.raises(InputError, match="sees 0 % of the volume"):
        reconstruct_views(Projections(few.y, away), None, corrector)
