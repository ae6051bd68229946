"""Where points land on the detector, and what a line integral is worth."""

import math

import numpy as np
import pytest
import torch
from tests.projectors.cases import BACKENDS, TOLERANCE, blob, relative_error

from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector

ANGLES_RAD = (0.0, math.pi / 2, math.pi, 0.7)
GRID = Grid((80, 80), (1.0, 1.0))
POINT_MM = (-9.0, 21.0)  # y, x: anterior, patient left


def expected_u_mm(t: float, sod_mm: float, sdd_mm: float, curved: bool) -> float:
    """Where POINT_MM is seen: along the central ray (-sin t, cos t) at depth, along (cos t, sin t) at u."""
    y_mm, x_mm = POINT_MM
    across, along = x_mm * math.cos(t) + y_mm * math.sin(t), y_mm * math.cos(t) - x_mm * math.sin(t)
    if math.isinf(sod_mm):
        return across
    return sdd_mm * (math.atan2(across, sod_mm + along) if curved else across / (sod_mm + along))


def centroid(values: torch.Tensor, positions: np.ndarray) -> torch.Tensor:
    return (values.double() * torch.from_numpy(positions)).sum(-1) / values.double().sum(-1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("offset_mm", [0.0, 7.3])
@pytest.mark.parametrize("kind", ["parallel", "flat", "curved"])
def test_a_point_lands_where_the_conventions_say(backend, kind, offset_mm):
    if kind == "parallel":
        scan, sod_mm, sdd_mm = ParallelBeam(ANGLES_RAD, 140, 0.8, offset_mm), math.inf, 0.0
    else:
        sod_mm, sdd_mm = 150.0, 270.0
        scan = FanBeam(ANGLES_RAD, 160, 1.1, sod_mm, sdd_mm, offset_mm, curved=kind == "curved")
    y = make_projector(GRID, scan, backend)(blob(GRID, POINT_MM, sd_mm=1.5))[0, 0]
    expected = [expected_u_mm(t, sod_mm, sdd_mm, kind == "curved") for t in ANGLES_RAD]
    assert centroid(y, scan.u_mm()).tolist() == pytest.approx(expected, abs=0.1)


def test_signs_at_the_first_and_the_quarter_turn():
    """At t = 0 patient left is at positive u, at t = pi / 2 posterior is."""
    scan = ParallelBeam((0.0, math.pi / 2), 140, 0.8)
    left = make_projector(GRID, scan)(blob(GRID, (0.0, 20.0), 1.5))[0, 0]
    posterior = make_projector(GRID, scan)(blob(GRID, (20.0, 0.0), 1.5))[0, 0]
    assert centroid(left, scan.u_mm()).tolist() == pytest.approx([20.0, 0.0], abs=0.1)
    assert centroid(posterior, scan.u_mm()).tolist() == pytest.approx([0.0, 20.0], abs=0.1)


def test_the_index_grows_with_the_coordinate():
    x = torch.zeros(1, 1, *GRID.shape)
    x[0, 0, 60, 50] = 1.0  # y = 20.5 mm, x = 10.5 mm
    y = make_projector(GRID, ParallelBeam((0.0, math.pi / 2), 161, 0.5))(x)[0, 0]
    u_mm = ParallelBeam((0.0,), 161, 0.5).u_mm()
    assert u_mm[y[0].argmax()] == 10.5
    assert u_mm[y[1].argmax()] == 20.5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_point_lands_on_the_panel_where_the_conventions_say(backend):
    grid = Grid((40, 40, 40), (1.5, 1.5, 1.5))
    z_mm = 12.0
    scan = ConeBeam(ANGLES_RAD, (90, 100), (1.2, 1.3), sod_mm=150.0, sdd_mm=270.0, offset_mm=(5.0, -6.0))
    y = make_projector(grid, scan, backend)(blob(grid, (z_mm, *POINT_MM), sd_mm=2.0))[0, 0]
    depth_mm = [150.0 + POINT_MM[0] * math.cos(t) - POINT_MM[1] * math.sin(t) for t in ANGLES_RAD]
    expected_u = [expected_u_mm(t, 150.0, 270.0, curved=False) for t in ANGLES_RAD]
    assert centroid(y.sum(1), scan.u_mm()).tolist() == pytest.approx(expected_u, abs=0.2)
    assert centroid(y.sum(2), scan.v_mm()).tolist() == pytest.approx([270.0 * z_mm / d for d in depth_mm], abs=0.2)


def disk(grid: Grid, at_mm: tuple[float, float], radius_mm: float, samples: int = 8) -> torch.Tensor:
    """A disk of value 1, each pixel holding the fraction covered."""
    fine = Grid(tuple(n * samples for n in grid.shape), tuple(s / samples for s in grid.spacing_mm), grid.center_mm)
    y_mm, x_mm = fine.coordinates_mm(0)[:, None] - at_mm[0], fine.coordinates_mm(1) - at_mm[1]
    inside = (np.hypot(y_mm, x_mm) <= radius_mm).astype(np.float32)
    shape = (grid.shape[0], samples, grid.shape[1], samples)
    return torch.from_numpy(inside.reshape(shape).mean((1, 3)))[None, None]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["parallel", "flat", "curved"])
