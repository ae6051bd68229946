"""The kernels for cone beams whose panels stand upright: which scans they take, and that they do what the others do."""

import math
from dataclasses import replace

import numba
import numpy as np
import pytest
import torch
from tests.projectors.cases import SCANS, TOLERANCE, VOLUME_GRID, relative_error

from latentct.geometry import ConeBeam, Grid, tilted
from latentct.geometry.scan import as_vectors
from latentct.projectors import make_projector
from latentct.projectors.cpu_upright import UprightProjector
from latentct.projectors.upright_table import upright_table

CONE = SCANS["cone"]
VECTORS = CONE.vectors()
UPRIGHT = {
    "circle": CONE,
    "few_rows": replace(CONE, detector_shape=(3, 20)),
    "many_rows": replace(CONE, detector_shape=(53, 20), pixel_mm=(2.1, 4.2)),
    "fine_rows": replace(CONE, detector_shape=(100, 20), pixel_mm=(0.6, 4.2)),
    "panel_above": replace(CONE, offset_mm=(25.0, 0.0)),
    "rows_downwards": replace(VECTORS, v_mm=as_vectors(-np.asarray(VECTORS.v_mm))),
    "helix": replace(VECTORS, source_mm=as_vectors(np.asarray(VECTORS.source_mm) + np.outer(range(8), (0, 0, 1.5)))),
    "near_source": ConeBeam.equally_spaced(6, 2 * math.pi, (40, 40), (4.0, 4.0), sod_mm=60.0, sdd_mm=200.0),
}
GENERAL = {
    "tilted orbit": tilted(CONE, 0.1),
    "tumbling": SCANS["cone_tumbling"],
    "coarse rows": replace(CONE, pixel_mm=(9.0, 4.2)),
    "steep": ConeBeam.equally_spaced(4, math.pi, (80, 20), (5.0, 4.0), sod_mm=100.0, sdd_mm=150.0),
}
GRIDS = {"usual": VOLUME_GRID, "flat": Grid((2, 30, 17), (3.0, 1.5, 2.0)), "tall": Grid((70, 9, 11), (2.0, 3.0, 2.0))}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("name", UPRIGHT)
def test_agrees_with_the_reference(grid, name):
    table = upright_table(grid, UPRIGHT[name])
    assert table is not None
    projector, reference = UprightProjector(grid, table), make_projector(grid, UPRIGHT[name], "torch")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(grid.shape, generator=generator)
    y = torch.randn(reference.scan.sinogram_shape, generator=generator)
    forward, adjoint = projector.project(x), projector.backproject(y)
    assert relative_error(forward, reference(x.double()[None, None])[0, 0]) < TOLERANCE["backends"]
    assert relative_error(adjoint, reference.T(y.double()[None, None])[0, 0]) < TOLERANCE["backends"]
    mismatch = torch.sum(forward.double() * y) - torch.sum(x.double() * adjoint)
    assert abs(mismatch) < TOLERANCE["adjoint float32"] * forward.norm() * y.norm()


@pytest.mark.parametrize("name", GENERAL)
def test_other_scans_are_left_to_the_general_kernels(name):
    assert upright_table(VOLUME_GRID, GENERAL[name]) is None


def test_the_number_of_threads_changes_nothing():
    projector = make_projector(VOLUME_GRID, CONE, "numba")
    x, y = torch.rand(1, 1, *VOLUME_GRID.shape), torch.rand(1, 1, *CONE.sinogram_shape)
    n_threads = numba.get_num_threads()
    expected = projector(x), projector.T(y)
    numba.set_num_threads(1)
    try:
        assert torch.equal(projector(x), expected[0])
        assert torch.equal(projector.T(y), expected[1])
    finally:
        numba.set_num_threads(n_threads)
