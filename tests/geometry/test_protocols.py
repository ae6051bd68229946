"""Published cone-beam protocols."""

import math

import numpy as np
import pytest

from latentct.geometry import few_view_cbct, ray_distance_mm, x2ct_biplanar, x2ct_grid


def test_few_view_cbct_is_the_published_one():
    scan = few_view_cbct(8)
    assert scan.sinogram_shape == (8, 256, 256)
    assert scan.pixel_mm == pytest.approx((2.4, 2.4))
    assert (scan.sod_mm, scan.sdd_mm, scan.offset_mm) == (800.0, 1200.0, (0.0, 0.0))
    assert scan.angles_rad == pytest.approx([i * math.pi / 8 for i in range(8)])


def test_few_view_cbct_with_another_panel_and_arc():
    scan = few_view_cbct(4, 2 * math.pi, 0.3, detector_shape=(96, 48), panel_mm=(576.0, 768.0))
    assert scan.pixel_mm == (6.0, 16.0)
    assert scan.angles_rad == pytest.approx([0.3 + i * math.pi / 2 for i in range(4)])
    assert 2 * ray_distance_mm(scan).max() == pytest.approx(2 * 800 * math.sin(math.atan(376 / 1200)))


def test_x2ct_looks_from_the_front_and_from_the_side():
    scan = x2ct_biplanar()
    assert scan.sinogram_shape == (2, 320, 320)
    assert scan.pixel_mm == pytest.approx((1.5625, 1.5625))
    assert np.allclose(scan.vectors().source_mm, [(0, -541, 0), (541, 0, 0)])
    assert np.allclose(scan.vectors().detector_mm, [(0, 408, 0), (-408, 0, 0)])
    assert x2ct_biplanar((128, 128)).pixel_mm == pytest.approx((500 / 128, 500 / 128))


def test_x2ct_grid_is_a_cube_of_320_mm():
    assert x2ct_grid().extent_mm == pytest.approx((320.0, 320.0, 320.0))
    assert x2ct_grid().shape == (128, 128, 128)
