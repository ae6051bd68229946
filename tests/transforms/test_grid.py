"""Slices on another grid."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from latentct.geometry import Grid
from latentct.transforms import ResampleSlicesd, ResampleVolumed, resample_slices, slice_grid, volume_grid
from latentct.transforms.grid import resample_volume

FINE, COARSE = Grid((60, 80), (2.0, 2.0)), Grid((30, 40), (4.0, 4.0))
WIDE = Grid((48, 64), (4.0, 4.0))


def inner(grid: Grid, source: Grid, margin_mm: float) -> torch.Tensor:
    """Pixels of `grid` at least a margin within the outermost pixel centres of `source`."""
    y, x = (np.abs(grid.coordinates_mm(a)) <= source.coordinates_mm(a)[-1] - margin_mm for a in (0, 1))
    return torch.from_numpy(y[:, None] & x[None, :])


@pytest.mark.parametrize("target", [FINE, COARSE, WIDE, Grid((90, 110), (1.3, 1.5))])
def test_constant_inside_and_air_outside(target):
    out = resample_slices(torch.full((2, 3, *FINE.shape), 40.0), FINE, target, outside=-1000.0)
    assert out.shape == (2, 3, *target.shape)
    inside = inner(target, FINE, 4.0)
    assert (out[..., inside] - 40).abs().max() < 1e-2
    y, x = (np.abs(target.coordinates_mm(a)) > FINE.extent_mm[a] / 2 + 4.0 for a in (0, 1))
    assert bool((out[..., torch.from_numpy(y[:, None] | x[None, :])] == -1000).all())


def test_constant_is_exact_for_multiples():
    out = resample_slices(torch.full((1, *FINE.shape), 40.0), FINE, COARSE, outside=-1000.0)
    assert (out[..., inner(COARSE, FINE, 4.0)] - 40).abs().max() < 1e-3


def test_identity_on_the_same_grid():
    x = torch.randn(2, *FINE.shape) * 500
    assert torch.allclose(resample_slices(x, FINE, FINE, outside=-1000.0), x, atol=1e-3)


@pytest.mark.parametrize("target", [WIDE, Grid((200, 200), (1.0, 1.0)), Grid((60, 60), (3.0, 5.0))])
def test_mean_is_preserved(target):
    x = torch.zeros(1, *FINE.shape)
    x[:, 15:45, 20:60] = torch.rand(1, 30, 40, generator=torch.Generator().manual_seed(0)) * 1000
    out = resample_slices(x, FINE, target, outside=0.0)
    before, after = (float(v.sum()) * np.prod(g.spacing_mm) for v, g in ((x, FINE), (out, target)))
    assert after == pytest.approx(before, rel=0.01)


def test_centre_is_kept_on_an_off_centre_grid():
    source, target = Grid((60, 80), (2.0, 2.0), (7.0, -3.0)), Grid((64, 64), (4.0, 4.0))
    y, x = source.coordinates_mm(0)[:, None], source.coordinates_mm(1)[None, :]
    blob = torch.from_numpy(np.exp(-((y - 12.0) ** 2 + (x + 8.0) ** 2) / (2 * 10.0**2))).float()
    out = resample_slices(blob, source, target, outside=0.0).numpy()
    found = [float(out.sum(axis=1 - a) @ target.coordinates_mm(a) / out.sum()) for a in (0, 1)]
    assert found == pytest.approx([12.0, -8.0], abs=0.1)


@pytest.mark.parametrize("target", [COARSE, Grid((50, 70), (1.0, 1.0))])
def test_linear_ramp_is_kept(target):
    y, x = FINE.coordinates_mm(0)[:, None], FINE.coordinates_mm(1)[None, :]
    out = resample_slices(torch.from_numpy(3 * y - 2 * x + 10).float()[None], FINE, target, outside=0.0)
    expected = 3 * target.coordinates_mm(0)[:, None] - 2 * target.coordinates_mm(1)[None, :] + 10
    inside = inner(target, FINE, 4.0)
    assert (out[0] - torch.from_numpy(expected))[inside].abs().max() < 1e-3


def test_fine_structure_is_averaged():
    stripes = torch.zeros(1, *FINE.shape)
    stripes[..., ::2] = 1000.0
    out = resample_slices(stripes, FINE, COARSE, outside=0.0)
    assert (out[..., inner(COARSE, FINE, 4.0)] - 500).abs().max() < 1


def test_transform_takes_the_spacing_of_the_volume(make_volume):
    x_hu = torch.randn(3, *FINE.shape) * 100
    volume = make_volume(x_hu.numpy(), (5.0, 2.0, 2.5))
    assert slice_grid(volume) == Grid(FINE.shape, (2.0, 2.5))
    out = ResampleSlicesd("image", WIDE)({"image": volume})["image"]
    assert torch.equal(out[0], resample_slices(x_hu, Grid(FINE.shape, (2.0, 2.5)), WIDE, outside=-1000.0))


@pytest.mark.parametrize("step", [0.7, 1.5, 2.7])
def test_a_constant_stays_constant_whatever_the_pixels(step):
    target = Grid((40, 40), (step, step))
    out = resample_slices(torch.full((1, *FINE.shape), 40.0), FINE, target, outside=-1000.0)
    assert (out[..., inner(target, FINE, 4.0)] - 40).abs().max() < 1e-2


def volume_with_a_voxel(shape, spacing_mm, at):
    x_hu = torch.full((1, *shape), -1000.0)
    x_hu[(0, *at)] = 1000.0
    affine = torch.diag(torch.tensor([*spacing_mm, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([5.0, -7.0, 11.0])
    return MetaTensor(x_hu, affine=affine)


@pytest.mark.parametrize("shape", [(12, 30, 30), (40, 30, 30)])
def test_volumes_keep_their_place_in_the_world(shape):
    at = (shape[0] // 2 + 2, 20, 9)
    volume = volume_with_a_voxel(shape, (3.0, 2.0, 2.0), at)
    grid = Grid((24, 16, 16), (4.0, 5.0, 5.0))
    out = ResampleVolumed("image", grid)({"image": volume})["image"]
    assert out.shape == (1, max(24, -(-shape[0] * 3 // 4)), 16, 16)
    assert tuple(volume_grid(out).spacing_mm) == grid.spacing_mm
    density = torch.as_tensor(out)[0].double() + 1000
    found = [
        float((density.sum(tuple(a for a in range(3) if a != axis)) * torch.arange(n)).sum() / density.sum())
        for axis, n in enumerate(density.shape)
    ]
    world = out.affine @ torch.tensor([*found, 1.0], dtype=out.affine.dtype)
    expected = volume.affine @ torch.tensor([*at, 1.0], dtype=out.affine.dtype)
    assert torch.allclose(world, expected, atol=0.7)  # triangles on coarse voxels move a point's centroid a little
    assert out.min() >= -1000.001


def test_a_grid_off_the_middle_keeps_its_place_in_plane():
    """A block about (2, 4, -6) mm lies in the middle of a grid that is centred there."""
    source = Grid((12, 20, 20), (2.0, 2.0, 2.0))
    x = torch.zeros(source.shape)
    x[6:8, 11:13, 6:8] = 1.0
    target = Grid((4, 4, 4), (2.0, 2.0, 2.0), (2.0, 4.0, -6.0))
    expected = torch.zeros(target.shape)
    expected[1:3, 1:3, 1:3] = 1.0
    assert torch.allclose(resample_volume(x, source, target, outside=0.0), expected, atol=1e-5)
