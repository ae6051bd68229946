"""Scans for the evaluation: by view count, and of kinds that training never sees."""

import math

import numpy as np
import pytest

from latentct.geometry import ConeBeam, VectorConeBeam, few_view_scans, held_out_scans, tilted

MACHINE = ConeBeam((0.3,), (4, 10), (6.0, 8.0), 800.0, 1200.0)


def test_scans_by_view_count_share_the_machine():
    scans = few_view_scans(MACHINE, (2, 4))
    assert list(scans) == ["2", "4"]
    assert scans["4"].angles_rad == pytest.approx([0.0, math.pi / 4, math.pi / 2, 3 * math.pi / 4])
    assert (scans["2"].sod_mm, scans["2"].detector_shape, scans["2"].pixel_mm) == (800.0, (4, 10), (6.0, 8.0))


def test_held_out_scans_are_what_their_names_say():
    scans = held_out_scans(MACHINE)
    assert [scan.n_views for scan in scans.values()] == [8, 5, 7, 10, 8, 8]
    assert scans["5_views_120"].angles_rad[-1] == pytest.approx(2 * math.pi / 3 * 4 / 5)
    assert scans["8_views_offset"].offset_mm == pytest.approx((0.0, 8.0))
    assert isinstance(scans["8_views_tilted"], VectorConeBeam)


def test_a_tilt_turns_everything_about_x():
    scan = ConeBeam((0.0, math.pi / 2), (4, 10), (6.0, 8.0), 800.0, 1200.0)
    turned = tilted(scan, math.radians(30))
    source, detector = np.array(turned.source_mm), np.array(turned.detector_mm)
    assert source[0] == pytest.approx([0.0, -800 * math.cos(math.radians(30)), -400.0])
    assert source[1] == pytest.approx([800.0, 0.0, 0.0])
    assert np.linalg.norm(detector - source, axis=1) == pytest.approx([1200.0, 1200.0])
    assert np.array(turned.v_mm)[0] == pytest.approx([0.0, -3.0, 6 * math.cos(math.radians(30))])
    assert tilted(scan, 0.0).detector_mm == scan.vectors().detector_mm
