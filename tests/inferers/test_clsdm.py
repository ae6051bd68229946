"""Sampling volumes from few views, alone and with consistency; the regression."""

import functools
import math

import pytest
import torch
from torch import Tensor

from latentct.geometry import ConeBeam, Grid
from latentct.inferers import FewViewInferer, ProjectionConsistency, RegressionReconstructor
from latentct.networks import FewViewModel
from latentct.projectors import Projector, make_projector
from latentct.units import MU_WATER_70KEV, hu_to_mu, x_to_hu

from ..networks.few_view_cases import GRID, tiny_model

infer = functools.partial(FewViewInferer, -1000.0, 1000.0, steps=2, n_samples=3, autocast=False)


@pytest.fixture(scope="module")
def model() -> FewViewModel:
    network = tiny_model().eval()
    network.standardise(0.5 + 0.1 * torch.randn(16, 4, 2, 2, 2, generator=torch.Generator().manual_seed(0)))
    return network


@pytest.fixture(scope="module")
def projector() -> Projector:
    scan = ConeBeam.equally_spaced(4, math.pi, (16, 16), (10.0, 10.0), sod_mm=300.0, sdd_mm=450.0)
    return make_projector(GRID, scan)


@pytest.fixture(scope="module")
def y(projector: Projector) -> Tensor:
    x = torch.rand(2, 1, 2, 2, 2, generator=torch.Generator().manual_seed(1)) + 0.2
    x = x.repeat_interleave(4, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)
    x[:, :, 2:4, 3:6, 4:6] += 0.5  # the decoder cannot express it
    return projector(hu_to_mu(x_to_hu(x, -1000.0, 1000.0), MU_WATER_70KEV))


def test_mean_and_spread_are_those_of_the_decoded_samples(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    found = infer().reconstruct(y, model, projector=projector)
    assert found.z.shape == (2, 3, 4, 2, 2, 2)
    with torch.no_grad():
        samples = torch.stack([model.decode(found.z[:, k]) for k in range(3)])
    samples = hu_to_mu(x_to_hu(samples, -1000.0, 1000.0), MU_WATER_70KEV).clamp_min(0.0)
    torch.testing.assert_close(found.x_mu, samples.mean(0))
    torch.testing.assert_close(found.x_std_mu, samples.std(0))
    assert torch.equal(found.residual, found.residual_sampled)
    assert bool((found.x_std_mu > 0).any())


def test_one_sample_has_no_spread(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    found = infer(n_samples=1).reconstruct(y, model, projector=projector)
    assert found.x_std_mu is None
    assert found.z.shape[:2] == (2, 1)


def test_a_volumes_result_depends_on_the_seed_but_not_on_its_neighbours(
    model: FewViewModel, projector: Projector, y: Tensor
) -> None:
    consistency = ProjectionConsistency(search_steps=3, tv_iterations=3)
    inferer = infer(consistency=consistency, batch_size=4)
    both = inferer(y, model, projector=projector)
    torch.testing.assert_close(inferer(y[1:], model, projector=projector), both[1:])
    torch.testing.assert_close(infer(consistency=consistency, batch_size=1)(y, model, projector=projector), both)
    other = infer(consistency=consistency, seed=1)(y, model, projector=projector)
    assert not torch.allclose(other, both, rtol=1e-3)


def test_consistency_explains_the_rays(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    found = infer(consistency=ProjectionConsistency(search_steps=30)).reconstruct(y, model, projector=projector)
    alone = infer().reconstruct(y, model, projector=projector)
    torch.testing.assert_close(found.residual_sampled, alone.residual)
    assert (found.residual < 0.25 * alone.residual).all()
    assert float(found.x_mu.min()) >= 0
    assert not torch.equal(found.z, alone.z)


def test_search_from_the_mean_or_from_each_sample(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    alone = infer().reconstruct(y, model, projector=projector)
    settings = {"search_steps": 60, "learning_rate": 0.2, "latent_weight": 0.0, "tv_iterations": 0}
    mean, each = (
        infer(consistency=ProjectionConsistency(search_samples=samples, **settings)).reconstruct(
            y, model, projector=projector
        )
        for samples in (False, True)
    )
    assert mean.z.shape[:2] == (2, 1)
    assert each.z.shape[:2] == (2, 3)
    torch.testing.assert_close(mean.x_std_mu, alone.x_std_mu)
    assert float(each.x_std_mu.mean()) < 0.8 * float(alone.x_std_mu.mean())  # what the rays decide no longer varies
    for found in (mean, each):
        assert (found.residual < 0.7 * alone.residual).all()


def test_search_while_sampling_changes_the_samples(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    alone = infer(steps=4).reconstruct(y, model, projector=projector)
    only_sampling = ProjectionConsistency(search_steps=0, learning_rate=0.1, tv_iterations=0, search_while_sampling=10)
    found = infer(steps=4, consistency=only_sampling).reconstruct(y, model, projector=projector)
    assert (found.residual < 0.8 * alone.residual).all()


def test_rays_that_were_not_measured_are_not_read(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    mask = torch.ones(projector.scan.sinogram_shape, dtype=torch.bool)
    mask[2, 5:] = False
    inferer = infer(consistency=ProjectionConsistency(search_steps=2, tv_iterations=2))
    spoilt = torch.where(mask, y, float("nan"))
    x_mu = inferer(spoilt, model, projector=projector, ray_mask=mask)
    torch.testing.assert_close(x_mu, inferer(y, model, projector=projector, ray_mask=mask))
    regression = RegressionReconstructor(model.conditioner, -1000.0, 1000.0, autocast=False)
    assert bool(regression(spoilt, projector, mask).isfinite().all())


def test_bound_to_a_network_it_is_a_reconstructor(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    mask = torch.ones(projector.scan.sinogram_shape, dtype=torch.bool)
    inferer = infer()
    reconstructor = functools.partial(inferer, network=model)
    assert torch.equal(reconstructor(y, projector=projector, ray_mask=mask), inferer(y, model, projector=projector))


def test_another_grid_than_the_networks_is_refused(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    elsewhere = make_projector(Grid((8, 8, 8), (9.0, 10.0, 10.0)), projector.scan)
    with pytest.raises(ValueError, match="trained on"):
        infer()(y, model, projector=elsewhere)
    with pytest.raises(ValueError, match="trained on"):
        RegressionReconstructor(model.conditioner, -1000.0, 1000.0)(y, elsewhere)


def test_regression_is_the_conditioners_estimate(model: FewViewModel, projector: Projector, y: Tensor) -> None:
    x_mu = RegressionReconstructor(model.conditioner, -1000.0, 1000.0, autocast=False)(y, projector)
    x = 0.1 * y.flatten(1).mean(1)
    torch.testing.assert_close(x_mu[:, 0, 0, 0, 0], hu_to_mu(x_to_hu(x, -1000.0, 1000.0), MU_WATER_70KEV))


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_changes_little(model: FewViewModel, projector: Projector, y: Tensor, autocast: bool) -> None:
    exact = infer()(y, model, projector=projector)
    x_mu = FewViewInferer(-1000.0, 1000.0, steps=2, n_samples=3, autocast=autocast)(y, model, projector=projector)
    assert float((x_mu - exact).abs().max()) < 0.05 * MU_WATER_70KEV
