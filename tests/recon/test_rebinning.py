"""Fan beams from a helix: exact for what does not change along z, and close for ellipsoids scanned in closed form."""

import dataclasses
import doctest

import numpy as np
import pytest
import torch

from latentct.geometry import Grid, helix
from latentct.geometry.helix import FocalSpot, Helix
from latentct.recon import fbp
from latentct.recon.rebinning import rebin_slice, rebin_views, slice_views
from latentct.units import MU_WATER_70KEV, mu_to_hu

VIEWS = 240
CURVED = Helix.equally_spaced(VIEWS, 3 * VIEWS, 20.0, (20, 200), (2.0, 3.0), 500.0, 900.0, (0.3, 0.9))
FLAT = dataclasses.replace(CURVED, curved=False)
BACKWARDS = dataclasses.replace(
    CURVED, angles_rad=tuple(-t for t in CURVED.angles_rad), source_z_mm=tuple(-z for z in CURVED.source_z_mm)
)
FLYING = dataclasses.replace(CURVED, spots=(FocalSpot(0.002), FocalSpot(-0.001, -0.6, 5.0)))
FAST = Helix.equally_spaced(VIEWS, 3 * VIEWS, 32.0, (20, 200), (2.0, 3.0), 500.0, 900.0)
HELICES = {"curved": CURVED, "flat": FLAT, "backwards": BACKWARDS, "flying spot": FLYING, "pitch 1.4": FAST}
CENTER_MM = (25.0, -15.0)
ELLIPSOIDS = [((10.0, -5.0, 0.0), (110.0, 80.0, 60.0), 1.0), ((50.0, 10.0, 2.0), (20.0, 20.0, 25.0), 0.5)]
"""Centre (x, y, z) and half axes in mm, and attenuation in that of water."""


def rays(helix: Helix) -> tuple[np.ndarray, np.ndarray]:
    """Return where the rays start, (A, 1, 1, 3), and their unit vectors, (A, V, U, 3)."""
    t, z = np.asarray(helix.angles_rad), np.asarray(helix.source_z_mm)
    spots = [helix.spots[i % len(helix.spots)] for i in range(helix.n_views)]
    angle, dz, radial = (np.array([getattr(s, key) for s in spots]) for key in ("angle_rad", "z_mm", "radial_mm"))
    radius = helix.sod_mm + radial
    source = np.stack([radius * np.sin(t + angle), -radius * np.cos(t + angle), z + dz], axis=-1)[:, None, None]
    u_mm = helix.fan().u_mm()
    side, depth = (
        (helix.sdd_mm * np.sin(u_mm / helix.sdd_mm), helix.sdd_mm * np.cos(u_mm / helix.sdd_mm))
        if helix.curved
        else (u_mm, np.full_like(u_mm, helix.sdd_mm))
    )
    t, z = t[:, None, None], z[:, None, None]
    across, along = side, depth - helix.sod_mm
    element = np.broadcast_arrays(
        across * np.cos(t) - along * np.sin(t), across * np.sin(t) + along * np.cos(t), z + helix.v_mm()[:, None]
    )
    way = np.stack(element, axis=-1) - source
    return source, way / np.linalg.norm(way, axis=-1, keepdims=True)


def integrals(source, along, center_mm, half_mm) -> np.ndarray:
    """Return the lengths of rays in an ellipsoid, in closed form; a half axis may be infinite."""
    start, step = (source - center_mm) / half_mm, along / half_mm
    a, b, c = (step**2).sum(-1), (start * step).sum(-1), (start**2).sum(-1) - 1
    return 2 * np.sqrt(np.maximum(b**2 - a * c, 0)) / a


