"""Quantum and electronic noise."""

import math

import pytest
import torch

from latentct.simulate.noise import line_integrals_of, measure, noisy

N_RAYS = 200_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("mean_photons", [0.3, 12.0, 2.5e3, 2e7])
def test_counts_have_the_mean_and_the_variance_of_poisson(mean_photons):
    """Within five standard errors, from a few photons to more than 24 bits hold."""
    counts = measure(torch.full((N_RAYS,), 0.1), 10 * mean_photons, generator=generator()).double()
    assert counts.mean().item() == pytest.approx(mean_photons, abs=5 * math.sqrt(mean_photons / N_RAYS))
    relative_error = math.sqrt((2 + 1 / mean_photons) / N_RAYS)
    assert counts.var().item() == pytest.approx(mean_photons, rel=5 * relative_error)


def test_electronic_noise_adds_its_variance():
    counts = measure(torch.full((N_RAYS,), 0.01), 1e4, electronic_photons=20.0, generator=generator()).double()
    assert counts.mean().item() == pytest.approx(100, abs=5 * math.sqrt(500 / N_RAYS))
    assert counts.var().item() == pytest.approx(100 + 400, rel=0.02)
    assert counts.min() < 50


def test_line_integrals_have_the_noise_of_their_counts():
    """The variance of the logarithm is one over the number of photons."""
    counts = measure(torch.full((N_RAYS,), math.exp(-3)), 1e5, generator=generator())
    y = line_integrals_of(counts, 1e5).double()
    assert y.mean().item() == pytest.approx(3.0, abs=1e-3)
    assert y.var().item() == pytest.approx(math.exp(3) / 1e5, rel=0.02)


def test_dark_rays_stop_at_the_floor():
    counts = torch.tensor([-4.0, 0.0, 1.0, 1000.0])
    torch.testing.assert_close(line_integrals_of(counts, 1000.0), torch.tensor([1.0, 1, 1, 0]) * math.log(1000))
    assert line_integrals_of(counts, 1000.0, least_photons=0.1)[0].item() == pytest.approx(math.log(1e4))


def test_a_seed_repeats_the_noise():
    transmission = torch.rand(3, 1, 4, 5, generator=generator())
    first, again, other = (measure(transmission, 100, 3.0, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_noisy_line_integrals_are_those_of_drawn_counts():
    y = torch.linspace(0.0, 5.0, 50)
    expected = line_integrals_of(measure(torch.exp(-y), 1e4, generator=generator(3)), 1e4)
    assert torch.equal(noisy(y, 1e4, generator(3)), expected)