def test_line_integrals_of_an_off_centre_disk(backend, kind):
    grid, at_mm, radius_mm = Grid((160, 150), (0.8, 0.9), (2.0, -3.0)), (-14.0, 22.0), 25.0
    angles_rad = tuple(np.linspace(0, 2 * math.pi, 36, endpoint=False))
    if kind == "parallel":
        scan = ParallelBeam(angles_rad, 150, 0.9, offset_mm=5.0)
        line_rad, line_mm = np.zeros(150), scan.u_mm()
    else:
        scan = FanBeam(angles_rad, 150, 2.1, 200.0, 410.0, offset_mm=5.0, curved=kind == "curved")
        line_rad = scan.fan_angles_rad()
        line_mm = 200.0 * np.sin(line_rad)
    # The fan ray at angle gamma of view t is the parallel ray (t - gamma, sod * sin(gamma)).
    normal_rad = np.asarray(angles_rad)[:, None] - line_rad
    distance_mm = line_mm - at_mm[1] * np.cos(normal_rad) - at_mm[0] * np.sin(normal_rad)
    expected = 2 * np.sqrt(np.clip(radius_mm**2 - distance_mm**2, 0, None))
    y = make_projector(grid, scan, backend)(disk(grid, at_mm, radius_mm))[0, 0]
    assert relative_error(y, torch.from_numpy(expected)) < TOLERANCE["analytic"]


def test_cone_through_a_long_cylinder_is_a_slanted_fan():
    """In a volume constant along z every panel row sees the fan's line integrals times the slant of its rays."""
    plane = Grid((44, 52), (2.0, 1.7), (4.0, -6.0))
    volume = Grid((60, *plane.shape), (2.0, *plane.spacing_mm), (0.0, 4.0, -6.0))
    fan = FanBeam.equally_spaced(6, 5.0, 40, 3.5, 200.0, 350.0, offset_mm=4.0)
    cone = ConeBeam.equally_spaced(6, 5.0, (9, 40), (7.0, 3.5), 200.0, 350.0, offset_mm=(2.0, 4.0))
    x = blob(plane, (0.0, 5.0), sd_mm=12.0)
    y_fan = make_projector(plane, fan)(x)[0, 0]
    y_cone = make_projector(volume, cone)(x[:, :, None].expand(-1, -1, 60, -1, -1))[0, 0]
    in_plane_mm = np.hypot(350.0, fan.u_mm())
    slant = torch.from_numpy(np.hypot(in_plane_mm, cone.v_mm()[:, None]) / in_plane_mm)
    assert relative_error(y_cone, y_fan[:, None] * slant) < 1e-5
