"""NMAR: the prior image, the normalised interpolation, and that both do better than interpolation alone."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from latentct.correction import linear_interpolation, nmar
from latentct.correction.nmar import normalised_interpolation, tissue_prior
from latentct.correction.tissue import AIR_RANGE_HU, BONE_RANGE_HU, smooth, tissue_thresholds_hu
from latentct.geometry import Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.units import MU_WATER_70KEV, hu_to_mu

GRID = Grid((64, 72), (4.0, 4.0))
SCAN = ParallelBeam.equally_spaced(90, math.pi, 110, 4.0)


def disk(x_mm: float, y_mm: float, radius_mm: float) -> torch.Tensor:
    rows, columns = GRID.coordinates_mm(0)[:, None] - y_mm, GRID.coordinates_mm(1) - x_mm
    return torch.from_numpy(np.hypot(rows, columns) <= radius_mm)


@pytest.fixture
def scene():
    """A body with a lung and bones beside a metal disk: slices (2, 1, H, W) in HU, the second 100 HU off, and metal."""
    x_hu = torch.full(GRID.shape, -1000.0)
    x_hu[disk(0, 0, 110)] = 0.0
    x_hu[disk(-50, 0, 30)] = 900.0
    x_hu[disk(60, 10, 22)] = 900.0
    metal = disk(5, 0, 12)
    offset = torch.tensor([0.0, 100.0])[:, None, None]
    return torch.where(x_hu > -500, x_hu + offset, x_hu)[:, None], metal.expand(2, 1, -1, -1)


def test_thresholds_lie_between_the_tissues_and_in_their_ranges(scene):
    x_hu, _ = scene
    air_hu, bone_hu = tissue_thresholds_hu(x_hu)
    assert air_hu.shape == bone_hu.shape == (2, 1, 1, 1)
    assert bone_hu.flatten().tolist() == pytest.approx([450, 500], abs=1)
    assert air_hu.flatten().tolist() == pytest.approx([-500, -450], abs=1)
    for flat in (torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), -1000.0), torch.full((1, 1, 8, 8), 3000.0)):
        air_hu, bone_hu = tissue_thresholds_hu(flat)
        assert AIR_RANGE_HU[0] <= air_hu <= AIR_RANGE_HU[1]
        assert BONE_RANGE_HU[0] <= bone_hu <= BONE_RANGE_HU[1]


def test_smoothing_is_a_gaussian_in_mm_on_any_grid():
    x = torch.zeros(1, 1, 41, 41)
    x[0, 0, 20, 20] = 1.0
    y = smooth(x, (1.0, 2.0), 3.0)[0, 0]
    at = torch.arange(41.0) - 20
    assert y.sum() == pytest.approx(1.0, abs=1e-5)
    assert (y.sum(1) * at.square()).sum().sqrt() == pytest.approx(3.0, rel=0.05)
    assert (y.sum(0) * (2 * at).square()).sum().sqrt() == pytest.approx(3.0, rel=0.05)
    torch.testing.assert_close(smooth(torch.full((1, 1, 9, 9), 5.0), (1.0, 1.0), 2.0), torch.full((1, 1, 9, 9), 5.0))


def test_prior_flattens_air_and_soft_tissue_and_keeps_bone(scene):
    x_hu, _ = scene
    streaky = x_hu + 60 * torch.sin(torch.arange(72.0))
    prior = tissue_prior(hu_to_mu(streaky, MU_WATER_70KEV), GRID.spacing_mm, MU_WATER_70KEV, 2.0)
    assert (prior[:, 0, disk(5, 0, 12)] == MU_WATER_70KEV).all()
    assert (prior[:, 0, ~disk(0, 0, 125)] == 0).all()
    bone = prior[0, 0, disk(-50, 0, 20)] / MU_WATER_70KEV * 1000 - 1000
    assert bone.mean() == pytest.approx(900, abs=30)


def test_a_right_prior_gives_the_truth(scene):
    """Any truth that is a multiple of its prior is interpolated without error, air included."""
    x_hu, metal = scene
    projector = make_projector(GRID, SCAN)
    y = projector(hu_to_mu(x_hu, MU_WATER_70KEV))
    mask = projector(metal.float()) == 0
    found = normalised_interpolation(torch.where(mask, y, torch.nan), mask, y, floor=0.1)
    torch.testing.assert_close(found, y, rtol=1e-4, atol=1e-4)
    assert torch.equal(found[mask], y[mask])


def test_beside_air_the_quotient_stays_bounded():
    """The gap ends at a ray of noise through air; a plain quotient would carry 0.05 / 1e-6 into it."""
    y_prior = torch.tensor([0.0, 1e-6, 2.0, 4.0, 4.0])[None, None, None]
    y = torch.tensor([0.05, 0.05, torch.nan, torch.nan, 4.0])[None, None, None]
    mask = torch.tensor([[True, True, False, False, True]])
    found = normalised_interpolation(y, mask, y_prior, floor=0.1)
    assert (found[..., 2:4] > y_prior[..., 2:4] - 0.1).all()
    assert (found[..., 2:4] < 1.5 * y_prior[..., 2:4]).all()


def test_nmar_beats_interpolation_and_never_reads_the_trace(scene):
    x_hu, metal = scene
    projector = make_projector(GRID, SCAN)
    truth = projector(hu_to_mu(x_hu, MU_WATER_70KEV))
    mask = projector(metal.float()) == 0
    y = torch.where(mask, truth, torch.nan)
    found = nmar(y, mask, projector, partial(fbp, grid=GRID, scan=SCAN))
    interpolated = linear_interpolation(y, mask)
    assert torch.equal(found[mask], truth[mask])
    assert (found - truth).abs().mean() < 0.5 * (interpolated - truth).abs().mean()
    alone = nmar(y[1:], mask[1, 0], projector, partial(fbp, grid=GRID, scan=SCAN))
    torch.testing.assert_close(found[1:], alone, rtol=1e-4, atol=1e-4)
