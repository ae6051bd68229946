"""The scanned volume lies beneath the coarse one, whatever was cropped."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import CenterSpatialCropd

from latentct.geometry import Grid
from latentct.transforms import ResampleBeneathd, ResampleVolumed

GRID = Grid((4, 6, 6), (8.0, 6.0, 6.0))


def scan(depth: int) -> MetaTensor:
    """A ramp, which no averaging changes, on voxels of 2 x 3 x 3 mm off the origin."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (depth, 12, 12)), indexing="ij")
    values = torch.from_numpy(-200 + 400 * z + 50 * y + 30 * x).float()
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[[2, 1, 0], [0, 1, 2]] = (2.0, 3.0, -3.0)
    affine[:3, 3] = (10.0, -20.0, 30.0)
    return MetaTensor(values[None], affine=affine)


@pytest.mark.parametrize("depth", [16, 18, 20, 21])
@pytest.mark.parametrize("factor", [1, 2])
def test_its_means_are_the_coarse_voxels(depth, factor):
    data = {"image": scan(depth), "scanned": scan(depth)}
    data = CenterSpatialCropd("image", roi_size=GRID.shape)(ResampleVolumed("image", GRID)(data))
    fine = ResampleBeneathd("scanned", "image", factor)(data)["scanned"]
    assert fine.shape == (1, *(factor * n for n in GRID.shape))
    pooled = torch.nn.functional.avg_pool3d(fine, factor)
    interior = (slice(None), slice(1, -1), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(pooled[interior], torch.as_tensor(data["image"].array)[interior], rtol=0, atol=0.5)
