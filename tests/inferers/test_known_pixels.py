"""Slices of which a part is known, completed by the prior."""

import numpy as np
import torch

from latentct.geometry import Grid
from latentct.inferers.known_pixels import KnownPixels, complete_slices, edge_fill

from .cases import PRIOR_GRID


def _disc(radius_mm):
    y_mm, x_mm = (torch.from_numpy(PRIOR_GRID.coordinates_mm(axis)) for axis in (0, 1))
    return torch.hypot(y_mm[:, None], x_mm[None]) < radius_mm


def test_slices_that_the_prior_can_make_are_completed(make_problem, prior, make_inferer):
    problem = make_problem()
    known = _disc(0.3 * min(PRIOR_GRID.extent_mm))
    outside = ~known.expand(problem.x_mu.shape)
    cut = torch.where(known, problem.x_mu, torch.nan)  # what is not known is not read
    first = edge_fill(cut, known, PRIOR_GRID.spacing_mm)
    found = complete_slices(make_inferer(), prior, cut, known, prior_weight=0.0)
    assert torch.allclose(found.x_mu[~outside], problem.x_mu[~outside], rtol=1e-6)
    error, at_first = ((x_mu - problem.x_mu)[outside].abs().mean() for x_mu in (found.x_mu, first))
    assert error < 0.1 * at_first
    assert (found.trace.diff(dim=0) <= 0).all()
    assert found.misfit.shape == (2,)


def test_the_prior_meets_the_known_pixels_without_a_jump(prior, make_inferer):
    settings = make_inferer()
    settings.prior_grid = Grid((64, 64), (4.0, 4.0))
    radius_mm = torch.from_numpy(np.hypot(*np.meshgrid(*(settings.prior_grid.coordinates_mm(axis) for axis in (0, 1)))))
    known = radius_mm < 60.0
    y = torch.where(known, 3.0, torch.nan)[None, None]
    x_prior_mu = torch.full((1, 1, 64, 64), 0.02)  # a line integral of 2
    completed = KnownPixels(settings, prior, known).complete(y, x_prior_mu, known)[0, 0]
    assert (completed[known] == 3.0).all()
    beside, half_way = (radius_mm > 60.0) & (radius_mm < 62.0), (radius_mm > 69.0) & (radius_mm < 71.0)
    assert (completed[beside] > 2.85).all()
    assert ((completed[half_way] > 2.3) & (completed[half_way] < 2.7)).all()
    assert torch.allclose(completed[radius_mm > 85.0], torch.tensor(2.0))


def test_a_start_of_its_own_is_used(make_problem, prior, make_inferer):
    problem = make_problem()
    known = _disc(0.2 * min(PRIOR_GRID.extent_mm))
    asked = []

    def first(x_mu, mask):
        asked.append(mask)
        return problem.x_mu

    found = complete_slices(make_inferer(rounds=(0,)), prior, problem.x_mu, known, first)
    assert torch.equal(asked[0], known)
    assert torch.allclose(found.x_prior_mu, problem.x_mu, atol=1e-5)


def test_the_edge_fill_ends_in_air():
    x_mu = torch.full((1, 1, 20, 20), 0.02)
    known = torch.zeros(20, 20, dtype=torch.bool)
    known[8:12, 8:12] = True
    filled = edge_fill(x_mu, known, (20.0, 20.0))
    assert filled[0, 0, 9, 4] == x_mu[0, 0, 0, 0]
    assert filled[0, 0, 9, 0] == 0
