"""The comparison of ways to search, on a linear prior, whose latent is known."""

import pytest
import torch
from benchmarks.search_cases import Case
from tests.inferers.cases import DIAMETER_MM, HU_MAX, HU_MIN, LATENT, MU_WATER, PRIOR_GRID, SCANS, LinearPrior

from benchmarks import search, search_methods
from latentct.geometry import field_of_measurement_mask, truncation_ray_mask
from latentct.inferers import LatentReconstructionInferer
from latentct.projectors import make_projector


@pytest.fixture
def case(monkeypatch):
    monkeypatch.setattr(search_methods, "PAPER_STEPS", 10)
    prior, scan = LinearPrior(), SCANS["parallel"]
    z = torch.randn(3, *LATENT, generator=torch.Generator().manual_seed(2))
    y = make_projector(PRIOR_GRID, scan)(prior.decode(z) * (HU_MAX - HU_MIN) / 1000 * MU_WATER)
    inferer = LatentReconstructionInferer(PRIOR_GRID, HU_MIN, HU_MAX, mu_water=MU_WATER, progress=False)
    inside = torch.from_numpy(field_of_measurement_mask(PRIOR_GRID, DIAMETER_MM))
    return Case(y, torch.from_numpy(truncation_ray_mask(scan, DIAMETER_MM)), prior, inferer, scan, inside)


def test_every_way_is_raced(case):
    rows = search.race(case)
    assert list(rows) == list(search.METHODS)
    for row in rows.values():
        assert row["calls"] > 0 and row["misfit"] > 0
    assert rows[search.PAPER]["calls"] == 10
    assert rows[search.CONVERGED]["calls_to_converged"] is not None
    default = rows["default: scaled L-BFGS, encoded again"]
    assert default["calls_to_paper"] < default["calls"]
    assert default["misfit"] < rows[search.PAPER]["misfit"]
    assert rows["Gauss-Newton from the encoder"]["misfit"] < 1e-2  # a linear problem is its own linear model


def test_calls_are_those_until_the_misfit_is_reached(case):
    watch = search_methods.Watch(case.wave())
    everything = torch.arange(3)
    for misfit in (4.0, 2.0, 3.0, 1.0):
        watch.note(1.0, torch.full((3,), misfit), everything)
    watch.spend(0.5)
    assert watch.until(torch.full((3,), 2.0))[0] == 2
    assert watch.until(torch.full((3,), 1.5))[0] == 4.5
    assert watch.until(torch.full((3,), 0.5)) is None


def test_the_cost_of_a_step_is_at_least_that_of_the_decoder(case):
    found = search.step_cost(case, batch=4)
    assert found["step_ratio"] == found["step_s"] / found["decoder_s"] > 0


def test_neighbours_and_whole_scans_are_searched(case):
    assert set(search.in_waves(case)) == set(search.NEIGHBOURS)
    apart, together = search.whole(case, [1, 2]).values()
    assert apart["misfit"] == pytest.approx(together["misfit"], rel=0.5)
