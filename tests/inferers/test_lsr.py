"""Latent space reconstruction with a linear decoder, for which the latent behind the scan is known."""

import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.inferers.lsr import STARTS
from latentct.projectors import make_projector
from latentct.recon import fbp

from .cases import GRID, LATENT, MU_WATER, PRIOR_GRID, SCANS, rms


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("start", STARTS)
def test_finds_the_latent_behind_the_measured_rays(prior, make_problem, make_inferer, start, name):
    problem = make_problem(name=name)
    found = make_inferer(starts=(start,)).reconstruct(problem.measured, prior, **problem.geometry)
    assert found.misfit.max() < 1e-3  # of line integrals up to 10
    assert rms(found.x_prior_mu - problem.x_mu) < 0.01 * MU_WATER
    missing = ~problem.ray_mask
    assert rms((found.y_hat - problem.y)[..., missing]) < 0.01 * rms(problem.y[..., missing])


def test_is_far_better_than_its_start(prior, make_problem, make_inferer):
    problem = make_problem()
    found = make_inferer(rounds=(0,)).reconstruct(problem.measured, prior, **problem.geometry)
    assert rms(found.x_prior_mu - problem.x_mu) > 0.03 * MU_WATER


@pytest.mark.parametrize("name", SCANS)
def test_measured_rays_come_back_bit_for_bit(prior, make_problem, make_inferer, name):
    problem = make_problem(name=name)
    noisy = problem.measured + 0.1 * torch.randn(problem.y.shape, generator=torch.Generator().manual_seed(0))
    found = make_inferer(rounds=(5,)).reconstruct(noisy, prior, **problem.geometry)
    assert torch.equal(found.y_hat[..., problem.ray_mask], noisy[..., problem.ray_mask])


def test_missing_rays_are_not_read(prior, make_problem, make_inferer):
    problem = make_problem()
    outcomes = [
        make_inferer(rounds=(5, 5)).reconstruct(
            torch.where(problem.ray_mask, problem.y, filler), prior, **problem.geometry
        )
        for filler in (0.0, 1e4, torch.nan)
    ]
    for name in ("x_mu", "y_hat", "z", "misfit", "trace"):
        first, *others = (getattr(outcome, name) for outcome in outcomes)
        assert all(torch.equal(first, other) for other in others), name


def test_image_is_the_fbp_of_the_completed_scan_on_its_own_grid(prior, make_problem, make_inferer):
    problem = make_problem()
    found = make_inferer().reconstruct(problem.measured, prior, **problem.geometry)
    assert found.x_mu.shape == (2, 1, *GRID.shape)
    assert found.x_prior_mu.shape == (2, 1, *PRIOR_GRID.shape)
    assert torch.equal(found.x_mu, fbp(found.y_hat, GRID, problem.scan))
    reference = fbp(problem.y, GRID, problem.scan)
    assert rms(found.x_mu - reference) < 0.01 * rms(reference)
    # an image of other pixels of the same scan is the same search
    projector = make_projector(Grid((80, 72), (3.5, 4.0)), problem.scan)
    fine = make_inferer().reconstruct(problem.measured, prior, projector=projector, ray_mask=problem.ray_mask)
    assert fine.x_mu.shape == (2, 1, 80, 72)
    assert torch.equal(fine.z, found.z)


@pytest.mark.parametrize("starts", [("encoder",), ("encoder", "neighbour", "random")])
def test_waves_come_back_in_order(prior, make_problem, make_inferer, starts):
    problem = make_problem(5)
    waves, whole = (
        make_inferer(starts=starts, batch_size=n).reconstruct(problem.measured, prior, **problem.geometry)
        for n in (2, 5)
    )
    assert rms(whole.x_prior_mu - problem.x_mu) < 0.01 * MU_WATER
    assert waves.trace.shape[1] == whole.trace.shape[1] == 5
    for name in ("x_mu", "y_hat", "x_prior_mu"):
        a, b = getattr(waves, name), getattr(whole, name)
        assert rms(a - b) < 0.01 * rms(b), name
    assert torch.allclose(waves.trace[-1], waves.misfit, atol=1e-4)


def test_a_solved_neighbour_is_a_start(prior, make_problem, make_inferer):
    problem = make_problem(1)
    same = problem.measured.expand(3, -1, -1, -1)
    found = make_inferer(starts=("neighbour",), batch_size=1).reconstruct(same, prior, **problem.geometry)
    assert found.trace[0, 0] > 0.05
    assert found.trace[0, 1:].max() < 2e-3


def test_of_several_starts_the_best_is_kept(misleading_prior, make_problem, make_inferer):
    problem = make_problem()
    few = {"rounds": (1,)}
    misled, random, both = (
        make_inferer(starts=starts, **few).reconstruct(problem.measured, misleading_prior, **problem.geometry).misfit
        for starts in (("encoder",), ("random",), ("encoder", "random"))
    )
    assert bool((random < misled / 2).all())
    assert bool((both <= random * 1.001).all())


