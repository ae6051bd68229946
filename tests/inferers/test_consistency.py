"""Consistency with the measured rays: the search on latents, and the last step on voxels."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentct.geometry import ConeBeam
from latentct.inferers import ProjectionConsistency
from latentct.metrics import projection_residual
from latentct.projectors import Projector, make_projector
from latentct.units import MU_WATER_70KEV

from ..networks.few_view_cases import GRID


def decode(z: Tensor) -> Tensor:
    """A decoder that cannot express what varies within blocks of 4 voxels."""
    return MU_WATER_70KEV * interpolate(z.mean(dim=1, keepdim=True), scale_factor=4.0, mode="nearest").clamp_min(0)


@pytest.fixture(scope="module")
def projector() -> Projector:
    scan = ConeBeam.equally_spaced(4, math.pi, (16, 16), (10.0, 10.0), sod_mm=300.0, sdd_mm=450.0)
    return make_projector(GRID, scan)


@pytest.fixture
def latents() -> Tensor:
    return 0.5 + torch.rand(3, 4, 2, 2, 2, generator=torch.Generator().manual_seed(0))


def residual(x_mu: Tensor, y: Tensor, projector: Projector) -> Tensor:
    return projection_residual(projector(x_mu), y, torch.ones(y.shape, dtype=torch.bool))


def test_search_finds_the_volume_that_was_scanned(projector: Projector, latents: Tensor) -> None:
    y = projector(decode(latents))
    start = latents + 0.3 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    consistency = ProjectionConsistency(search_steps=100, latent_weight=0.0)
    found = consistency.search(start, decode, y, projector)
    assert (residual(decode(found), y, projector) < 0.1 * residual(decode(start), y, projector)).all()
    torch.testing.assert_close(found.mean(1), latents.mean(1), rtol=0.05, atol=0.05)


def test_search_solves_each_item_on_its_own(projector: Projector, latents: Tensor) -> None:
    y = projector(decode(latents.flip(0)))
    consistency = ProjectionConsistency(search_steps=5)
    together = consistency.search(latents, decode, y, projector)
    apart = consistency.search(latents[1:2], decode, y[1:2], projector)
    torch.testing.assert_close(together[1:2], apart)


def test_weight_keeps_latents_near_the_sample(projector: Projector, latents: Tensor) -> None:
    y = projector(decode(latents + 0.5))
    near, far = (
        ProjectionConsistency(search_steps=30, latent_weight=weight).search(latents, decode, y, projector)
        for weight in (10.0, 0.0)
    )
    assert float((near - latents).abs().mean()) < 0.2 * float((far - latents).abs().mean())


def test_what_was_not_measured_is_not_read(projector: Projector, latents: Tensor) -> None:
    y = projector(decode(latents))
    mask = torch.ones(projector.scan.sinogram_shape, dtype=torch.bool)
    mask[1] = False
    spoilt = torch.where(mask, y, float("nan"))
    consistency = ProjectionConsistency(search_steps=5, tv_iterations=5)
    start = latents + 0.2
    found = consistency.search(start, decode, spoilt, projector, mask)
    x_mu = consistency.finish(decode(found), spoilt, projector, mask)
    assert torch.equal(found, consistency.search(start, decode, y, projector, mask))
    assert torch.equal(x_mu, consistency.finish(decode(found), y, projector, mask))
    assert bool(x_mu.isfinite().all())


def test_last_step_brings_what_the_decoder_cannot_express(projector: Projector, latents: Tensor) -> None:
    blocks = decode(latents)
    x_mu = blocks.clone()
    x_mu[:, :, 3:5, 3:5, 2:6] *= 2.0
    y = projector(x_mu)
    refined = ProjectionConsistency(tv_iterations=80, tv_weight=0.003).finish(blocks, y, projector)
    assert (residual(refined, y, projector) < 0.25 * residual(blocks, y, projector)).all()
    assert float((refined - x_mu).square().mean()) < 0.5 * float((blocks - x_mu).square().mean())
    assert float(refined.min()) >= 0


def test_without_steps_nothing_changes(projector: Projector, latents: Tensor) -> None:
    y = projector(decode(latents)) + 1.0
    consistency = ProjectionConsistency(search_steps=0, tv_iterations=0)
    assert consistency.search(latents, decode, y, projector) is latents
    x_mu = decode(latents)
    assert consistency.finish(x_mu, y, projector) is x_mu
