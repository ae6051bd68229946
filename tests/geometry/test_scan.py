"""Scan geometries."""

import math

import numpy as np
import pytest

from latentct.geometry import ConeBeam, FanBeam, ParallelBeam, equally_spaced_rad, fan_ct


def test_the_end_of_the_arc_is_excluded():
    assert equally_spaced_rad(4, 2 * math.pi, start_rad=0.1) == pytest.approx([0.1 + i * math.pi / 2 for i in range(4)])


def test_bin_centres_are_symmetric_about_the_offset():
    assert np.allclose(ParallelBeam((0.0,), 4, 2.0, offset_mm=0.5).u_mm(), [-2.5, -0.5, 1.5, 3.5])


def test_fan_angles_of_flat_and_curved_detectors():
    flat = FanBeam((0.0,), 3, 100.0, sod_mm=100.0, sdd_mm=200.0)
    curved = FanBeam((0.0,), 3, 100.0, sod_mm=100.0, sdd_mm=200.0, curved=True)
    assert flat.fan_angles_rad() == pytest.approx([-math.atan(0.5), 0.0, math.atan(0.5)])
    assert curved.fan_angles_rad() == pytest.approx([-0.5, 0.0, 0.5])


def test_shapes():
    assert ParallelBeam((0.0, 1.0), 5, 1.0).sinogram_shape == (2, 5)
    assert ConeBeam((0.0, 1.0, 2.0), (4, 5), (1.0, 1.0), 10.0, 20.0).sinogram_shape == (3, 4, 5)
    assert fan_ct(n_views=10).sinogram_shape == (10, 736)


def test_the_clinical_fan_covers_fifty_centimetres():
    scan = fan_ct()
    assert 2 * scan.sod_mm * math.sin(scan.fan_angles_rad()[-1]) == pytest.approx(500.0, abs=3.0)


def test_cone_vectors_at_two_angles():
    scan = ConeBeam((0.0, math.pi / 2), (3, 4), (2.0, 1.0), sod_mm=100.0, sdd_mm=150.0, offset_mm=(7.0, 5.0))
    vectors = scan.vectors()
    assert np.allclose(vectors.source_mm, [(0, -100, 0), (100, 0, 0)])
    assert np.allclose(vectors.detector_mm, [(5, 50, 7), (-50, 5, 7)])
    assert np.allclose(vectors.u_mm, [(1, 0, 0), (0, 1, 0)])
    assert np.allclose(vectors.v_mm, [(0, 0, 2), (0, 0, 2)])
    assert vectors.sinogram_shape == scan.sinogram_shape


def test_scans_from_lists_are_hashable():
    scan = ParallelBeam([0.0, 1.0], 5, 1.0)  # type: ignore[arg-type]
    assert hash(scan) == hash(ParallelBeam((0.0, 1.0), 5, 1.0))
    cone = ConeBeam([0.0], [4, 5], [1.0, 1.0], 10.0, 20.0)  # type: ignore[arg-type]
    assert hash(cone) == hash(ConeBeam((0.0,), (4, 5), (1.0, 1.0), 10.0, 20.0))
