"""A quick look: coarse iterations first."""

import doctest
import math

import numpy as np
import pytest
import torch
from tests.projectors.cases import SCANS, blob

import latentct.recon.coarse_to_fine
from latentct.geometry import ConeBeam, Grid
from latentct.projectors import make_projector
from latentct.projectors.rays import cone_vectors
from latentct.recon import tv
from latentct.recon.coarse_to_fine import coarse_to_fine, halved

GRID = Grid((16, 24, 24), (4.0, 4.0, 4.0), (3.0, -2.0, 4.0))
SCAN = ConeBeam.equally_spaced(6, math.pi, (32, 44), (4.0, 4.0), 150.0, 260.0, offset_mm=(2.0, -6.0), start_rad=0.3)


def test_coarse_steps_save_fine_ones():
    x = torch.cat([blob(GRID, (4.0, -10.0, 14.0), 8.0), 0.5 * blob(GRID, (-6.0, 12.0, -10.0), 6.0)])
    projector = make_projector(GRID, SCAN)
    y = projector(x)
    found = coarse_to_fine(y, GRID, SCAN, 30, 6, weight=0.01)
    fine_only = tv(y, projector, weight=0.01 / 6, n_iterations=10)
    assert found.shape == x.shape
    assert (found >= 0).all()
    assert (found - x).norm() < 0.6 * (fine_only - x).norm()
    assert (found - x).norm() < 0.2 * x.norm()


@pytest.mark.parametrize("scan", [SCAN, SCANS["cone_tumbling"], ConeBeam((0.2,), (5, 7), (3.0, 2.0), 100.0, 150.0)])
def test_halved_panels_are_the_same_panels(scan):
    half = halved(scan)
    assert half.detector_shape == tuple((n + 1) // 2 for n in scan.detector_shape)

    def corners(s):
        source, first, v, u = cone_vectors(s)
        n_rows, n_columns = s.detector_shape
        low = first - (v + u) / 2
        return np.stack([source, low, low + n_rows * v, low + n_columns * u])

    assert corners(half) == pytest.approx(corners(scan))


def test_doctest():
    assert doctest.testmod(latentct.recon.coarse_to_fine).failed == 0
