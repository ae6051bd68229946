"""Total variation about a learned image."""

import pytest
import torch

from latentct.inferers import LatentPriorTV
from latentct.projectors import make_projector

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


def test_measured_rays_mend_the_prior_image(x_mu, arc):
    wrong = x_mu.clone()
    wrong[..., 14:16, 14:16] += 0.5 * MU_WATER  # seen in the measured views
    y = torch.where(arc, PROJECTOR(x_mu), torch.nan)
    refined = LatentPriorTV(lambda *_: wrong, weight=1e-3, n_iterations=150, mu_water=MU_WATER)(y, PROJECTOR, arc)
    assert rms(refined - x_mu) < 0.6 * rms(wrong - x_mu)


def test_a_right_prior_image_stays_and_is_better_than_none(x_mu, arc):
    y = torch.where(arc, PROJECTOR(x_mu), 0.0)
    refine = LatentPriorTV(lambda *_: x_mu, weight=1e-3, n_iterations=40, mu_water=MU_WATER)
    unaided = LatentPriorTV(lambda *_: 0 * x_mu, weight=1e-3, n_iterations=40, mu_water=MU_WATER)
    right, none = (method(y, PROJECTOR, arc) for method in (refine, unaided))
    assert rms(right - x_mu) < 0.02 * MU_WATER
    assert rms(none - x_mu) > 5 * rms(right - x_mu)


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
