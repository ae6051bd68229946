"""Latent space reconstruction whatever is missing: masks of each slice's own, arcs, noise, beams and uncertainty."""

import pytest
import torch

from latentct.inferers.problem import ScannedPrior
from latentct.projectors import make_projector
from latentct.simulate import Beam, WaterCorrection, split_tissue, tube_spectrum

from .cases import GRID, LATENT, MU_WATER, PRIOR_GRID, SCANS, rms


def masks_of(problem):
    """A metal trace, different in every slice."""
    u = torch.arange(problem.scan.n_bins)
    view = torch.arange(problem.scan.n_views)[:, None]
    middles = [30 + 8 * torch.sin(view / 6 + i) for i in range(len(problem.y))]
    return torch.stack([(u - middle).abs() > 3 for middle in middles])[:, None]


@pytest.mark.parametrize("batch_size", [2, 8])
def test_each_slice_has_its_own_trace(prior, make_problem, make_inferer, batch_size):
    problem = make_problem(3)
    ray_mask = masks_of(problem)
    projector = make_projector(GRID, problem.scan)
    y = torch.where(ray_mask, problem.y, torch.nan)
    found = make_inferer(batch_size=batch_size).reconstruct(y, prior, projector=projector, ray_mask=ray_mask)
    assert torch.equal(found.y_hat[ray_mask], problem.y[ray_mask])
    assert rms((found.y_hat - problem.y)[~ray_mask]) < 0.01 * rms(problem.y)
    assert rms(found.x_prior_mu - problem.x_mu) < 0.01 * MU_WATER


def test_equal_masks_of_each_slice_are_one_mask(prior, make_problem, make_inferer):
    problem = make_problem()
    inferer = make_inferer(rounds=(15,))
    projector = make_projector(GRID, problem.scan)
    shapes = (problem.ray_mask, problem.ray_mask.expand(1, 1, -1, -1), problem.ray_mask.expand(2, 1, -1, -1))
    one, *others = (inferer.reconstruct(problem.measured, prior, projector=projector, ray_mask=m) for m in shapes)
    for other in others:
        assert torch.allclose(other.z, one.z, atol=1e-4)
        assert torch.allclose(other.x_mu, one.x_mu, atol=1e-6)


def test_volumes_with_a_mask_for_each_slice(prior, make_problem, make_inferer):
    problem = make_problem(2)
    masks = masks_of(problem)
    inferer = make_inferer(rounds=(5,))
    projector = make_projector(GRID, problem.scan)
    slices = inferer(problem.y, prior, projector=projector, ray_mask=masks)
    volume = inferer(problem.y.movedim(1, 0)[None], prior, projector=projector, ray_mask=masks[:, 0])
    assert volume.shape == (1, 1, 2, *GRID.shape)
    assert torch.equal(volume[0, 0], slices[:, 0])


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("kind", ["arc", "sparse"])
def test_views_that_are_missing(prior, make_problem, make_inferer, name, kind):
    problem = make_problem(name=name)
    ray_mask = torch.zeros(problem.scan.sinogram_shape, dtype=torch.bool)
    ray_mask[slice(0, 24) if kind == "arc" else slice(0, None, 4)] = True
    y = torch.where(ray_mask, problem.y, torch.nan)
    found = make_inferer().reconstruct(y, prior, projector=make_projector(GRID, problem.scan), ray_mask=ray_mask)
    assert torch.equal(found.y_hat[..., ray_mask], problem.y[..., ray_mask])
    assert rms((found.y_hat - problem.y)[..., ~ray_mask]) < 0.01 * rms(problem.y)


def test_missing_views_are_joined_to_measured_ones(prior, make_problem, make_inferer):
    """What the prior cannot make is carried over into the views between the measured ones."""
    problem = make_problem()
    y = problem.y + 1.0  # no image of the prior has it
    ray_mask = torch.zeros_like(problem.ray_mask)
    ray_mask[::4] = True
    geometry = {"projector": make_projector(GRID, problem.scan), "ray_mask": ray_mask}
    found = make_inferer(rounds=(0,)).reconstruct(torch.where(ray_mask, y, 0.0), prior, **geometry)
    synthesised = make_projector(PRIOR_GRID, problem.scan)(found.x_prior_mu)
    missing = ~ray_mask
    assert rms((found.y_hat - y)[..., missing]) < 0.5 * rms((synthesised - y)[..., missing])


