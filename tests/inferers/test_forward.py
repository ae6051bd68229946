"""The forward model of the search: one energy is the projector, many are the beam's."""

import pytest
import torch

from latentct.inferers.forward import ForwardModel
from latentct.projectors import make_projector
from latentct.simulate import Beam, WaterCorrection, monochromatic, split_tissue, tube_spectrum

from .cases import MU_WATER, PRIOR_GRID, SCANS

PROJECTOR = make_projector(PRIOR_GRID, SCANS["parallel"])
BEAM = Beam(tube_spectrum(120.0))


@pytest.fixture
def x_mu() -> torch.Tensor:
    """Soft tissue with a piece of bone."""
    x = torch.zeros(2, 1, *PRIOR_GRID.shape)
    x[..., 6:18, 5:19] = MU_WATER
    x[1:, :, 9:12, 8:11] = 2.6 * MU_WATER
    return x


def test_one_energy_is_the_projector(x_mu):
    assert torch.equal(ForwardModel(MU_WATER)(x_mu, PROJECTOR), PROJECTOR(x_mu))
    single = ForwardModel(MU_WATER, Beam(monochromatic(70.0), reference_kev=70.0))
    assert torch.allclose(single(x_mu, PROJECTOR), PROJECTOR(x_mu), atol=1e-5)


def test_many_energies_are_those_of_the_beam(x_mu):
    water, bone = split_tissue(x_mu, MU_WATER)
    expected = BEAM.line_integrals({"water": PROJECTOR(water), "bone": PROJECTOR(bone)})
    y = ForwardModel(MU_WATER, BEAM)(x_mu, PROJECTOR)
    assert torch.allclose(y, expected)
    assert (y - PROJECTOR(x_mu)).abs().max() > 0.05


def test_model_of_corrected_data_is_corrected(x_mu):
    correction = WaterCorrection.fit(BEAM)
    raw = ForwardModel(MU_WATER, BEAM)(x_mu, PROJECTOR)
    y = ForwardModel(MU_WATER, BEAM, correction)(x_mu, PROJECTOR)
    assert torch.allclose(y, correction(raw))
    assert torch.allclose(y[:1], PROJECTOR(x_mu)[:1], atol=0.02)  # water alone comes out as of one energy
    assert (raw - PROJECTOR(x_mu))[:1].abs().max() > 0.05


def test_gradient_reaches_the_image(x_mu):
    x = x_mu.double().float().requires_grad_()
    model = ForwardModel(MU_WATER, BEAM)
    model(x, PROJECTOR).square().sum().backward()
    assert bool((x.grad[1, 0, 10, 9] > 0).all())


def test_a_correction_needs_its_beam():
    with pytest.raises(ValueError, match="belongs to a beam"):
        ForwardModel(MU_WATER, None, WaterCorrection.fit(BEAM))
