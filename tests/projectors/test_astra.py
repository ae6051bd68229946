"""Agreement with ASTRA's CPU projectors on an off-centre smooth object."""

import math

import numpy as np
import pytest
import torch
from tests.projectors.cases import BACKENDS, TOLERANCE, blob, relative_error

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector

astra = pytest.importorskip("astra")

GRID = Grid((90, 110), (1.3, 1.3), (5.0, -8.0))


def smooth_object() -> torch.Tensor:
    return blob(GRID, (-12.0, 25.0), 9.0) + 0.5 * blob(GRID, (20.0, -30.0), 14.0)


def astra_projection(x: np.ndarray, geometry: dict, kind: str) -> np.ndarray:
    """Line integrals by ASTRA, whose first image row lies at the largest y."""
    (y_mm, x_mm), (height_mm, width_mm) = (-8.0, 5.0)[::-1], GRID.extent_mm
    volume = astra.create_vol_geom(
        *GRID.shape, x_mm - width_mm / 2, x_mm + width_mm / 2, y_mm - height_mm / 2, y_mm + height_mm / 2
    )
    projector = astra.create_projector(kind, geometry, volume)
    data, sinogram = astra.create_sino(np.ascontiguousarray(x[::-1]), projector)
    astra.data2d.delete(data)
    astra.projector.delete(projector)
    return sinogram


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("offset_bins", [0.0, 6.25])
def test_parallel_against_linear(backend, offset_bins):
    scan = ParallelBeam.equally_spaced(60, math.pi, 130, 1.1, offset_mm=1.1 * offset_bins, start_rad=0.05)
    geometry = astra.create_proj_geom("parallel", scan.bin_mm, scan.n_bins, np.array(scan.angles_rad))
    geometry = astra.geom_postalignment(geometry, offset_bins)
    x = smooth_object()
    expected = torch.from_numpy(astra_projection(x[0, 0].numpy(), geometry, "linear"))
    assert relative_error(make_projector(GRID, scan, backend)(x)[0, 0], expected) < TOLERANCE["astra"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("offset_bins", [0.0, 6.25])
def test_flat_fan_against_the_line_projector(backend, offset_bins):
    """ASTRA has no interpolating fan projector on the CPU; on a smooth object its pixel lengths will do."""
    scan = FanBeam.equally_spaced(60, 2 * math.pi, 130, 2.2, 250.0, 470.0, offset_mm=2.2 * offset_bins)
    distances = scan.sod_mm, scan.sdd_mm - scan.sod_mm
    geometry = astra.create_proj_geom("fanflat", scan.bin_mm, scan.n_bins, np.array(scan.angles_rad), *distances)
    geometry = astra.geom_postalignment(geometry, offset_bins)
    x = smooth_object()
    expected = torch.from_numpy(astra_projection(x[0, 0].numpy(), geometry, "line_fanflat"))
    assert relative_error(make_projector(GRID, scan, backend)(x)[0, 0], expected) < TOLERANCE["astra"]
