"""Extrapolation of truncated projections on phantoms known in closed form."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from latentct.correction import (
    adaptive_detruncation,
    cosine_extrapolation,
    water_cylinder_extrapolation,
    zero_fill,
)
from latentct.geometry import Grid, ParallelBeam, field_of_measurement_mask, truncation_ray_mask
from latentct.recon import fbp
from latentct.units import MU_WATER_70KEV

FIELD_MM = 150.0
METHODS = {
    "zero": lambda y, ray_mask, scan: zero_fill(y, ray_mask),
    "cosine": cosine_extrapolation,
    "water": water_cylinder_extrapolation,
    "adt": adaptive_detruncation,
}
EXTRAPOLATIONS = [name for name in METHODS if name != "zero"]


@pytest.fixture
def ray_mask(scan):
    return torch.from_numpy(truncation_ray_mask(scan, FIELD_MM))


def errors_hu(y_hat, y, scan, body_mm):
    """Return the mean absolute errors inside the field and outside it within the body, against the complete data."""
    grid = Grid((100, 140), (3.0, 3.0))
    inside = torch.from_numpy(field_of_measurement_mask(grid, FIELD_MM))
    y_mm, x_mm = np.meshgrid(grid.coordinates_mm(0), grid.coordinates_mm(1), indexing="ij")
    body = torch.from_numpy((x_mm / body_mm[0]) ** 2 + (y_mm / body_mm[1]) ** 2 < 1)
    error_hu = (fbp(y_hat - y, grid, scan)[0, 0] / MU_WATER_70KEV * 1000).abs()
    return error_hu[inside].mean().item(), error_hu[body & ~inside].mean().item()


@pytest.mark.parametrize("name", METHODS)
def test_measured_rays_stay_bit_for_bit_and_the_rest_is_not_read(name, scan, ray_mask, project, chest):
    y = torch.where(ray_mask, project(scan, chest), torch.nan)
    y_hat = METHODS[name](y, ray_mask, scan)
    assert torch.equal(y_hat[..., ray_mask], y[..., ray_mask])
    assert torch.isfinite(y_hat).all()
    assert y_hat.min() >= 0


@pytest.mark.parametrize("name", METHODS)
def test_complete_data_come_back(name, scan, project, chest):
    y = project(scan, chest)
    assert torch.equal(METHODS[name](y, torch.ones(scan.sinogram_shape, dtype=torch.bool), scan), y)


def test_water_cylinder_is_continued_exactly(scan, ray_mask, project):
    y = project(scan, ((0.0, 0.0, 160.0, 160.0, 1.0),))
    y_hat = water_cylinder_extrapolation(y, ray_mask, scan, longest_reach_mm=300.0, fit_mm=1.0)
    assert (y_hat - y).abs().mean() < 0.02


def test_water_cylinder_off_the_axis_is_continued_exactly(project):
    scan = ParallelBeam.equally_spaced(60, math.pi, 400, 1.0)
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, FIELD_MM))
    y = project(scan, ((30.0, -15.0, 150.0, 150.0, 1.0),))
    y_hat = water_cylinder_extrapolation(y, ray_mask, scan, fit_mm=1.0)
    assert (y_hat - y).abs().mean() < 0.02


def test_adt_ends_where_the_object_does(scan, ray_mask, project):
    """A centred cylinder of half the density of water: the radius is given, and level and slope need no density."""
    y = project(scan, ((0.0, 0.0, 170.0, 170.0, 0.5),))
    y_hat = adaptive_detruncation(y, ray_mask, scan, object_radius_mm=170.0, trust=0.0, fit_mm=1.0)
    assert (y_hat - y).abs().mean() < 0.01
    half_as_far = adaptive_detruncation(y, ray_mask, scan, object_radius_mm=120.0, trust=0.0, fit_mm=1.0)
    assert (half_as_far - y).abs().mean() > 0.1


def test_adt_measures_the_width_in_the_other_views(project):
    """With full trust the end follows the body: 200 mm from the side, 140 mm from the front."""
    scan = ParallelBeam.equally_spaced(180, math.pi, 230, 2.0)
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, FIELD_MM))
    y = project(scan, ((0.0, 0.0, 200.0, 140.0, 1.0),))
    y_hat = adaptive_detruncation(y, ray_mask, scan, trust=1.0, object_radius_mm=170.0)
    ends_mm = [scan.u_mm()[(y_hat[0, 0, view] > 0).nonzero().max()] for view in (0, 90)]
    assert ends_mm == pytest.approx([200.0, 140.0], abs=8.0)
    guess = adaptive_detruncation(y, ray_mask, scan, trust=0.0, object_radius_mm=170.0)
    assert (y_hat - y).abs().mean() < 0.4 * (guess - y).abs().mean()


def test_adt_of_a_field_that_cuts_little_off(project):
    """The body reaches 25 mm beyond the field, farther than its typical radius says: the edge knows better."""
    scan = ParallelBeam.equally_spaced(180, math.pi, 330, 1.5)
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, 350.0))
    y = project(scan, ((0.0, 0.0, 200.0, 190.0, 1.0),))
    missing = [(METHODS[name](y, ray_mask, scan) - y)[..., ~ray_mask].abs().mean() for name in ("zero", "adt")]
    assert missing[1] < 0.1 * missing[0]


def test_adt_follows_a_body_off_the_axis(project):
    scan = ParallelBeam.equally_spaced(180, math.pi, 230, 2.0)
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, FIELD_MM))
    y = project(scan, ((25.0, 0.0, 170.0, 170.0, 1.0),))
    y_hat = adaptive_detruncation(y, ray_mask, scan, trust=1.0, object_radius_mm=170.0)
    assert (y_hat - y).abs().mean() < 0.05 * y.mean()


@pytest.mark.parametrize("name", ["water", "adt"])
def test_value_and_slope_are_continuous(name, scan, ray_mask, project, chest):
    last = int(ray_mask[0].nonzero().max())
    y_hat = METHODS[name](project(scan, chest[:1]), ray_mask, scan)
    assert y_hat.diff(dim=-1)[..., last - 1 : last + 2].diff(dim=-1).abs().max() < 0.01
    y_hat = METHODS[name](project(scan, chest), ray_mask, scan)
    assert y_hat.diff(dim=-1)[..., last - 1 : last + 2].diff(dim=-1).abs().mean() < 0.02


def test_cosine_is_continuous_and_ends_at_its_length(scan, ray_mask, project, chest):
    y_hat = cosine_extrapolation(project(scan, chest), ray_mask, scan, length_mm=60.0)
    last = int(ray_mask[0].nonzero().max())
    assert (y_hat[..., last + 1] - y_hat[..., last]).abs().max() < 0.1
    distance_mm = torch.from_numpy(scan.u_mm() * (scan.sod_mm / scan.sdd_mm if hasattr(scan, "sod_mm") else 1.0))
    assert y_hat[..., distance_mm > 75 + 70].abs().max() < 1e-6
    assert y_hat[..., last + 5].min() > 0


def test_order_of_the_methods_on_an_ellipse(scan, ray_mask, project, chest):
    y = project(scan, chest[:1])
    inside, outside, mass = {}, {}, {}
    for name, method in METHODS.items():
        y_hat = method(y, ray_mask, scan)
        inside[name], outside[name] = errors_hu(y_hat, y, scan, (200, 140))
        mass[name] = ((y_hat - y).sum(-1) / y.sum(-1)).abs().max().item()
    assert inside["zero"] > 1000 > 25 > inside["cosine"] > inside["adt"]
    assert inside["water"] < 10
    assert outside["zero"] > outside["cosine"] > outside["water"] > outside["adt"]
    assert outside["adt"] < 90
    assert mass["zero"] > 0.4
    assert mass["adt"] < 0.1


def test_errors_on_a_wide_chest(scan, ray_mask, project, chest):
    """On real bodies as wide a plain square-root taper leaves 213 HU inside and 536 HU outside."""
    y = project(scan, chest)
    bounds = {"cosine": (30, 300), "water": (85, 420), "adt": (45, 280)}
    for name, (bound_inside, bound_outside) in bounds.items():
        inside, outside = errors_hu(METHODS[name](y, ray_mask, scan), y, scan, (200, 140))
        assert inside < bound_inside, name
        assert outside < bound_outside, name


@pytest.mark.parametrize("name", EXTRAPOLATIONS)
def test_each_side_and_view_has_its_own_edge(name, scan, project, chest):
    y = project(scan, chest)
    u_mm = torch.from_numpy(scan.u_mm())
    ray_mask = (u_mm < 80).repeat(scan.n_views, 1)
    ray_mask[10:20] = u_mm.abs() < 100
    ray_mask[30:40] = False
    ray_mask[50, 100:105] = False
    y_hat = METHODS[name](y, ray_mask, scan)
    first_missing = int((u_mm < 80).sum())
    assert torch.equal(y_hat[..., 0, :first_missing], y[..., 0, :first_missing])
    assert y_hat[0, 0, 0, first_missing : first_missing + 5].min() > 0
    assert y_hat[0, 0, 15, u_mm < -100][-5:].min() > 0
    assert y_hat[0, 0, 30:40].abs().max() == 0
    assert y_hat[0, 0, 50, 100:105].abs().max() == 0


@pytest.mark.parametrize("name", EXTRAPOLATIONS)
def test_nothing_is_added_beside_air(name, scan, ray_mask, project):
    y = project(scan, ((0.0, 0.0, 60.0, 50.0, 1.0),))
    torch.testing.assert_close(METHODS[name](y, ray_mask, scan), y, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_batch_equals_one_by_one(name, scan, ray_mask, project, chest):
    y = torch.stack([scale * project(scan, chest)[0] for scale in (1.0, 0.6, 1.1)])
    method = partial(METHODS[name], ray_mask=ray_mask, scan=scan)
    batch = method(y)
    for i in range(3):
        torch.testing.assert_close(batch[i : i + 1], method(y[i : i + 1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_each_slice_may_have_its_own_mask(name, scan, project, chest):
    y = torch.cat([project(scan, chest), 0.7 * project(scan, chest)])
    masks = [torch.from_numpy(truncation_ray_mask(scan, diameter_mm)) for diameter_mm in (150.0, 220.0)]
    masks[1][3:6] = False
    y_hat = METHODS[name](y, torch.stack(masks)[:, None], scan)
    for i in range(2):
        alone = METHODS[name](y[i : i + 1], masks[i], scan)
        torch.testing.assert_close(y_hat[i : i + 1], alone, rtol=1e-4, atol=1e-4)


def test_mirrored_object_gives_the_mirrored_answer(project, chest):
    scan = ParallelBeam.equally_spaced(2, math.pi, 230, 2.0)
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, FIELD_MM))
    lopsided = (*chest[:2], (60.0, 0.0, 40.0, 40.0, 0.2))
    mirrored = tuple((-x, y, a, b, d) for x, y, a, b, d in lopsided)
    for name in EXTRAPOLATIONS:
        one = METHODS[name](project(scan, lopsided)[..., :1, :], ray_mask[:1], ParallelBeam((0.0,), 230, 2.0))
        other = METHODS[name](project(scan, mirrored)[..., :1, :], ray_mask[:1], ParallelBeam((0.0,), 230, 2.0))
        torch.testing.assert_close(one, other.flip(-1), rtol=1e-4, atol=1e-4)
