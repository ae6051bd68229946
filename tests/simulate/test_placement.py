"""Implants go into teeth or bone and stay in the body."""

import numpy as np
import pytest
import torch

from latentct.geometry import Grid
from latentct.simulate.implants import draw_implant
from latentct.simulate.placement import find_site, place

GRID = Grid((60, 80), (2.0, 2.0))
Y, X = np.meshgrid(GRID.coordinates_mm(0), GRID.coordinates_mm(1), indexing="ij")
BODY = (Y / 50) ** 2 + (X / 70) ** 2 < 1
BONE = np.hypot(Y - 15, X - 20) < 12
TEETH = np.hypot(Y + 25, X) < 6
LUNG = np.hypot(Y, X + 35) < 20


def head(*, bone: bool = True, teeth: bool = True) -> np.ndarray:
    x_hu = np.where(BODY, 40.0, -1000.0)
    x_hu[LUNG] = -850
    if bone:
        x_hu[BONE] = 700
    if teeth:
        x_hu[TEETH] = 2000
    return x_hu


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_screw_lies_in_bone():
    site = find_site(head(teeth=False), BODY, GRID, in_teeth=False)
    for seed in range(4):
        metal = place(draw_implant("screw", 60.0, generator=chance(seed)), site, generator=chance(seed)).numpy()
        assert metal[BONE].sum() > 0.8 * metal.sum()


def test_a_filling_lies_in_teeth_and_not_in_other_dense_bone():
    x_hu = head()
    x_hu[BONE] = 1500  # behind the middle of the body
    site = find_site(x_hu, BODY, GRID, in_teeth=True)
    assert np.array_equal(site.target, TEETH)
    metal = place(draw_implant("dental_filling", 20.0, generator=chance(0)), site, generator=chance(0)).numpy()
    assert metal[TEETH].sum() > 0.8 * metal.sum()


def test_without_teeth_there_is_no_site_for_a_filling():
    assert find_site(head(teeth=False), BODY, GRID, in_teeth=True) is None


def test_without_bone_soft_tissue_serves_but_not_gas():
    site = find_site(head(bone=False, teeth=False), BODY, GRID, in_teeth=False)
    for seed in range(4):
        metal = place(draw_implant("clip", 20.0, generator=chance(seed)), site, generator=chance(seed)).numpy()
        assert metal.sum() * 4.0 == pytest.approx(20.0, rel=0.05)
        assert metal[LUNG].sum() == 0


@pytest.mark.parametrize("margin_mm", [4.0, 12.0])
def test_metal_keeps_its_distance_from_the_outside(margin_mm):
    x_hu = np.where(BODY, 800.0, -1000.0)  # bone up to the skin
    outside = np.argwhere(~BODY)
    site = find_site(x_hu, BODY, GRID, in_teeth=False, margin_mm=margin_mm)
    for seed in range(6):
        metal = place(draw_implant("hip_stem", 450.0, generator=chance(seed)), site, generator=chance(seed))
        for pixel in metal.nonzero().numpy():
            assert 2.0 * np.hypot(*(outside - pixel).T).min() > margin_mm


def test_what_does_not_fit_is_not_placed():
    small = np.hypot(Y, X) < 12
    site = find_site(np.where(small, 40.0, -1000.0), small, GRID, in_teeth=False)
    assert place(draw_implant("hip_stem", 1100.0, generator=chance(0)), site, generator=chance(0)) is None


def test_a_slice_without_body_has_no_place():
    site = find_site(np.full(GRID.shape, -1000.0), np.zeros(GRID.shape, bool), GRID, in_teeth=False)
    assert place(draw_implant("clip", 20.0, generator=chance(0)), site, generator=chance(0)) is None
