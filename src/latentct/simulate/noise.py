"""Quantum and electronic noise."""

from __future__ import annotations

import torch

LEAST_PHOTONS = 1.0
"""What a detector bin that saw nothing is taken to have seen, so that its logarithm exists."""


def measure(
    transmission: torch.Tensor,
    i0_photons: float,
    electronic_photons: float = 0.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Draw the signal of each ray: ``Poisson(i0_photons * transmission) + Normal(0, electronic_photons^2)``.

    A detector that integrates energy has nearly the same noise as one that counts; ``i0_photons`` is then the number of
    quanta with its signal-to-noise ratio (noise equivalent quanta).

    Args:
        transmission: Share of the signal that arrives, scatter included, >= 0, of any shape.
        i0_photons: Photons a ray without object.
        electronic_photons: Standard deviation of the electronic noise, in photons.
        generator: Source of chance on the device of ``transmission``; None takes torch's global one.

    Returns:
        Signals in photons of the same shape; the electronic noise may make them negative.
    """
    counts = torch.poisson(i0_photons * transmission, generator=generator)
    if electronic_photons > 0:
        noise = torch.randn(counts.shape, generator=generator, dtype=counts.dtype, device=counts.device)
        counts = counts + electronic_photons * noise
    return counts


def line_integrals_of(counts: torch.Tensor, i0_photons: float, least_photons: float = LEAST_PHOTONS) -> torch.Tensor:
    """Return ``-ln(max(counts, least_photons) / i0_photons)``.

    Args:
        counts: Signals in photons of any shape.
        i0_photons: Photons a ray without object.
        least_photons: Floor of the signal in photons, positive; the largest line integral is its.
    """
    return -torch.log(counts.clamp(min=least_photons) / i0_photons)


def noisy(y: torch.Tensor, i0_photons: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return line integrals as they are measured with a finite number of photons, without electronic noise.

    Args:
        y: Line integrals without noise, of any shape.
        i0_photons: Photons a ray without object.
        generator: Source of chance on the device of ``y``; None takes torch's global one.
    """
    return line_integrals_of(measure(torch.exp(-y), i0_photons, generator=generator), i0_photons)
