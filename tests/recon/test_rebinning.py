"""Fan beams from a helix: exact for what does not change along z, and close for ellipsoids scanned in closed form."""

import dataclasses
import doctest
import math

import numpy as np
import pytest
import torch

from latentct.geometry import Grid, helix
from latentct.geometry.helix import Helix
from latentct.recon import fbp
from latentct.recon.rebinning import rebin_slice
from latentct.units import MU_WATER_70KEV, mu_to_hu

VIEWS = 240
CURVED = Helix.equally_spaced(VIEWS, 2 * VIEWS, 20.0, (20, 200), (2.0, 3.0), 500.0, 900.0, (0.3, 0.9))
FLAT = dataclasses.replace(CURVED, curved=False)
BACKWARDS = dataclasses.replace(
    CURVED, angles_rad=tuple(-t for t in CURVED.angles_rad), source_z_mm=tuple(-z for z in CURVED.source_z_mm)
)
HELICES = {"curved": CURVED, "flat": FLAT, "backwards": BACKWARDS}
CENTER_MM = (25.0, -15.0)
ELLIPSOIDS = [((10.0, -5.0, 0.0), (110.0, 80.0, 60.0), 1.0), ((50.0, 10.0, 2.0), (20.0, 20.0, 25.0), 0.5)]
"""Centre (x, y, z) and half axes in mm, and attenuation in that of water."""


def rays(helix: Helix) -> tuple[np.ndarray, np.ndarray]:
    """Return where the rays start, (A, 1, 1, 3), and their unit vectors, (A, V, U, 3)."""
    t, z = np.asarray(helix.angles_rad)[:, None, None], np.asarray(helix.source_z_mm)[:, None, None]
    g = helix.fan(range(1)).fan_angles_rad()
    far = helix.sdd_mm * (1 if helix.curved else 1 / np.cos(g))
    direction = t - g  # a ray at the fan angle g runs along (-sin, cos) of it
    steps = np.broadcast_arrays(-far * np.sin(direction), far * np.cos(direction), helix.v_mm()[:, None])
    along = np.stack(steps, axis=-1)
    source = np.stack(np.broadcast_arrays(helix.sod_mm * np.sin(t), -helix.sod_mm * np.cos(t), z), axis=-1)
    return source, along / np.linalg.norm(along, axis=-1, keepdims=True)


def integrals(helix: Helix, center_mm, half_mm) -> np.ndarray:
    """Return the lengths of the rays in an ellipsoid, in closed form; a half axis may be infinite."""
    source, along = rays(helix)
    start, step = (source - center_mm) / half_mm, along / half_mm
    a, b, c = (step**2).sum(-1), (start * step).sum(-1), (start**2).sum(-1) - 1
    return 2 * np.sqrt(np.maximum(b**2 - a * c, 0)) / a


@pytest.mark.parametrize("name", HELICES)
@pytest.mark.parametrize("z_mm", [0.0, -3.7])
def test_a_cylinder_along_the_axis_comes_out_exactly(name, z_mm):
    """Only the interpolation between rows is left, of 1e-5 here."""
    helix = HELICES[name]
    measured = integrals(helix, (*CENTER_MM, 0.0), np.array([80.0, 80.0, np.inf]))
    y, fan = rebin_slice(torch.from_numpy(measured), helix, z_mm)
    t, g = np.asarray(fan.angles_rad)[:, None], fan.fan_angles_rad()
    from_axis = fan.sod_mm * np.sin(g) - CENTER_MM[0] * np.cos(t - g) - CENTER_MM[1] * np.sin(t - g)
    expected = 2 * np.sqrt(np.maximum(80.0**2 - from_axis**2, 0))
    assert tuple(y.shape) == fan.sinogram_shape
    np.testing.assert_allclose(y.numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("name", HELICES)
def test_a_slice_of_ellipsoids_is_that_of_a_fan_beam_at_its_height(name):
    """A ray is tilted by 1 in 60, so that 100 mm off the axis it is 1.7 mm too high: 0.2 mm of the body's edge."""
    helix, z_mm = HELICES[name], 3.0
    still = dataclasses.replace(
        helix, source_z_mm=(z_mm,) * helix.n_views, detector_shape=(1, 200), offset_mm=(0.0, helix.offset_mm[1])
    )
    measured, ideal = (
        torch.from_numpy(sum(MU_WATER_70KEV * mu * integrals(scan, c, np.array(h)) for c, h, mu in ELLIPSOIDS))
        for scan in (helix, still)
    )
    y, fan = rebin_slice(measured.float(), helix, z_mm)
    first = helix.angles_rad.index(fan.angles_rad[0])
    ideal_y = ideal[first : first + fan.n_views, 0].float()
    assert (y - ideal_y).abs().max() < 0.1
    grid = Grid((120, 160), (1.6, 1.6))
    x_hu, ideal_hu = mu_to_hu(fbp(torch.stack([y, ideal_y])[:, None], grid, fan)[:, 0], MU_WATER_70KEV).numpy()
    ball, body = inside(grid, z_mm, 1, 5), inside(grid, z_mm, 0, 8) & ~inside(grid, z_mm, 1, -8)
    assert abs(x_hu[ball].mean() - 500) < 3
    assert abs(x_hu[body].mean()) < 1
    assert np.abs(x_hu - ideal_hu)[ball | body].max() < 5


def inside(grid: Grid, z_mm: float, number: int, margin_mm: float) -> np.ndarray:
    """Return the pixels of a slice that are so far inside an ellipsoid, or outside where the margin is negative."""
    y_mm, x_mm = np.meshgrid(grid.coordinates_mm(0), grid.coordinates_mm(1), indexing="ij")
    center, half, _ = ELLIPSOIDS[number]
    at = (x_mm - center[0], y_mm - center[1], z_mm - center[2])
    return sum((p / (h - margin_mm)) ** 2 for p, h in zip(at, half, strict=True)) < 1


def test_views_are_a_short_scan_about_the_slice():
    _, fan = rebin_slice(torch.zeros(CURVED.sinogram_shape), CURVED, 2.0)
    arc_rad = fan.angles_rad[-1] - fan.angles_rad[0]
    needed_rad = math.pi + 2 * np.abs(fan.fan_angles_rad()).max()
    assert needed_rad <= arc_rad < needed_rad + 2 * 2 * math.pi / VIEWS
    middle = np.interp(2.0, CURVED.source_z_mm, CURVED.angles_rad)
    assert abs((fan.angles_rad[0] + fan.angles_rad[-1]) / 2 - middle) < 2 * math.pi / VIEWS


@pytest.mark.parametrize("z_mm", [-19.0, 18.0, 500.0])
def test_a_slice_beyond_the_helix_is_refused(z_mm):
    with pytest.raises(ValueError, match="the helix does not reach so far"):
        rebin_slice(torch.zeros(CURVED.sinogram_shape), CURVED, z_mm)


def test_a_detector_too_low_for_its_feed_is_refused():
    low = dataclasses.replace(CURVED, detector_shape=(4, 200))
    with pytest.raises(ValueError, match="the detector has rows 0 to 3: its feed is too large"):
        rebin_slice(torch.zeros(low.sinogram_shape), low, 0.0)


def test_doctest() -> None:
    assert doctest.testmod(helix) == (0, 1)
