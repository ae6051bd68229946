"""Simulated scans."""

import math

import pytest
import torch

from latentct.geometry import Grid, ParallelBeam, truncation_ray_mask
from latentct.projectors import make_projector
from latentct.simulate import acquire, truncate

SCAN = ParallelBeam.equally_spaced(6, math.pi, 21, 4.0)
RAY_MASK = torch.from_numpy(truncation_ray_mask(SCAN, 40.0))


def test_measured_rays_are_line_integrals_of_the_object():
    """Through the middle of a square of 40 mm and 0.02/mm the first view integrates to 0.8."""
    x_mu = torch.zeros(2, 1, 20, 20)
    x_mu[0, 0, 5:15, 5:15] = 0.02
    y = acquire(x_mu, make_projector(Grid((20, 20), (4.0, 4.0)), SCAN), RAY_MASK)
    assert y.shape == (2, 1, 6, 21)
    assert y[0, 0, 0, 10].item() == pytest.approx(0.8, rel=1e-5)
    assert y[1].abs().max() == 0
    assert y[..., ~RAY_MASK].abs().max() == 0


def test_without_a_mask_every_ray_is_measured():
    x_mu = torch.full((1, 1, 20, 20), 0.02)
    projector = make_projector(Grid((20, 20), (4.0, 4.0)), SCAN)
    complete = acquire(x_mu, projector)
    assert torch.equal(complete, projector.forward(x_mu))
    assert torch.equal(truncate(complete, RAY_MASK), acquire(x_mu, projector, RAY_MASK))
    assert complete[..., ~RAY_MASK].max() > 0


def test_truncation_keeps_measured_rays_bit_for_bit_and_reads_no_other():
    y = torch.rand(2, 3, 6, 21, generator=torch.Generator().manual_seed(0))
    spoilt = torch.where(RAY_MASK, y, torch.nan)
    truncated = truncate(spoilt, RAY_MASK)
    assert torch.equal(truncated[..., RAY_MASK], y[..., RAY_MASK])
    assert torch.equal(truncated, truncate(y, RAY_MASK))
