"""Detector bins cut and joined."""

import numpy as np
import pytest
import torch

from latentct.geometry import ConeBeam, FanBeam
from latentct.simulate.detector import bin_sizes_mm, join_bins, split_bins

CONE = ConeBeam.equally_spaced(3, 3.0, (4, 6), (2.0, 1.5), 100.0, 150.0, offset_mm=(1.0, -2.0))


def test_parts_of_a_bin_surround_its_centre():
    fan = FanBeam.equally_spaced(2, 3.0, 5, 2.0, 100.0, 150.0, offset_mm=3.0, curved=True)
    np.testing.assert_allclose(split_bins(fan, 4).u_mm().reshape(5, 4).mean(axis=1), fan.u_mm())
    finer = split_bins(CONE, 3)
    np.testing.assert_allclose(finer.u_mm().reshape(6, 3).mean(axis=1), CONE.u_mm(), atol=1e-12)
    np.testing.assert_allclose(finer.v_mm().reshape(4, 3).mean(axis=1), CONE.v_mm(), atol=1e-12)
    assert finer.sinogram_shape == (3, 12, 18)


def test_a_free_panel_is_cut_as_a_turning_one():
    expected, found = split_bins(CONE, 2).vectors(), split_bins(CONE.vectors(), 2)
    assert found.detector_shape == expected.detector_shape
    for name in ("source_mm", "detector_mm", "u_mm", "v_mm"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-12)


def test_joined_bins_have_the_mean_intensity():
    y = torch.tensor([[0.0, 100.0, 1.0, 1.0]])
    torch.testing.assert_close(join_bins(y, 2, 1), torch.tensor([[np.log(2), 1.0]], dtype=torch.float32))
    panel = torch.arange(24.0).reshape(1, 4, 6)
    expected = -torch.log(torch.nn.functional.avg_pool2d(torch.exp(-panel), 2))
    torch.testing.assert_close(join_bins(panel, 2, 2), expected)


@pytest.mark.parametrize("scan", [CONE, CONE.vectors()])
def test_sizes_of_a_panel(scan):
    assert bin_sizes_mm(scan) == pytest.approx((2.0, 1.5))
