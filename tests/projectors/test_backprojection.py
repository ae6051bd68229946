"""The pixel-driven back-projection."""

import math

import pytest
import torch
from tests.projectors.cases import PLANE_GRID, PLANE_SCANS, SCANS, relative_error

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import backproject


@pytest.mark.parametrize("name", PLANE_SCANS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_kernel_agrees_with_torch(name, weighted):
    scan = SCANS[name]
    q = torch.rand(3, 1, *scan.sinogram_shape, generator=torch.Generator().manual_seed(0))
    kernel, reference = (backproject(data, PLANE_GRID, scan, weighted) for data in (q, q.double()))
    assert kernel.shape == (3, 1, *PLANE_GRID.shape)
    assert relative_error(kernel, reference) < 1e-5


@pytest.mark.parametrize("kind", ["parallel", "flat", "curved"])
def test_one_bin_is_smeared_along_its_ray_with_the_distance_weight(kind):
    """At t = pi the source stands at +y; the ray of the middle bin is the column x = 0."""
    grid, t = Grid((41, 41), (2.0, 2.0)), (math.pi,)
    q = torch.zeros(1, 1, 1, 21)
    q[..., 10] = 1.0
    scan = (
        ParallelBeam(t, 21, 2.0) if kind == "parallel" else FanBeam(t, 21, 2.0, 100.0, 180.0, curved=kind == "curved")
    )
    x = backproject(q, grid, scan, weighted=True)[0, 0]
    weight = 1.0 if kind == "parallel" else (100.0 / (100.0 - torch.from_numpy(grid.coordinates_mm(0)))) ** 2
    assert torch.allclose(x[:, 20], (weight * torch.ones(41)).float(), rtol=1e-5)
    assert x[20, 20] == 1.0
    assert torch.all(x[:, 23:] == 0)


def test_flat_and_curved_weights_off_the_central_ray():
    grid, bins = Grid((1, 1), (1.0, 1.0), (10.0, 30.0)), 401
    ones = torch.ones(1, 1, 1, bins)
    flat = backproject(ones, grid, FanBeam((0.0,), bins, 1.0, 100.0, 180.0), weighted=True)
    curved = backproject(ones, grid, FanBeam((0.0,), bins, 1.0, 100.0, 180.0, curved=True), weighted=True)
    assert flat.item() == pytest.approx(100.0**2 / 110.0**2)
    assert curved.item() == pytest.approx(100.0**2 / (110.0**2 + 30.0**2))


def test_beyond_the_detector_there_is_nothing():
    grid, scan = Grid((1, 5), (1.0, 1.0)), ParallelBeam((0.0,), 2, 1.0, offset_mm=-0.5)
    x = backproject(torch.ones(1, 1, 1, 2), grid, scan, weighted=False)
    assert x.flatten().tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]


def test_a_gradient_flows_when_asked_for():
    scan = SCANS["fan_curved"]
    q = torch.rand(1, 1, *scan.sinogram_shape, requires_grad=True)
    backproject(q, PLANE_GRID, scan, weighted=True).sum().backward()
    assert q.grad is not None
    assert q.grad.abs().sum() > 0


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="end in"):
        backproject(torch.zeros(1, 1, 3, 3), PLANE_GRID, SCANS["parallel"], weighted=False)
