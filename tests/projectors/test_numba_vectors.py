"""Batches of every length through the kernels for plane scans, which are compiled for a few lengths only."""

import os
import subprocess
import sys

import numba
import pytest
import torch
from tests.projectors.cases import TOLERANCE, build, relative_error

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import backproject, make_projector
from latentct.projectors.cpu_plane import FEW, row_pitch
from latentct.projectors.numba_vectors import LANES

GRID = Grid((37, 70), (2.0, 1.7), (-6.0, 4.0))
"""Neither side a multiple of a strip, a band, a block or a tile."""
SCANS = {
    "narrow bins": ParallelBeam.equally_spaced(19, 3.0, 301, 0.5),
    "wide bins": ParallelBeam.equally_spaced(19, 3.0, 21, 7.0),
    "a steep fan": FanBeam.equally_spaced(19, 6.0, 150, 4.0, 75.0, 140.0),
}


def check(projector, reference, batch):
    """Compare both directions with the reference, and one with the other."""
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, 1, *projector.grid.shape, generator=generator)
    y = torch.randn(batch, 1, *projector.scan.sinogram_shape, generator=generator)
    forward, adjoint = projector(x), projector.T(y)
    assert relative_error(forward, reference(x.double())) < TOLERANCE["backends"]
    assert relative_error(adjoint, reference.T(y.double())) < TOLERANCE["backends"]
    mismatch = torch.sum(forward.double() * y) - torch.sum(x.double() * adjoint)
    assert abs(mismatch) < TOLERANCE["adjoint float32"] * forward.norm() * y.norm()


@pytest.mark.parametrize("batch", [0, 1, FEW, FEW + 1, *LANES, LANES[0] + 1, LANES[-1] + 1, LANES[-1] + FEW + 1])
def test_a_batch_of_any_length_agrees_with_the_reference(batch):
    projector = build("numba", "parallel")
    if batch == 0:
        assert projector.T(projector(torch.zeros(0, 1, *projector.grid.shape))).shape == (0, 1, *projector.grid.shape)
    else:
        check(projector, build("torch", "parallel"), batch)


@pytest.mark.parametrize("name", SCANS)
def test_bins_of_any_width_at_any_distance(name):
    check(make_projector(GRID, SCANS[name], "numba"), make_projector(GRID, SCANS[name], "torch"), FEW + 1)


@pytest.mark.parametrize("batch", [1, 2, 5, LANES[-1] + 1])
@pytest.mark.parametrize("name", SCANS)
def test_batches_are_back_projected_as_the_reference_does(name, batch):
    q = torch.rand(batch, 1, *SCANS[name].sinogram_shape, generator=torch.Generator().manual_seed(batch))
    kernel, reference = (backproject(data, GRID, SCANS[name], weighted=True) for data in (q, q.double()))
    assert relative_error(kernel, reference) < 1e-5


@pytest.mark.parametrize("name", ["parallel", "fan_flat"])
def test_the_number_of_threads_changes_nothing(name):
    projector = build("numba", name)
    x = torch.rand(FEW + 1, 1, *projector.grid.shape, generator=torch.Generator().manual_seed(0))
    y = torch.rand(FEW + 1, 1, *projector.scan.sinogram_shape, generator=torch.Generator().manual_seed(0))
    n_threads = numba.get_num_threads()
    forward, adjoint = projector(x), projector.T(y)
    numba.set_num_threads(1)
    try:
        assert torch.equal(projector(x), forward)
        assert torch.equal(projector.T(y), adjoint)
    finally:
        numba.set_num_threads(n_threads)


OTHER_PROCESSOR = """
from tests.projectors.test_numba_vectors import GRID, SCANS, check
from latentct.projectors import make_projector
check(make_projector(GRID, SCANS["a steep fan"], "numba"), make_projector(GRID, SCANS["a steep fan"], "torch"), 17)
"""


def test_processors_with_short_registers_compute_the_same(tmp_path):
    processor = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    environment = {**os.environ, **processor, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", OTHER_PROCESSOR]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def test_rows_above_each_other_do_not_share_a_cache_set():
    """Sets repeat every 64 lines of 16 numbers; thirty-two rows of a block of eight pixels take all of them."""
    for width in range(1, 600):
        assert row_pitch(width) >= width
        assert row_pitch(width) % 16 == 8