def test_pwls_trusts_rays_with_many_photons(prior, make_problem, make_inferer):
    problem = make_problem()
    noise = torch.randn(problem.y.shape, generator=torch.Generator().manual_seed(3))
    y = problem.y + 0.003 * torch.exp(problem.y / 2) * noise  # the variance is one over the counts
    geometry = {"projector": make_projector(GRID, problem.scan), "ray_mask": torch.ones_like(problem.ray_mask)}
    errors = {}
    for weighting in ("none", "pwls"):
        found = make_inferer(weighting=weighting).reconstruct(y, prior, **geometry)
        errors[weighting] = rms(found.x_prior_mu - problem.x_mu)
    assert errors["pwls"] < 0.9 * errors["none"]


@pytest.mark.parametrize("corrected", [False, True])
def test_a_beam_of_many_energies_is_explained(prior, make_problem, make_inferer, corrected):
    problem = make_problem()
    beam = Beam(tube_spectrum(120.0))
    correction = WaterCorrection.fit(beam) if corrected else None
    parts = [make_projector(PRIOR_GRID, problem.scan)(x) for x in split_tissue(problem.x_mu, MU_WATER)]
    y = beam.line_integrals(dict(zip(("water", "bone"), parts, strict=True)))
    y = y if correction is None else correction(y)
    errors = []
    for settings in ({}, {"beam": beam, "water_correction": correction}):
        inferer = make_inferer(rounds=(200,), **settings)
        found = inferer.reconstruct(torch.where(problem.ray_mask, y, 0.0), prior, **problem.geometry)
        errors.append(rms(found.x_prior_mu - problem.x_mu))
        if settings:
            assert rms((found.y_hat - y)[..., ~problem.ray_mask]) < 0.01 * rms(y)
            assert found.misfit.max() < 2e-3
    assert errors[1] < 0.01 * MU_WATER
    assert errors[0] > 3 * errors[1]


def test_spread_is_none_unless_asked_for(prior, make_problem, make_inferer):
    problem = make_problem()
    found = make_inferer(rounds=(1,)).reconstruct(problem.measured, prior, **problem.geometry)
    assert found.x_std_mu is None
    assert found.y_std is None


def test_spread_lies_in_what_was_synthesised(prior, make_problem, make_inferer):
    problem = make_problem(3)
    settings = {"rounds": (50,), "prior_weight": 1e-3, "batch_size": 2}
    few = torch.zeros_like(problem.ray_mask)
    few[0, 28:32] = True  # four rays say next to nothing of twelve numbers
    projector, inferer = make_projector(GRID, problem.scan), make_inferer(n_samples=3, **settings)
    spreads = {}
    for name, ray_mask in (("field", problem.ray_mask), ("few", few)):
        x_mu = inferer(torch.where(ray_mask, problem.y, 0.0), prior, projector=projector, ray_mask=ray_mask)
        found = inferer.last
        assert found.x_std_mu.shape == x_mu.shape
        assert bool((found.y_std[..., ray_mask] == 0).all())
        assert bool((found.y_std[..., ~ray_mask] >= 0).all())
        spreads[name] = rms(found.y_std[..., ~ray_mask]), rms(found.x_std_mu)
    assert spreads["few"][0] > 5 * spreads["field"][0]
    assert spreads["few"][1] > 5 * spreads["field"][1]
    alone = make_inferer(**settings).reconstruct(
        torch.where(few, problem.y, 0.0), prior, **problem.geometry | {"ray_mask": few}
    )
    assert torch.allclose(alone.x_mu, x_mu, atol=1e-6)  # samples do not change the result


def test_what_is_not_measured_keeps_the_spread_of_the_prior(prior, make_problem, make_inferer):
    problem = make_problem(1)
    few = torch.zeros_like(problem.ray_mask)
    few[0, 0] = True  # a ray through air
    inferer = make_inferer(n_samples=40, rounds=(5,), prior_weight=1e-3)
    inferer(torch.zeros_like(problem.y), prior, projector=make_projector(GRID, problem.scan), ray_mask=few)
    z = torch.randn(400, *LATENT, generator=torch.Generator().manual_seed(9))
    inferer_problem = ScannedPrior(inferer, prior, make_projector(GRID, problem.scan), few)
    expected = make_projector(PRIOR_GRID, problem.scan)(inferer_problem.decode(z)).std(dim=0)
    inside = expected > 0.1
    assert float((inferer.last.y_std[0][inside] / expected[inside]).mean()) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("n_samples", [-1, 1])
def test_one_sample_has_no_spread(make_inferer, n_samples):
    with pytest.raises(ValueError, match="at least 2"):
        make_inferer(n_samples=n_samples)
