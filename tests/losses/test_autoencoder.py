"""The loss of the volume autoencoder."""

import pytest
import torch
from monai.networks.nets import PatchDiscriminator

from latentct.losses import AutoencoderLoss, weighted_l1


@pytest.fixture
def loss():
    torch.manual_seed(0)
    critic = PatchDiscriminator(spatial_dims=3, in_channels=1, channels=4, num_layers_d=1, norm="INSTANCE")
    return AutoencoderLoss(kl_weight=0.5, critic=critic, adversarial_weight=0.1)


def test_absolute_error_and_kl_without_the_critic(loss):
    x = torch.rand(2, 1, 8, 8, 8)
    z_mean = torch.ones(2, 1, 2, 2, 2)
    found = loss((x + 0.25, z_mean, torch.zeros_like(z_mean)), x)
    assert float(found) == pytest.approx(0.25 + 0.5 * (8 * 0.5) / 512, rel=1e-5)


def test_the_critic_counts_once_it_joins_and_gets_no_gradient_from_it(loss):
    x_hat = torch.rand(1, 1, 16, 16, 16, requires_grad=True)
    latents = torch.zeros(1, 1, 2, 2, 2)
    without = loss((x_hat, latents, latents), x_hat.detach())
    loss.critic_joins = True
    joined = loss((x_hat, latents, latents), x_hat.detach())
    assert float(joined.detach()) > float(without.detach())
    joined.backward()
    assert x_hat.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in loss.critic.parameters())


def test_the_critic_learns_to_tell_volumes_apart(loss):
    x, x_hat = torch.rand(2, 1, 16, 16, 16), torch.zeros(2, 1, 16, 16, 16)
    optimizer = torch.optim.Adam(loss.critic.parameters(), lr=1e-2)
    first = None
    for _ in range(15):
        value = loss.critic_loss(x_hat, x)
        first = float(value.detach()) if first is None else first
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert float(loss.critic_loss(x_hat, x).detach()) < 0.5 * first


def test_tissue_counts_more_than_air():
    x = torch.tensor([0.0, 0.0, 0.0, 1.0]).reshape(1, 1, 1, 2, 2)
    in_air, in_tissue = (x + 0.1 * torch.tensor(e).reshape(x.shape) for e in ([1.0, 0, 0, 0], [0, 0, 0, 1.0]))
    assert float(weighted_l1(in_air, x, 9.0, 0.25)) == pytest.approx(0.1 / 13)
    assert float(weighted_l1(in_tissue, x, 9.0, 0.25)) == pytest.approx(1.0 / 13)
    assert float(weighted_l1(in_air, x, 0.0, 0.25)) == pytest.approx(0.1 / 4)
