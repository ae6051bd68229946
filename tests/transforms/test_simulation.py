"""The simulated scan of a volume."""

import math

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.transforms import SimulateTruncationd

MU_WATER = 0.02
SCANS = (
    ParallelBeam.equally_spaced(6, math.pi, 40, 4.0),
    FanBeam.equally_spaced(6, 2 * math.pi, 60, 5.0, sod_mm=300.0, sdd_mm=500.0),
)


@pytest.fixture
def volume(make_volume):
    generator = np.random.default_rng(0)
    return make_volume(generator.uniform(-1000, 500, (3, 30, 32)), (5.0, 3.0, 4.0))


@pytest.mark.parametrize("scan", SCANS, ids=lambda scan: type(scan).__name__)
def test_line_integrals_are_the_projectors(volume, scan):
    out = SimulateTruncationd("image", scan, 60.0, MU_WATER)({"image": volume})
    x_mu = MU_WATER * (1 + volume.array.astype(np.float32) / 1000)
    y = make_projector(Grid((30, 32), (3.0, 4.0)), scan, "torch")(torch.from_numpy(x_mu)[0, :, None])
    assert out["sinogram"].shape == (1, 3, *scan.sinogram_shape)
    assert torch.allclose(out["sinogram"][0], y[:, 0], atol=1e-4)
    assert out["image"] is volume


def test_mask_is_the_field_of_measurement(volume):
    out = SimulateTruncationd("image", SCANS[0], 60.0, MU_WATER)({"image": volume})
    measured = np.abs(SCANS[0].u_mm()) <= 30
    assert out["ray_mask"].dtype == torch.bool
    assert np.array_equal(out["ray_mask"].numpy(), np.broadcast_to(measured, SCANS[0].sinogram_shape))
    missing = ~out["ray_mask"]
    assert out["sinogram"][:, :, missing].max() > 0.5  # the reference keeps them


def test_what_is_darker_than_air_counts_as_air(make_volume):
    padded = make_volume(np.full((1, 30, 32), -3024.0))
    out = SimulateTruncationd("image", SCANS[0], 60.0, MU_WATER)({"image": padded})
    assert torch.equal(out["sinogram"], torch.zeros_like(out["sinogram"]))


@pytest.mark.parametrize(("diameter_mm", "left"), [(1.0, "0 of 240"), (400.0, "240 of 240")])
def test_a_field_that_leaves_none_or_all_is_refused(diameter_mm, left):
    with pytest.raises(InputError, match=f"{diameter_mm} mm leaves {left} rays measured; choose a diameter"):
        SimulateTruncationd("image", SCANS[0], diameter_mm, MU_WATER)
