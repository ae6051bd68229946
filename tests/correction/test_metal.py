"""Segmentation of metal and its return into the corrected image."""

import pytest
import torch

from latentct.correction import reinsert_metal
from latentct.correction.metal import dilate, segment_metal


@pytest.fixture
def slices_hu():
    """Two slices (2, 1, 20, 24): a ring of metal with partly filled edge beside dense bone; water alone."""
    x = torch.zeros(2, 1, 20, 24)
    x[0, 0, 4:9, 4:9] = 2200.0
    x[0, 0, 5:8, 5:8] = 12000.0
    x[0, 0, 6, 6] = 0.0
    x[0, 0, 15, 15:18] = 2200.0
    return x


def test_seeds_grow_to_their_edge_and_holes_are_filled(slices_hu):
    metal = segment_metal(slices_hu, 2500.0, 2000.0, 0.1)
    expected = torch.zeros_like(metal)
    expected[0, 0, 4:9, 4:9] = True
    assert torch.equal(metal, expected)


def test_limits_rise_with_the_brightest_pixel(slices_hu):
    slices_hu[0, 0, 15, 20] = 2900.0  # a streak
    slices_hu[1, 0, 3, 3] = 2900.0  # a filling of one pixel in the other slice
    metal = segment_metal(slices_hu, 2500.0, 2000.0, 0.25)
    assert not metal[0, 0, 15].any()
    assert metal[0].sum() == 9
    assert metal[1].nonzero().tolist() == [[0, 3, 3]]


def test_dilation_is_in_mm():
    mask = torch.zeros(2, 1, 11, 11, dtype=torch.bool)
    mask[0, 0, 5, 5] = True
    wide = dilate(mask, (1.0, 2.0), 2.0)
    assert wide[0, 0, :, 5].sum() == 5
    assert wide[0, 0, 5].sum() == 3
    assert not wide[1].any()
    assert torch.equal(dilate(mask, (1.0, 2.0), 0.0), mask)


def test_metal_returns_as_it_was_first_seen(slices_hu):
    corrected, mask = torch.full_like(slices_hu, 7.0), slices_hu > 2500
    x = reinsert_metal(corrected, mask, slices_hu)
    assert torch.equal(x[mask], slices_hu[mask])
    assert (x[~mask] == 7.0).all()
