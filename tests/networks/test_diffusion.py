"""The angles of the noise, the velocity, and DDIM on a problem whose solution is known."""

import math

import pytest
import torch
from torch import Tensor

from latentct.networks.diffusion import ddim, noised, velocity


@pytest.fixture
def latents() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z_0, eps = torch.randn(2, 3, 2, 2, 2, 2, generator=generator)
    return z_0, eps


def test_time_goes_from_the_latent_to_noise_alone(latents: tuple[Tensor, Tensor]) -> None:
    z_0, eps = latents
    assert noised(z_0, eps, torch.zeros(3)).equal(z_0)
    torch.testing.assert_close(noised(z_0, eps, torch.ones(3)), eps)  # nothing of the latent is left


def test_mixture_keeps_the_variance_at_each_items_own_time(latents: tuple[Tensor, Tensor]) -> None:
    z_0, eps = latents
    z_t = noised(z_0, eps, torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(z_t[1], (z_0[1] + eps[1]) / math.sqrt(2.0))
    torch.testing.assert_close(z_t[0], z_0[0])


def test_velocity_is_the_derivative_along_the_angle(latents: tuple[Tensor, Tensor]) -> None:
    z_0, eps = (part.double() for part in latents)
    t, step = torch.full((3,), 0.3, dtype=torch.float64), 1e-6
    slope = (noised(z_0, eps, t + step) - noised(z_0, eps, t - step)) / (2 * step * math.pi / 2)
    torch.testing.assert_close(velocity(z_0, eps, t), slope, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_ddim_with_the_true_velocity_returns_the_latent(latents: tuple[Tensor, Tensor], steps: int) -> None:
    z_0, eps = latents
    found = ddim(lambda z_t, t: velocity(z_0, eps, t), eps, steps)
    torch.testing.assert_close(found, z_0, rtol=1e-5, atol=1e-5)


def test_ddim_samples_a_gaussian() -> None:
    mean, std = 2.0, 0.5

    def denoise(z_t: Tensor, t: Tensor) -> Tensor:
        a = 0.5 * math.pi * t.reshape(-1, 1, 1, 1, 1)
        excess = z_t - a.cos() * mean
        variance = (a.cos() * std) ** 2 + a.sin() ** 2
        z_0 = mean + a.cos() * std**2 / variance * excess  # the posterior's means of latent and noise
        return a.cos() * a.sin() / variance * excess - a.sin() * z_0

    eps = torch.randn(4, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    found = ddim(denoise, eps, 200)
    assert abs(float(found.mean()) - mean) < 0.02
    assert abs(float(found.std()) - std) < 0.02


def test_refinement_has_the_last_word_and_hears_the_time(latents: tuple[Tensor, Tensor]) -> None:
    z_0, eps = latents
    times: list[float] = []

    def refine(z: Tensor, t: float) -> Tensor:
        times.append(t)
        return torch.full_like(z, 7.0)

    found = ddim(lambda z_t, t: velocity(z_0, eps, t), eps, 4, refine)
    assert found.allclose(torch.tensor(7.0))
    assert times == [1.0, 0.75, 0.5, 0.25]
