"""The linear prior, problems that it can solve exactly, and an inferer that converges."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from latentct.geometry import truncation_ray_mask
from latentct.inferers import LatentReconstructionInferer
from latentct.projectors import make_projector

from .cases import (
    DIAMETER_MM,
    HU_MAX,
    HU_MIN,
    LATENT,
    MU_WATER,
    PRIOR_GRID,
    SCANS,
    LinearPrior,
    MisleadingPrior,
    Problem,
)


@pytest.fixture
def prior() -> LinearPrior:
    return LinearPrior().eval()


@pytest.fixture
def misleading_prior() -> LinearPrior:
    return MisleadingPrior().eval()


@pytest.fixture
def make_problem(prior: LinearPrior) -> Callable[..., Problem]:
    def make(n_slices: int = 2, name: str = "parallel") -> Problem:
        z = torch.randn(n_slices, *LATENT, generator=torch.Generator().manual_seed(2))
        x_mu = prior.decode(z) * (HU_MAX - HU_MIN) / 1000 * MU_WATER
        scan = SCANS[name]
        mask = torch.from_numpy(truncation_ray_mask(scan, DIAMETER_MM))
        return Problem(z, x_mu, make_projector(PRIOR_GRID, scan)(x_mu), scan, mask)

    return make


@pytest.fixture
def make_inferer() -> Callable[..., LatentReconstructionInferer]:
    """An inferer that converges and does not hold the latent back, unless told otherwise."""
    settings: dict[str, Any] = {
        "rounds": (100,),
        "tolerance": 0.0,
        "prior_weight": 0.0,
        "progress": False,
        "mu_water": MU_WATER,
    }
    return lambda **changes: LatentReconstructionInferer(PRIOR_GRID, HU_MIN, HU_MAX, **settings | changes)
