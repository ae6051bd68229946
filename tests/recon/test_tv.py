"""Total variation: the minimiser, the measured rays, the prior image."""

import math

import pytest
import torch

from latentct.geometry import ConeBeam, Grid
from latentct.projectors import Projector, make_projector
from latentct.recon import TotalVariation, sirt, tv

MU_WATER = 0.02


@pytest.fixture(scope="module")
def x_mu() -> torch.Tensor:
    x = torch.zeros(2, 1, 24, 24)
    x[0, 0, 6:18, 8:20] = 0.02
    x[0, 0, 9:12, 10:14] = 0.03
    x[1, 0, 9:15, 5:11] = 0.03
    return x


@pytest.fixture(scope="module")
def few_views() -> torch.Tensor:
    ray_mask = torch.zeros(40, 40, dtype=torch.bool)
    ray_mask[::7] = True
    return ray_mask


def objective(
    x: torch.Tensor, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor, weight: float
) -> torch.Tensor:
    """What `tv` says that it minimises, of each slice, written a second time."""
    column_sums = projector.adjoint(ray_mask.to(y.dtype).view(1, 1, 40, 40))
    s = column_sums.mean() * 4.0
    misfit = ((projector.forward(x) - y) * ray_mask).square().sum(dim=(1, 2, 3)) / (2 * s)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1), mode="replicate")
    along_x, along_y = padded[..., :-1, :].diff(dim=-1), padded[..., :-1].diff(dim=-2)
    return misfit + weight * MU_WATER * (along_x.square() + along_y.square() + 1e-14).sqrt().sum(dim=(1, 2, 3))


def test_reaches_the_minimum_within_150_steps(
    projector: Projector, x_mu: torch.Tensor, few_views: torch.Tensor
) -> None:
    """A general optimiser, started from the result, finds nothing better."""
    y = projector.forward(x_mu)
    x_hat_mu = tv(y, projector, few_views, weight=0.01, n_iterations=150, mu_water=MU_WATER)
    value = objective(x_hat_mu, y, projector, few_views, 0.01)
    root = x_hat_mu.clamp(min=1e-8).sqrt().requires_grad_()
    optimizer = torch.optim.Adam([root], lr=1e-4)
    for _ in range(60):
        optimizer.zero_grad()
        objective(root.square(), y, projector, few_views, 0.01).sum().backward()
        optimizer.step()
    better = objective(root.detach().square(), y, projector, few_views, 0.01)
    assert (value < 1.02 * better).all()


def test_few_views_of_a_piecewise_constant_object_are_enough(
    projector: Projector, x_mu: torch.Tensor, few_views: torch.Tensor
) -> None:
    y = projector.forward(x_mu)
    x_hat_mu = TotalVariation(weight=0.002, n_iterations=200, mu_water=MU_WATER)(y, projector, few_views)
    error = (x_hat_mu - x_mu).abs().mean()
    assert error < 0.2 * (sirt(y, projector, few_views, n_iterations=200) - x_mu).abs().mean()
    assert x_hat_mu.min() >= 0


def test_a_mask_a_slice_is_each_slice_with_its_own_mask(
    projector: Projector, x_mu: torch.Tensor, few_views: torch.Tensor
) -> None:
    """What was not measured may be anything, and the slices do not see each other."""
    masks = torch.stack([few_views, few_views.flip(0).roll(3, 1)])[:, None]
    masks[1, :, :, 18:22] = False
    y = torch.where(masks, projector.forward(x_mu), torch.nan)
    together = tv(y, projector, masks, weight=0.01, n_iterations=20)
    for i in range(2):
        alone = tv(y[i : i + 1], projector, masks[i, 0], weight=0.01, n_iterations=20)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6)


def test_the_start_is_forgotten(projector: Projector, x_mu: torch.Tensor, few_views: torch.Tensor) -> None:
    y = projector.forward(x_mu)
    x_start = torch.full_like(x_mu, 0.01)
    from_zero, from_start = (
        tv(y, projector, few_views, weight=0.01, n_iterations=400, x_start=start) for start in (None, x_start)
    )
    torch.testing.assert_close(from_start, from_zero, rtol=0, atol=2e-4)
    assert torch.equal(x_start, torch.full_like(x_mu, 0.01))


def test_a_prior_image_fills_what_the_rays_leave_open(projector: Projector, x_mu: torch.Tensor) -> None:
    ray_mask = torch.zeros(40, 40, dtype=torch.bool)
    ray_mask[::20] = True
    y = projector.forward(x_mu)

    def error(prior_share: float) -> float:
        settings = {"weight": 0.01, "n_iterations": 150, "x_prior": x_mu * 0.98}
        x_hat_mu = tv(y, projector, ray_mask, prior_share=prior_share, **settings)
        return (x_hat_mu - x_mu).abs().mean().item()

    assert error(1.0) < error(0.5) < error(0.0)
    assert error(1.0) < 0.25 * error(0.0)


def test_a_prior_image_without_a_share_changes_nothing(
    projector: Projector, x_mu: torch.Tensor, few_views: torch.Tensor
) -> None:
    y = projector.forward(x_mu)
    without = tv(y, projector, few_views, weight=0.01, n_iterations=10)
    assert torch.equal(
        without, tv(y, projector, few_views, weight=0.01, n_iterations=10, x_prior=x_mu, prior_share=0.0)
    )


def test_the_weight_is_relative_to_water(projector: Projector, x_mu: torch.Tensor) -> None:
    y = projector.forward(x_mu)
    x_hat_mu = tv(y, projector, weight=0.02, n_iterations=30, mu_water=0.02)
    doubled = tv(2 * y, projector, weight=0.02, n_iterations=30, mu_water=0.04)
    torch.testing.assert_close(doubled, 2 * x_hat_mu, rtol=0, atol=1e-6)


def test_volumes() -> None:
    grid = Grid((6, 8, 8), (4.0, 2.0, 2.0))
    scan = ConeBeam.equally_spaced(
        12, 2 * math.pi, detector_shape=(8, 12), pixel_mm=(6.0, 3.0), sod_mm=100.0, sdd_mm=150.0
    )
    projector = make_projector(grid, scan)
    x_mu = torch.zeros(1, 1, *grid.shape)
    x_mu[..., 2:4, 2:6, 3:6] = 0.02
    x_hat_mu = tv(projector.forward(x_mu), projector, weight=0.005, n_iterations=150)
    assert (x_hat_mu - x_mu).abs().mean() < 0.1 * x_mu.mean()


@pytest.mark.parametrize("settings", [{"weight": 0.0}, {"weight": -1.0}, {"weight": 0.1, "prior_share": 1.5}])
def test_settings_out_of_range_are_refused(projector: Projector, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weight must be positive and prior_share"):
        tv(torch.zeros(1, 1, 40, 40), projector, n_iterations=1, **settings)


def test_the_step_ratio_changes_the_way_and_not_the_solution(
    projector: Projector, x_mu: torch.Tensor, few_views: torch.Tensor
) -> None:
    y = projector.forward(x_mu)
    settings = {"weight": 0.01, "mu_water": MU_WATER}
    at_one, at_three = (
        [tv(y, projector, few_views, n_iterations=n, step_ratio=ratio, **settings) for n in (20, 600)]
        for ratio in (1.0, 3.0)
    )
    assert not torch.allclose(at_one[0], at_three[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(at_one[1], at_three[1], rtol=0, atol=2e-4)
    by_class = TotalVariation(0.01, n_iterations=20, mu_water=MU_WATER, step_ratio=1.0)(y, projector, few_views)
    assert torch.equal(by_class, at_one[0])
