"""The units of equal curvature."""

import torch

from latentct.inferers.curvature import DAMPING, latent_scale
from latentct.inferers.search import lbfgs_search

STRENGTH = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)


def rays(z):
    """Feel three channels with different strength, each place by one ray a channel."""
    return (STRENGTH * z).flatten(1)[:, None, None]


def test_scale_is_one_over_the_root_of_the_damped_curvature():
    weights = torch.ones(2, 1, 1, 12)
    scale = latent_scale(rays, torch.zeros(2, 3, 2, 2), weights)
    curvature = STRENGTH.square()  # one ray an entry: the estimate has no variance
    expected = (curvature + DAMPING * curvature.mean()).rsqrt().expand(1, 3, 2, 2)
    assert scale.shape == (1, 3, 2, 2)
    assert torch.allclose(scale, expected / expected.mean())


def test_rays_that_were_not_measured_are_not_felt():
    weights = torch.ones(1, 1, 1, 12)
    weights[..., 8:] = 0.0  # the strongest channel
    scale = latent_scale(rays, torch.zeros(1, 3, 2, 2), weights)
    assert bool((scale[:, 2] > scale[:, 1]).all())


def test_where_no_ray_is_felt_all_units_are_alike():
    scale = latent_scale(rays, torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 1, 12))
    assert torch.allclose(scale, torch.ones(1, 3, 2, 2))


def test_the_signs_follow_the_seed_and_leave_torchs_chance_alone():
    mixing = torch.randn(12, 12, generator=torch.Generator().manual_seed(0))
    arguments = (lambda z: (z.flatten(1) @ mixing)[:, None, None], torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 1, 12))
    before = torch.get_rng_state()
    one, again, other = latent_scale(*arguments), latent_scale(*arguments), latent_scale(*arguments, seed=1)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_search_in_these_units_needs_fewer_steps():
    target = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    strength = torch.logspace(0, 1.5, 12).reshape(1, 3, 2, 2)

    def objective(z, which):
        return (strength * (z - target[which])).square().flatten(1).sum(dim=1)

    z = torch.zeros_like(target)
    scale = latent_scale(lambda z: (strength * z).flatten(1)[:, None, None], z, torch.ones(2, 1, 1, 12))
    plain, scaled = (lbfgs_search(objective, z, 6, 0.0, scale=s) for s in (None, scale))
    assert bool((scaled.value < 0.5 * plain.value).all())
    exact = lbfgs_search(objective, z, 6, 0.0, scale=1 / strength)
    assert exact.value.max() < 1e-6 * objective(z, torch.arange(2)).max()
    assert torch.allclose(objective(scaled.z, torch.arange(2)), scaled.value)
