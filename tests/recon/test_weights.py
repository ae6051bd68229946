"""Over complete data the sightings of a line share a weight of one."""

import math

import numpy as np
import pytest

from latentct.geometry import FanBeam, ParallelBeam
from latentct.recon.weights import ray_weights

FAN = {"n_bins": 101, "bin_mm": 2.0, "sod_mm": 400.0, "sdd_mm": 800.0}
HALF_FAN_RAD = math.atan(101.0 / 800.0)


def test_half_and_full_turn_of_parallel_rays() -> None:
    half = ParallelBeam.equally_spaced(90, math.pi, 5, 1.0)
    full = ParallelBeam.equally_spaced(180, 2 * math.pi, 5, 1.0, start_rad=-0.3)
    np.testing.assert_allclose(ray_weights(half), math.pi / 90)
    np.testing.assert_allclose(ray_weights(full), math.pi / 180 / 2 * 2)


@pytest.mark.parametrize("arc_rad", [math.pi, 1.2 * math.pi, 2 * math.pi, 3 * math.pi, 4 * math.pi])
def test_every_parallel_direction_counts_once(arc_rad: float) -> None:
    n_views = round(180 * arc_rad / math.pi)
    scan = ParallelBeam.equally_spaced(n_views, arc_rad, 3, 1.0)
    direction = np.arange(n_views) % 180
    total = np.bincount(direction, weights=ray_weights(scan)[:, 1])
    np.testing.assert_allclose(total, math.pi / 180, rtol=1e-9)


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("arc_rad", [math.pi + 2 * HALF_FAN_RAD + 0.02, 1.5 * math.pi, 2 * math.pi])
def test_opposite_fan_rays_share_one(arc_rad: float, curved: bool) -> None:
    """Interpolate the weight at the opposite view: with its own it makes one, wherever both were measured."""
    n_views = 2000
    scan = FanBeam.equally_spaced(n_views, arc_rad, **FAN, curved=curved)
    share = ray_weights(scan) * n_views / arc_rad
    t, step = np.asarray(scan.angles_rad), arc_rad / n_views
    for column, fan_rad in enumerate(scan.fan_angles_rad()):
        opposite = (t + math.pi - 2 * fan_rad) % (2 * math.pi)
        measured = opposite < arc_rad - step
        partner = np.interp(opposite, t, share[:, -1 - column])
        np.testing.assert_allclose(share[measured, column] + partner[measured], 1.0, atol=0.02)
        np.testing.assert_allclose(
            share[(opposite > arc_rad) & (opposite < 2 * math.pi - step), column], 1.0, atol=1e-12
        )


@pytest.mark.parametrize("offset_mm", [40.0, -40.0])
def test_displaced_detector_counts_its_overlap_once(offset_mm: float) -> None:
    scan = ParallelBeam.equally_spaced(36, 2 * math.pi, 101, 1.0, offset_mm=offset_mm)
    share = ray_weights(scan)[0] * 36 / (2 * math.pi)
    u_mm = scan.u_mm()
    overlap = np.abs(u_mm) <= 10
    np.testing.assert_allclose(share[overlap] + share[overlap][::-1], 1.0, atol=1e-12)
    np.testing.assert_allclose(share[np.abs(u_mm) > 11], 1.0)


def test_order_of_views_does_not_matter() -> None:
    scan = FanBeam.equally_spaced(50, 4.0, **FAN)
    order = np.random.default_rng(0).permutation(50)
    shuffled = FanBeam(tuple(np.asarray(scan.angles_rad)[order]), **FAN)
    np.testing.assert_allclose(ray_weights(shuffled), ray_weights(scan)[order])


def test_views_at_one_angle_leave_finite_weights() -> None:
    weights = ray_weights(FanBeam((0.3, 0.3, 1.0, 2.0), **FAN))
    assert np.isfinite(weights).all()
    assert weights[2:].min() > 0


@pytest.mark.parametrize("n_views", [16, 30, 60, 118])
def test_uneven_views_of_a_full_turn_leave_no_jump_along_the_detector(n_views: int) -> None:
    index = np.arange(n_views) * 1128 // n_views
    angles_rad = 2 * math.pi * index / 1128
    scan = FanBeam(tuple(angles_rad), 300, 2.0, 595.0, 1085.6, curved=True)
    weights = ray_weights(scan)
    np.testing.assert_allclose(weights, np.broadcast_to(weights[:, :1], weights.shape))
    assert weights[:, 0].sum() == pytest.approx(math.pi, rel=0.5 / n_views)
