"""The split of tissue into water and bone."""

import pytest
import torch

from latentct.simulate import split_tissue
from latentct.units import hu_to_mu, mu_to_hu

MU_WATER = 0.02


def split_hu(*values_hu: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x_mu = hu_to_mu(torch.tensor(values_hu, dtype=torch.float64), MU_WATER)
    return x_mu, *split_tissue(x_mu, MU_WATER)


def test_soft_tissue_is_water_and_dense_tissue_bone():
    x_mu, water, bone = split_hu(-1000, -100, 0, 100, 1500, 2500)
    torch.testing.assert_close(water[:4], x_mu[:4])
    torch.testing.assert_close(bone[4:], x_mu[4:])
    assert bone[:4].abs().max() == 0
    assert water[4:].abs().max() < 1e-15


def test_the_share_of_bone_grows_linearly_between():
    x_mu, water, bone = split_hu(100, 450, 800, 1150, 1500)
    torch.testing.assert_close(bone / x_mu, torch.linspace(0, 1, 5, dtype=torch.float64))
    torch.testing.assert_close(water + bone, x_mu)


def test_thresholds_can_be_set():
    x_mu = hu_to_mu(torch.tensor([250.0], dtype=torch.float64), MU_WATER)
    water, bone = split_tissue(x_mu, MU_WATER, soft_hu=200, bone_hu=300)
    assert (bone / x_mu).item() == pytest.approx(0.5)
    assert mu_to_hu(water + bone, MU_WATER).item() == pytest.approx(250)


def test_differentiable():
    x_mu = hu_to_mu(torch.tensor([-800.0, 40, 300, 900, 1700], dtype=torch.float64), MU_WATER).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: split_tissue(x, MU_WATER), (x_mu,), eps=1e-7)
