"""The bound of the VAE against numbers by hand and against torch's distributions."""

import math

import pytest
import torch
from torch.distributions import Laplace, Normal
from torch.distributions import kl_divergence as reference_kl

from latentct.losses import ELBOLoss, kl_divergence


@pytest.fixture
def prediction() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    recon = torch.rand(4, 1, 6, 5, generator=generator)
    z_mean = torch.randn(4, 2, 3, 2, generator=generator)
    return recon, z_mean, torch.randn(4, 2, 3, 2, generator=generator)


def test_by_hand():
    # two pixels with errors 0.1 and 0.3, b = 0.2; KL of mean 1, variance 1: 1/2; of mean 0, variance e: (e - 2) / 2
    pred = (torch.tensor([[[[0.1, 0.7]]]]), torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]]))
    loss = ELBOLoss(0.2)(pred, torch.tensor([[[[0.0, 1.0]]]]))
    nats = 0.4 / 0.2 + 2 * math.log(0.4) + 0.5 + (math.e - 2) / 2
    assert loss.item() == pytest.approx(nats / 2, rel=1e-6)


def test_against_torch_distributions(prediction):
    recon, z_mean, z_logvar = prediction
    target = torch.rand(recon.shape)
    nats = -Laplace(recon, 0.05).log_prob(target).flatten(1).sum(dim=1)
    kl = reference_kl(Normal(z_mean, (z_logvar / 2).exp()), Normal(0.0, 1.0)).flatten(1).sum(dim=1)
    assert torch.allclose(kl_divergence(z_mean, z_logvar), kl, rtol=1e-5)
    expected = (nats + kl).mean() / recon[0].numel()
    assert torch.allclose(ELBOLoss(0.05)(prediction, target), expected, rtol=1e-5)


def test_no_divergence_from_the_prior_itself():
    assert torch.equal(kl_divergence(torch.zeros(2, 3, 1, 1), torch.zeros(2, 3, 1, 1)), torch.zeros(2))


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_kl_weight(prediction, weight):
    loss, target = ELBOLoss(0.1), torch.zeros_like(prediction[0])
    whole = loss(prediction, target)
    loss.kl_weight = weight
    kl = kl_divergence(*prediction[1:]).mean() / target[0].numel()
    assert torch.allclose(whole - loss(prediction, target), (1 - weight) * kl, rtol=1e-4)


def test_learned_scale_finds_the_mean_error(prediction):
    target = torch.zeros_like(prediction[0])
    loss = ELBOLoss(0.05, learn_scale=True)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        loss(prediction, target).backward()
        optimizer.step()
    best = prediction[0].abs().mean().item()  # where a Laplace density fits its residuals best
    assert loss.log_scale.exp().item() == pytest.approx(best, rel=0.01)


def test_given_scale_stays():
    assert not [p for p in ELBOLoss(0.05).parameters() if p.requires_grad]


def test_gradient_reaches_all_three(prediction):
    parts = tuple(p.requires_grad_() for p in prediction)
    ELBOLoss(0.1)(parts, torch.rand(parts[0].shape)).backward()
    assert all(p.grad.abs().min() > 0 for p in parts)