def fan_rays(fan, z_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the same as `rays` for a fan in the plane at a height."""
    t = np.asarray(fan.angles_rad)[:, None]
    angle = t - fan.fan_angles_rad()
    source = np.stack(np.broadcast_arrays(fan.sod_mm * np.sin(t), -fan.sod_mm * np.cos(t), z_mm), axis=-1)
    return source, np.stack([-np.sin(angle), np.cos(angle), np.zeros_like(angle)], axis=-1)


@pytest.mark.parametrize("name", HELICES)
@pytest.mark.parametrize("z_mm", [0.0, -3.7])
def test_a_cylinder_along_the_axis_comes_out_as_it_is(name, z_mm):
    """Views near the slice are exact but for rows; others are interpolated, coarsely where the shadow rises steeply."""
    helix, half = HELICES[name], np.array([80.0, 80.0, np.inf])
    y, fan = rebin_slice(torch.from_numpy(integrals(*rays(helix), (*CENTER_MM, 0.0), half)), helix, z_mm)
    assert tuple(y.shape) == fan.sinogram_shape == (VIEWS, 200)
    off = np.abs(y.numpy() - integrals(*fan_rays(fan, z_mm), (*CENTER_MM, 0.0), half))
    assert off.mean() < 0.04 * len(helix.spots)  # in mm of up to 160
    if len(helix.spots) == 1:
        near = np.cos(np.asarray(fan.angles_rad) - helix.passing_rad(z_mm)) > (0 if helix != FAST else 0.5)
        assert off[near].max() < 2e-3


@pytest.mark.parametrize("name", HELICES)
def test_a_slice_of_ellipsoids_is_that_of_a_fan_beam_at_its_height(name):
    """A ray is tilted by up to 1 in 30, so that 100 mm off the axis it is 3 mm too high: 0.3 mm of the body's edge.

    What single pixels are off comes from interpolation between views 1.5 degrees apart: 5 HU at 960 views a turn.
    """
    helix, z_mm = HELICES[name], 3.0
    measured = sum(MU_WATER_70KEV * mu * integrals(*rays(helix), c, np.array(h)) for c, h, mu in ELLIPSOIDS)
    y, fan = rebin_slice(torch.from_numpy(measured).float(), helix, z_mm)
    ideal = sum(MU_WATER_70KEV * mu * integrals(*fan_rays(fan, z_mm), c, np.array(h)) for c, h, mu in ELLIPSOIDS)
    ideal_y = torch.from_numpy(ideal).float()
    assert (y - ideal_y).abs().max() < 0.35
    grid = Grid((120, 160), (1.6, 1.6))
    x_hu, ideal_hu = mu_to_hu(fbp(torch.stack([y, ideal_y])[:, None], grid, fan)[:, 0], MU_WATER_70KEV).numpy()
    ball, body = inside(grid, z_mm, 1, 5), inside(grid, z_mm, 0, 8) & ~inside(grid, z_mm, 1, -8)
    assert abs(x_hu[ball].mean() - 500) < 1
    assert abs(x_hu[body].mean()) < 1
    off = np.abs(x_hu - ideal_hu)[ball | body]
    assert off.max() < 20 and np.sqrt((off**2).mean()) < 4


def inside(grid: Grid, z_mm: float, number: int, margin_mm: float) -> np.ndarray:
    """Return the pixels of a slice that are so far inside an ellipsoid, or outside where the margin is negative."""
    y_mm, x_mm = np.meshgrid(grid.coordinates_mm(0), grid.coordinates_mm(1), indexing="ij")
    center, half, _ = ELLIPSOIDS[number]
    at = (x_mm - center[0], y_mm - center[1], z_mm - center[2])
    return sum((p / (h - margin_mm)) ** 2 for p, h in zip(at, half, strict=True)) < 1


def test_the_views_of_a_slice_are_enough():
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(FLYING.sinogram_shape, generator=generator)
    views = slice_views(FLYING, 2.0)
    assert len(views) < 1.1 * VIEWS
    np.testing.assert_array_equal(
        rebin_views(y[views.start : views.stop], FLYING, views, 2.0), rebin_slice(y, FLYING, 2.0)[0]
    )


def test_all_slices_have_the_same_angles():
    y = torch.zeros(CURVED.sinogram_shape)
    assert rebin_slice(y, CURVED, -4.0)[1] == rebin_slice(y, CURVED, 7.3)[1]


@pytest.mark.parametrize("z_mm", [-21.0, 20.0, 500.0])
def test_a_slice_beyond_the_helix_is_refused(z_mm):
    with pytest.raises(ValueError, match="the helix does not reach so far"):
        rebin_slice(torch.zeros(CURVED.sinogram_shape), CURVED, z_mm)


def test_a_detector_too_low_for_its_feed_is_refused():
    low = dataclasses.replace(CURVED, detector_shape=(4, 200))
    with pytest.raises(ValueError, match=r"do not see every ray .* its feed is too large"):
        rebin_slice(torch.zeros(low.sinogram_shape), low, 0.0)


def test_doctest() -> None:
    assert doctest.testmod(helix) == (0, 2)
