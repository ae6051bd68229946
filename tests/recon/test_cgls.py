"""Least squares by conjugate gradients."""

import math

import pytest
import torch

from latentct.geometry import ConeBeam, Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.recon import cgls

GRID, SCAN = Grid((8, 8), (2.0, 2.0)), ParallelBeam.equally_spaced(24, math.pi, 16, 1.5)


@pytest.fixture(scope="module")
def plane():
    return make_projector(GRID, SCAN, backend="torch")


def matrix(projector):
    n = math.prod(projector.grid.shape)
    basis = torch.eye(n, dtype=torch.float64).reshape(n, 1, *projector.grid.shape)
    return projector.forward(basis).reshape(n, -1).T


def test_it_finds_the_least_squares_solution(plane):
    a = matrix(plane)
    y = torch.randn(2, 1, *SCAN.sinogram_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = cgls(y, plane, n_iterations=200)
    expected = torch.linalg.lstsq(a, y.flatten(1).T).solution.T
    assert torch.allclose(x.flatten(1), expected, atol=1e-6)


def test_the_start_keeps_what_no_measured_ray_sees(plane):
    generator = torch.Generator().manual_seed(1)
    x_true, x_start = (torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    ray_mask = torch.zeros(SCAN.sinogram_shape, dtype=torch.bool)
    ray_mask[:2] = True
    y = torch.where(ray_mask, plane.forward(x_true), torch.nan)
    x = cgls(y, plane, ray_mask, n_iterations=60, x_start=x_start)
    assert torch.allclose(plane.forward(x)[..., :2, :], y[..., :2, :], atol=1e-8)
    a = matrix(plane).reshape(24, 16, 64)[:2].reshape(-1, 64)
    change = (x - x_start).flatten()
    in_rows = torch.linalg.pinv(a) @ (a @ change)
    assert torch.allclose(change, in_rows, atol=1e-7) and float(change.abs().max()) > 0.1


def test_every_item_has_steps_of_its_own(plane):
    y = plane.forward(torch.rand(3, 1, 8, 8, dtype=torch.float64)) * torch.tensor([1.0, 1e3, 0.0]).reshape(3, 1, 1, 1)
    together = cgls(y, plane, n_iterations=5)
    alone = torch.cat([cgls(item[None], plane, n_iterations=5) for item in y])
    assert torch.allclose(together, alone, rtol=1e-9)
    assert bool((together[2] == 0).all())


def test_volumes():
    grid = Grid((6, 6, 6), (4.0, 4.0, 4.0))
    scan = ConeBeam.equally_spaced(12, 2 * math.pi, (12, 12), (3.0, 3.0), 100.0, 150.0)
    projector = make_projector(grid, scan, backend="torch")
    x_true = torch.rand(1, 1, 6, 6, 6, dtype=torch.float64)
    found = cgls(projector.forward(x_true), projector, n_iterations=150)
    assert torch.allclose(found, x_true, atol=1e-3)
