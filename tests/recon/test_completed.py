"""FBP of rays that another reconstruction completes."""

import math

import pytest
import torch

from latentct.geometry import ConeBeam, Grid, ParallelBeam
from latentct.projectors import Projector, make_projector
from latentct.recon import CompletedFBP, TotalVariation, fbp

GRID = Grid((24, 24), (4.0, 4.0))
SCAN = ParallelBeam.equally_spaced(40, math.pi, 40, 4.0)


@pytest.fixture(scope="module")
def projector() -> Projector:
    return make_projector(GRID, SCAN)


@pytest.fixture(scope="module")
def x_mu() -> torch.Tensor:
    x = torch.zeros(1, 1, 24, 24)
    x[0, 0, 6:18, 8:20] = 0.02
    return x


def test_measured_rays_stay_and_the_others_come_from_the_reconstruction(
    projector: Projector, x_mu: torch.Tensor
) -> None:
    y = projector.forward(x_mu)
    ray_mask = torch.rand(40, 40, generator=torch.Generator().manual_seed(0)) < 0.5
    spoilt = torch.where(ray_mask, y, torch.nan)
    result = CompletedFBP(lambda y, projector, ray_mask: 3 * x_mu, "hann")(spoilt, projector, ray_mask)
    expected = fbp(torch.where(ray_mask, y, 3 * y), GRID, SCAN, "hann")
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-7)


def test_with_every_ray_it_is_filtered_back_projection(projector: Projector, x_mu: torch.Tensor) -> None:
    y = projector.forward(x_mu)
    assert torch.equal(CompletedFBP(TotalVariation(0.01))(y, projector), fbp(y, GRID, SCAN))


def test_completing_few_views_by_total_variation_comes_close_to_the_complete_scan(
    projector: Projector, x_mu: torch.Tensor
) -> None:
    y = projector.forward(x_mu)
    ray_mask = torch.zeros(40, 40, dtype=torch.bool)
    ray_mask[::8] = True
    variation = TotalVariation(0.003, n_iterations=100)
    reference, plain = fbp(y, GRID, SCAN), variation(y, projector, ray_mask)
    completed = CompletedFBP(variation)(y, projector, ray_mask)
    assert (completed - reference).abs().mean() < 0.5 * (plain - reference).abs().mean()


def test_cone_beams_are_refused() -> None:
    scan = ConeBeam.equally_spaced(4, 2 * math.pi, detector_shape=(4, 4), pixel_mm=(4.0, 4.0), sod_mm=50.0, sdd_mm=90.0)
    projector = make_projector(Grid((4, 4, 4), (2.0, 2.0, 2.0)), scan)
    with pytest.raises(TypeError, match="not ConeBeam"):
        CompletedFBP(TotalVariation(0.01))(torch.zeros(1, 1, 4, 4, 4), projector)
