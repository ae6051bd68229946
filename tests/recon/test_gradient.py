"""Finite differences and their transpose."""

import pytest
import torch

from latentct.geometry import Grid
from latentct.recon.gradient import FiniteDifferences

GRIDS = [Grid((5, 7), (2.0, 2.0)), Grid((5, 4), (1.0, 3.0)), Grid((3, 4, 5), (5.0, 1.0, 2.0))]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_transpose(grid: Grid) -> None:
    gradient, generator = FiniteDifferences(grid), torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, *grid.shape, generator=generator, dtype=torch.float64)
    d = torch.randn(grid.ndim, 2, 1, *grid.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close((gradient.forward(x) * d).sum(), (x * gradient.adjoint(d)).sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_sums_bound_the_matrix(grid: Grid) -> None:
    gradient = FiniteDifferences(grid)
    unit_images = torch.eye(grid.shape[0] * torch.tensor(grid.shape[1:]).prod()).view(-1, 1, *grid.shape)
    matrix = gradient.forward(unit_images).movedim(1, 0).flatten(1).abs()
    assert matrix.sum(dim=1).max() == pytest.approx(gradient.column_sum)
    rows = gradient.forward(unit_images).abs().sum(dim=1)
    assert rows.max() == pytest.approx(gradient.row_sum)


def test_a_ramp_has_one_slope_a_millimetre_whatever_the_pixels() -> None:
    grid = Grid((4, 4), (1.0, 4.0))
    ramp = torch.tensor(grid.coordinates_mm(1)).expand(1, 1, 4, 4) * 3.0
    along_y, along_x = FiniteDifferences(grid).forward(ramp)
    assert (along_y == 0).all()
    assert along_x[..., :3].unique().tolist() == [3.0]
    assert (along_x[..., 3] == 0).all()
    assert FiniteDifferences(grid).pixel_mm == 2.0
