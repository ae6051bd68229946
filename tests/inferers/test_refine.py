"""Total variation about a learned image."""

import pytest
import torch

from latentct.correction.view_seam import complete_rays
from latentct.geometry import ConeBeam, Grid
from latentct.inferers import LatentPriorTV
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.recon.tv import tv

from .cases import MU_WATER, PRIOR_GRID, SCANS, rms

PROJECTOR = make_projector(PRIOR_GRID, SCANS["parallel"])


@pytest.fixture
def x_mu() -> torch.Tensor:
    x = torch.zeros(1, 1, *PRIOR_GRID.shape)
    x[..., 5:19, 4:20] = MU_WATER
    x[..., 8:11, 7:12] = 1.5 * MU_WATER
    return x


@pytest.fixture
def arc() -> torch.Tensor:
    ray_mask = torch.zeros(SCANS["parallel"].sinogram_shape, dtype=torch.bool)
    ray_mask[:14] = True
    return ray_mask


def completed(x_mu: torch.Tensor, y: torch.Tensor, ray_mask: torch.Tensor) -> torch.Tensor:
    """The image of the measured rays and, where there are none, of those of an image."""
    return fbp(complete_rays(y, PROJECTOR(x_mu), ray_mask, PROJECTOR.scan), PRIOR_GRID, PROJECTOR.scan)


def test_measured_rays_mend_the_prior_image(x_mu, arc):
    wrong = x_mu.clone()
    wrong[..., 14:16, 14:16] += 0.5 * MU_WATER  # seen in the measured views
    y = torch.where(arc, PROJECTOR(x_mu), torch.nan)
    refined = LatentPriorTV(lambda *_: wrong, weight=1e-3, n_iterations=150, mu_water=MU_WATER)(y, PROJECTOR, arc)
    reference = fbp(PROJECTOR(x_mu), PRIOR_GRID, PROJECTOR.scan)
    assert rms(refined - reference) < 0.7 * rms(completed(wrong, y, arc) - reference)


def test_a_right_prior_image_stays_and_is_better_than_none(x_mu, arc):
    y = torch.where(arc, PROJECTOR(x_mu), 0.0)
    reference = fbp(PROJECTOR(x_mu), PRIOR_GRID, PROJECTOR.scan)
    refine = LatentPriorTV(lambda *_: x_mu, weight=1e-3, n_iterations=40, mu_water=MU_WATER)
    unaided = LatentPriorTV(lambda *_: 0 * x_mu, weight=1e-3, n_iterations=40, mu_water=MU_WATER)
    right, none = (method(y, PROJECTOR, arc) for method in (refine, unaided))
    assert rms(right - reference) < 0.02 * MU_WATER
    assert rms(none - reference) > 4 * rms(right - reference)


def test_result_completes_the_measured_rays(x_mu, arc):
    """Whatever the total variation makes of the measured rays, the result is reconstructed from them as they are."""
    y = torch.where(arc, PROJECTOR(x_mu) + 0.5, 0.0)  # no image has these rays
    refined = LatentPriorTV(lambda *_: x_mu, weight=1e-3, n_iterations=1, mu_water=MU_WATER)(y, PROJECTOR, arc)
    x_tv = tv(y, PROJECTOR, arc, weight=1e-3, n_iterations=1, mu_water=MU_WATER, x_start=x_mu, x_prior=x_mu)
    assert torch.allclose(refined, completed(x_tv, y, arc), atol=1e-7)
    assert rms(refined - x_tv) > 0.01 * MU_WATER


def test_cone_beams_are_refused(x_mu, arc):
    scan = ConeBeam.equally_spaced(2, 1.0, (2, 2), (1.0, 1.0), 500.0, 800.0)
    projector = make_projector(Grid((2, 2, 2), (1.0, 1.0, 1.0)), scan)
    with pytest.raises(TypeError, match="not ConeBeam"):
        LatentPriorTV(lambda *_: x_mu)(torch.zeros(1, 1, 2, 2, 2), projector, torch.ones(2, 2, 2, dtype=torch.bool))


def test_prior_image_gets_what_the_reconstructor_gets_and_can_be_given(x_mu, arc):
    y = torch.where(arc, PROJECTOR(x_mu), 0.0)
    asked = []

    def prior(*arguments):
        asked.append(arguments)
        return x_mu

    method = LatentPriorTV(prior, n_iterations=3, mu_water=MU_WATER)
    whole = method(y, PROJECTOR, arc)
    assert len(asked) == 1
    assert asked[0][0] is y
    assert asked[0][1] is PROJECTOR
    assert asked[0][2] is arc
    assert torch.equal(method.refine(x_mu, y, PROJECTOR, arc), whole)
    assert len(asked) == 1


def test_masks_of_each_slice(x_mu, arc):
    masks = torch.stack([arc, ~arc])[:, None]
    y = torch.where(masks, PROJECTOR(x_mu).expand(2, -1, -1, -1), torch.nan)
    both = LatentPriorTV(lambda *_: x_mu.expand(2, -1, -1, -1), n_iterations=5, mu_water=MU_WATER)(y, PROJECTOR, masks)
    for i in range(2):
        alone = LatentPriorTV(lambda *_: x_mu, n_iterations=5, mu_water=MU_WATER)(y[i : i + 1], PROJECTOR, masks[i, 0])
        assert torch.allclose(both[i : i + 1], alone, atol=1e-6)
