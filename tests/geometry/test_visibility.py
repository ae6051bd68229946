import dataclasses
import math

import numpy as np
import pytest

from latentct.geometry import ConeBeam, Grid
from latentct.geometry.scan import as_vectors
from latentct.geometry.visibility import seen_share

GRID = Grid((40, 30, 30), (4.0, 8.0, 8.0))


def scan(**changes) -> ConeBeam:
    whole = ConeBeam((0.0, 0.4, math.pi / 2), (96, 96), (6.0, 8.0), sod_mm=800.0, sdd_mm=1200.0)
    return dataclasses.replace(whole, **changes)


def test_a_large_panel_sees_everything():
    assert seen_share(GRID, scan()).tolist() == [1.0, 1.0, 1.0]


def test_a_narrow_panel_sees_the_share_that_its_width_covers():
    """Of a thin slab across the central ray, the panel of width w sees w / magnification."""
    slab = Grid((1, 1, 101), (1.0, 1.0, 2.0))
    share = seen_share(slab, scan(angles_rad=(0.0,), detector_shape=(96, 15), pixel_mm=(6.0, 10.0)))
    assert share == pytest.approx([0.5], abs=1 / 24)


def test_a_panel_shifted_past_the_shadow_sees_nothing():
    assert seen_share(GRID, scan(offset_mm=(0.0, 2000.0))).tolist() == [0.0, 0.0, 0.0]


def test_what_lies_behind_the_panel_or_the_source_is_not_seen():
    behind_panel = scan(sod_mm=800.0, sdd_mm=500.0)
    assert not seen_share(GRID, behind_panel).any()
    vectors = scan().vectors()
    away = as_vectors(2 * np.asarray(vectors.source_mm) - np.asarray(vectors.detector_mm))
    assert not seen_share(GRID, dataclasses.replace(vectors, detector_mm=away)).any()


def test_vectors_and_angles_agree():
    half = scan(offset_mm=(100.0, -320.0))
    share = seen_share(GRID, half)
    assert 0.1 < share.min() <= share.max() < 0.9
    assert seen_share(GRID, half.vectors()) == pytest.approx(share)