def test_an_encoding_that_misleads_is_dropped(misleading_prior, make_problem, make_inferer):
    problem = make_problem()
    arguments = (problem.measured, misleading_prior)
    inferer = make_inferer(starts=("random",), rounds=(40, 1))
    twice = inferer.reconstruct(*arguments, **problem.geometry)
    assert bool((twice.trace[-1] <= twice.trace[39]).all())
    assert bool((twice.trace[40] <= twice.trace[39] * 1.0001).all())


def test_an_encoding_that_helps_is_taken(prior, make_problem, make_inferer):
    problem = make_problem()
    inferer = make_inferer(starts=("random",), rounds=(2, 1))
    trace = inferer.reconstruct(problem.measured, prior, **problem.geometry).trace
    assert bool((trace[2] < 0.5 * trace[1]).all())


def test_random_starts_follow_the_seed(prior, make_problem, make_inferer):
    problem = make_problem()
    z = [
        make_inferer(starts=("random",), rounds=(0,), seed=seed)
        .reconstruct(problem.measured, prior, **problem.geometry)
        .z
        for seed in (0, 0, 1)
    ]
    assert torch.equal(z[0], z[1])
    assert not torch.equal(z[0], z[2])
    assert z[0].shape == (2, *LATENT)


def test_prior_term_holds_the_latent(prior, make_problem, make_inferer):
    problem = make_problem()
    sizes = [
        rms(make_inferer(prior_weight=w).reconstruct(problem.measured, prior, **problem.geometry).z)
        for w in (0.0, 1e-2, 1e3)
    ]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 0.05


def test_search_stops_when_the_misfit_stops_falling(prior, make_problem, make_inferer):
    problem = make_problem()
    noise = 0.05 * torch.randn(problem.y.shape, generator=torch.Generator().manual_seed(0))
    inferer = make_inferer(rounds=(400, 400), tolerance=0.0025)
    found = inferer.reconstruct(problem.measured + noise, prior, **problem.geometry)
    assert len(found.trace) < 300
    assert found.misfit.tolist() == pytest.approx([0.05, 0.05], abs=0.003)


def test_lopsided_masks(prior, make_problem, make_inferer):
    problem = make_problem()
    ray_mask = problem.ray_mask.clone()
    ray_mask[:, :30] = False  # half a detector
    ray_mask[5:9] = False  # views that failed
    ray_mask[20, 35:40] = False  # and a gap
    geometry = problem.geometry | {"ray_mask": ray_mask}
    found = make_inferer(rounds=(300,)).reconstruct(torch.where(ray_mask, problem.y, torch.nan), prior, **geometry)
    assert torch.equal(found.y_hat[..., ray_mask], problem.y[..., ray_mask])
    assert rms((found.y_hat - problem.y)[..., ~ray_mask]) < 0.03 * rms(problem.y)


def test_views_that_were_not_measured_are_not_searched(prior, make_problem, make_inferer):
    problem = make_problem()
    ray_mask = torch.zeros_like(problem.ray_mask)
    ray_mask[1::2] = True  # a sparse scan, of which every other measured view is searched
    geometry = problem.geometry | {"ray_mask": ray_mask}
    found = make_inferer(search_views=10).reconstruct(torch.where(ray_mask, problem.y, 0.0), prior, **geometry)
    assert rms(found.x_prior_mu - problem.x_mu) < 0.01 * MU_WATER


def test_a_scan_without_a_measured_ray_is_refused(prior, make_problem, make_inferer):
    problem = make_problem()
    geometry = problem.geometry | {"ray_mask": torch.zeros_like(problem.ray_mask)}
    with pytest.raises(InputError, match="none of the 2400 rays of the scan was measured"):
        make_inferer().reconstruct(problem.y, prior, **geometry)


def test_called_as_monai_calls_it(prior, make_problem, make_inferer):
    problem = make_problem(3)
    inferer = make_inferer(rounds=(3,))
    slices = inferer(problem.measured, prior, **problem.geometry)
    assert torch.equal(slices, inferer.last.x_mu)
    volume = inferer(problem.measured.movedim(1, 0)[None], prior, **problem.geometry)
    assert volume.shape == (1, 1, 3, *GRID.shape)
    assert torch.equal(volume[0, 0], slices[:, 0])
    assert inferer.last.y_hat.shape == (3, 1, *problem.scan.sinogram_shape)


@pytest.mark.parametrize("starts", [(), ("encoder", "oracle")])
def test_unknown_starts(make_inferer, starts):
    with pytest.raises(ValueError, match="choose from encoder, neighbour, random"):
        make_inferer(starts=starts)


@pytest.mark.parametrize("weighting", ["pws", ""])
def test_unknown_weightings(make_inferer, weighting):
    with pytest.raises(ValueError, match="choose from none, pwls"):
        make_inferer(weighting=weighting)
