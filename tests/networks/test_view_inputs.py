"""Panels, directions and places."""

import math
from dataclasses import replace

import pytest
import torch
from tests.projectors.cases import blob

from latentct.geometry import ConeBeam, Grid
from latentct.networks.lifting import lift, mean_over_views
from latentct.networks.view_inputs import CODE_CHANNELS, PLACE_CHANNELS, panels, places, view_code
from latentct.projectors import make_projector
from latentct.projectors.shadow import cast_shadow

GRID = Grid((16, 16, 16), (16.0, 24.0, 24.0))
SCAN = ConeBeam((0.1, 0.9, 1.7, 3.9), (24, 32), (22.0, 24.0), sod_mm=800.0, sdd_mm=1200.0)
PIXEL_MM = (44 / 3, 16.0)


def test_panels_of_other_pixels_show_the_same():
    x = blob(GRID, (10.0, -40.0, 30.0), 40.0) + blob(GRID, (-30.0, 50.0, -60.0), 30.0)
    fine = replace(SCAN, detector_shape=(72, 96), pixel_mm=(22.0 / 3, 8.0))
    as_they_are, resampled = (panels(make_projector(GRID, s)(x), s, GRID, PIXEL_MM, 8) for s in (SCAN, fine))
    assert as_they_are.shape == resampled.shape == (4, 1, 2, 24, 32)
    assert (as_they_are - resampled).abs().max() < 0.08 * as_they_are.abs().max()


def test_panels_are_in_units_of_water():
    y = 100 * torch.arange(1.0, 5.0)[None, None, :, None, None] * torch.ones(2, 1, 4, 24, 32)
    shown = panels(y, SCAN, GRID, PIXEL_MM, 8)
    assert torch.equal(shown[:, :, 0], torch.arange(1.0, 5.0)[:, None, None, None].expand(4, 2, 24, 32))


def test_filtered_panels_lift_to_the_density_of_water():
    scan = ConeBeam.equally_spaced(60, math.pi, (24, 96), (22.0, 8.0), sod_mm=800.0, sdd_mm=1200.0)
    x = blob(GRID, (0.0, 10.0, -20.0), 60.0)
    shown = panels(make_projector(GRID, scan)(x), scan, GRID, (44 / 3, 16 / 3), 8)
    shadow = cast_shadow(GRID, scan)
    filtered = mean_over_views(lift(shown, shadow), shadow)[:, 1:]
    inside = x > 0.5
    assert (filtered - x)[inside].abs().mean() < 0.1
    assert filtered[inside].mean() == pytest.approx(x[inside].mean().item(), rel=0.1)


def test_code_is_that_of_the_angles():
    code = view_code(SCAN, GRID, torch.zeros(1))
    angles = torch.tensor(SCAN.angles_rad)
    assert code.shape == (4, CODE_CHANNELS)
    assert torch.allclose(code[:, 0], angles.cos(), atol=1e-6)
    assert torch.allclose(code[:, 5], (2 * angles).sin(), atol=1e-6)


def test_places_by_hand():
    shadow, code = cast_shadow(GRID, SCAN), torch.rand(4, CODE_CHANNELS)
    found = places(shadow, code, batch=2)
    assert found.shape == (2, PLACE_CHANNELS, *GRID.shape)
    at = found[1, :, 3, 0, 15]
    assert at[:CODE_CHANNELS].tolist() == pytest.approx(code.mean(0).tolist())
    assert at[CODE_CHANNELS:-1].tolist() == pytest.approx([0.5, -9 / 16, -15 / 16, 15 / 16])
    assert at[-1] == shadow.visible[:, 3, 0, 15].float().mean()
