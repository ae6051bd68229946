"""SIRT converges on the measured rays and leaves the rest alone."""

import math

import pytest
import torch

from latentct.geometry import ConeBeam, Grid
from latentct.projectors import Projector, make_projector
from latentct.recon import Sirt, sirt


@pytest.fixture(scope="module")
def x_mu() -> torch.Tensor:
    x = torch.zeros(2, 1, 24, 24)
    x[0, 0, 6:18, 8:20] = 0.02
    x[1, 0, 9:15, 5:11] = 0.03
    return x


def test_recovers_the_object(projector: Projector, x_mu: torch.Tensor) -> None:
    x_hat_mu = Sirt(n_iterations=300)(projector.forward(x_mu), projector)
    assert (x_hat_mu - x_mu).abs().mean() < 0.02 * x_mu.mean()
    assert x_hat_mu.min() >= 0


def test_misfit_of_measured_rays_never_grows(projector: Projector, x_mu: torch.Tensor) -> None:
    """The field is narrower than the objects, so that their truncated rays must not pull towards zero."""
    y = projector.forward(x_mu)
    ray_mask = torch.zeros(40, 40, dtype=torch.bool)
    ray_mask[:, 16:24] = True
    spoilt = torch.where(ray_mask, y, torch.nan)
    misfits = [
        ((projector.forward(sirt(spoilt, projector, ray_mask, n_iterations=n)) - y) * ray_mask).square().sum().item()
        for n in (1, 5, 25, 100)
    ]
    assert misfits == sorted(misfits, reverse=True)
    assert misfits[-1] < 5e-3 * misfits[0]


def test_voxels_without_a_measured_ray_keep_their_start(projector: Projector) -> None:
    ray_mask = torch.zeros(40, 40, dtype=torch.bool)
    ray_mask[0, 30:] = True
    x_start = torch.full((1, 1, 24, 24), 0.01)
    x_hat_mu = sirt(torch.zeros(1, 1, 40, 40), projector, ray_mask, n_iterations=3, x_start=x_start)
    assert torch.equal(x_hat_mu[..., :10], x_start[..., :10])
    assert x_hat_mu[..., -1].max() < 0.001
    assert torch.equal(x_start, torch.full((1, 1, 24, 24), 0.01))


def test_batch_equals_one_by_one(projector: Projector, x_mu: torch.Tensor) -> None:
    y = projector.forward(x_mu)
    batch = sirt(y, projector, n_iterations=4)
    torch.testing.assert_close(batch[1:], sirt(y[1:], projector, n_iterations=4), rtol=0, atol=1e-7)


def test_a_mask_a_slice_is_each_slice_with_its_own_mask(projector: Projector, x_mu: torch.Tensor) -> None:
    masks = torch.zeros(2, 1, 40, 40, dtype=torch.bool)
    masks[0, :, ::2] = True
    masks[1, :, :, :22] = True
    y = torch.where(masks, projector.forward(x_mu), torch.nan)
    together = sirt(y, projector, masks, n_iterations=5)
    for i in range(2):
        alone = sirt(y[i : i + 1], projector, masks[i, 0], n_iterations=5)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-7)


def test_momentum_brings_more_in_as_many_steps(projector: Projector, x_mu: torch.Tensor) -> None:
    y = projector.forward(x_mu)
    plain, fast = (Sirt(n_iterations=30, accelerated=accelerated)(y, projector) for accelerated in (False, True))
    misfit, misfit_fast = ((projector.forward(x) - y).square().sum().item() for x in (plain, fast))
    assert misfit_fast < 0.2 * misfit
    assert fast.min() >= 0
    assert torch.equal(*(Sirt(n_iterations=1, accelerated=a)(y, projector) for a in (False, True)))


def test_recovers_a_volume_from_a_cone_beam() -> None:
    """The panel sees all of the volume; half a turn of views is enough for an object of few voxels."""
    scan = ConeBeam.equally_spaced(16, math.pi, (20, 28), (6.0, 6.0), 400.0, 600.0)
    projector = make_projector(Grid((10, 14, 14), (6.0, 6.0, 6.0)), scan)
    x = torch.zeros(2, 1, *projector.grid.shape)
    x[0, 0, 3:7, 4:9, 5:10] = 0.02
    x[1, 0, 4:8, 2:6, 8:12] = 0.03
    x_hat = sirt(projector.forward(x), projector, n_iterations=150, accelerated=True)
    assert (x_hat - x).abs().mean() < 0.03 * x.mean()
