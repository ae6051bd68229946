"""The voxel-driven back-projection of cone beams."""

import math

import pytest
import torch
from tests.projectors.cases import VOLUME_GRID, relative_error

from latentct.geometry import ConeBeam, Grid
from latentct.projectors import backproject_cone

SCAN = ConeBeam.equally_spaced(7, 4.0, (9, 14), (4.0, 4.2), 150.0, 260.0, offset_mm=(3.0, -5.0), start_rad=0.4)


def test_the_kernel_agrees_with_torch():
    """The panel is smaller than the shadow of the grid, so that its edges count too."""
    q = torch.rand(3, 1, *SCAN.sinogram_shape, generator=torch.Generator().manual_seed(0))
    kernel, reference = (backproject_cone(data, VOLUME_GRID, SCAN) for data in (q, q.double()))
    assert kernel.shape == (3, 1, *VOLUME_GRID.shape)
    assert (reference == 0).any()
    assert relative_error(kernel, reference) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_pixel_is_found_on_its_ray_with_the_distance_weight(dtype):
    """At t = pi the source stands at +y; pixel (v, u) = (15, -30) mm is hit by the ray through (z, x) = (5, 10) mm."""
    scan = ConeBeam((math.pi,), (11, 11), (7.5, 7.5), 100.0, 200.0)
    q = torch.zeros(1, 1, *scan.sinogram_shape, dtype=dtype)
    q[0, 0, 0, 7, 1] = 1.0
    y_mm, z_mm, x_mm = 50.0, 3.75, 7.5  # half way to the source the panel is magnified four times
    x = backproject_cone(q, Grid((1, 1, 1), (1.0, 1.0, 1.0), (z_mm, y_mm, x_mm)), scan)
    assert x.item() == pytest.approx((100.0 / 50.0) ** 2)
    mirrored = backproject_cone(q, Grid((1, 1, 1), (1.0, 1.0, 1.0), (-z_mm, y_mm, x_mm)), scan)
    assert mirrored.item() == 0.0


def test_a_gradient_flows_when_asked_for():
    q = torch.rand(1, 1, *SCAN.sinogram_shape, requires_grad=True)
    backproject_cone(q, VOLUME_GRID, SCAN).sum().backward()
    assert q.grad is not None
    assert q.grad.abs().sum() > 0


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="end in"):
        backproject_cone(torch.zeros(1, 1, 7, 14, 9), VOLUME_GRID, SCAN)


@pytest.mark.parametrize("pixel_mm", [0.1, 0.9, 30.0])
def test_rows_of_any_height_are_found(pixel_mm):
    """Sixteen voxels above each other lie on hundreds of rows, on more than a window holds, or on a few."""
    n_rows = min(900, int(120 / pixel_mm))
    scan = ConeBeam.equally_spaced(3, 4.0, (n_rows, 6), (pixel_mm, 12.0), 150.0, 260.0, offset_mm=(2.0, 1.0))
    q = torch.rand(1, 1, *scan.sinogram_shape, generator=torch.Generator().manual_seed(0))
    kernel, reference = (backproject_cone(data, VOLUME_GRID, scan) for data in (q, q.double()))
    assert relative_error(kernel, reference) < 1e-5
