"""The kernels for a single slice: every detector they may meet, either kind of processor, any number of threads."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
import torch
from tests.projectors.cases import PLANE_GRID, PLANE_SCANS, SCANS, TOLERANCE, relative_error

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.projectors.cpu_slice import SliceProjector
from latentct.projectors.rays import ray_table

#: Detectors whose rays at a pixel are many or few, near the source or far, and fewer than a window holds.
UNUSUAL = {
    "coarse": ParallelBeam.equally_spaced(24, math.pi, 9, 13.0),
    "fine": ParallelBeam.equally_spaced(5, math.pi, 400, 0.14),
    "one_bin": ParallelBeam.equally_spaced(24, math.pi, 1, 1.6, offset_mm=3.0),
    "near_source": FanBeam.equally_spaced(7, 2 * math.pi, 300, 2.0, sod_mm=75.0, sdd_mm=300.0),
    "near_source_curved": FanBeam.equally_spaced(7, 2 * math.pi, 300, 2.0, 75.0, 300.0, curved=True),
    "far_source": FanBeam.equally_spaced(24, 2 * math.pi, 70, 3.1, sod_mm=5000.0, sdd_mm=5200.0),
}
ALL = {name: SCANS[name] for name in PLANE_SCANS} | UNUSUAL
GRIDS = {"usual": PLANE_GRID, "small": Grid((3, 5), (9.0, 7.0)), "long": Grid((9, 150), (3.0, 0.6), (2.0, 0.0))}


def pair(grid, scan):
    """A random image and random line integrals of one slice."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(grid.shape, generator=generator), torch.randn(scan.sinogram_shape, generator=generator)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("name", ALL)
def test_agrees_with_the_reference(grid, name):
    scan, reference = ALL[name], make_projector(grid, ALL[name], "torch")
    projector = SliceProjector(grid, scan, ray_table(grid, scan))
    x, y = pair(grid, scan)
    forward, adjoint = projector.project(x), projector.backproject(y)
    assert relative_error(forward, reference(x.double()[None, None])[0, 0]) < TOLERANCE["backends"]
    assert relative_error(adjoint, reference.T(y.double()[None, None])[0, 0]) < TOLERANCE["backends"]
    mismatch = torch.sum(forward.double() * y) - torch.sum(x.double() * adjoint)
    assert abs(mismatch) < TOLERANCE["adjoint float32"] * forward.norm() * y.norm()


@pytest.mark.parametrize("name", PLANE_SCANS)
def test_rays_without_steps_are_left_out(name):
    scan, rays = SCANS[name], ray_table(PLANE_GRID, SCANS[name])
    x, y = pair(PLANE_GRID, scan)
    measured = torch.rand(scan.sinogram_shape, generator=torch.Generator().manual_seed(1)) > 0.7
    measured[3] = False
    stop = torch.where(measured, torch.from_numpy(rays.stop), torch.from_numpy(rays.start)).numpy()
    whole, masked = (SliceProjector(PLANE_GRID, scan, table) for table in (rays, rays._replace(stop=stop)))
    assert relative_error(masked.project(x), measured * whole.project(x)) < TOLERANCE["backends"]
    assert relative_error(masked.backproject(y), whole.backproject(measured * y)) < TOLERANCE["backends"]
    assert torch.all(masked.project(x)[~measured] == 0)


def test_the_number_of_threads_changes_nothing():
    scan = SCANS["fan_flat"]
    projector, (x, y) = SliceProjector(PLANE_GRID, scan, ray_table(PLANE_GRID, scan)), pair(PLANE_GRID, scan)
    n_threads = numba.get_num_threads()
    expected = projector.project(x), projector.backproject(y)
    numba.set_num_threads(1)
    try:
        assert torch.equal(projector.project(x), expected[0])
        assert torch.equal(projector.backproject(y), expected[1])
    finally:
        numba.set_num_threads(n_threads)


@pytest.mark.slow
def test_processors_without_the_instruction_agree(tmp_path):
    """These tests and those of upright panels in a process that compiles for any processor of the architecture."""
    compiler = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    environment = os.environ | compiler | {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    files = [str(Path(__file__).with_name(name)) for name in ("test_slice.py", "test_upright.py")]
    chosen = "without_steps or (agrees_with and usual and (fan or fine))"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", chosen]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
