"""Slices cut by a field of view, which a network learns to complete."""

import doctest
import math

import pytest
import torch

import latentct.engines.fields
from latentct.engines import CutFields
from latentct.geometry import Grid

GRID = Grid((128, 128), (4.0, 4.0))


def cut(**settings: object) -> CutFields:
    torch.manual_seed(0)
    return CutFields(GRID, **settings)


def test_known_pixels_are_as_they_were_and_the_others_are_air_and_marked():
    x = 0.1 + 0.8 * torch.rand(4, 1, 128, 128)
    shown, whole = cut()(x)
    known = shown[:, 1:].bool()
    assert torch.equal(whole, x)
    assert torch.equal(shown[:, :1], torch.where(known, x, 0.0))
    assert set(shown[:, 1:].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(known[0], known[1])  # each slice has its own


def test_small_fields_come_more_often_and_all_sizes_come_up():
    known = cut(square_share=0.0, offset_mm=0.0).draw(4000)
    diameter_mm = 2 * (16.0 * known.sum(dim=(1, 2, 3)) / math.pi).sqrt()
    assert diameter_mm.min() == pytest.approx(150, abs=3)
    assert diameter_mm.max() == pytest.approx(500, abs=5)
    assert diameter_mm.median() == pytest.approx(math.sqrt(150 * 500), abs=10)


def test_squares_have_sides_and_corners():
    known = cut(size_mm=(200.0, 200.0), square_share=1.0, offset_mm=0.0).draw(1)
    assert known.sum() == 50**2
    assert cut(size_mm=(200.0, 200.0), square_share=0.25).draw(2000).sum(dim=(1, 2, 3)).gt(2200).float().mean() == (
        pytest.approx(0.25, abs=0.04)
    )


def test_fields_lie_a_little_off_the_centre():
    known = cut(size_mm=(200.0, 200.0), offset_mm=20.0).draw(500).float()
    y_mm = torch.from_numpy(GRID.coordinates_mm(0)).float()[:, None]
    middle_mm = (known * y_mm).sum(dim=(1, 2, 3)) / known.sum(dim=(1, 2, 3))
    assert middle_mm.abs().max() == pytest.approx(20, abs=3)
    assert middle_mm.abs().median() == pytest.approx(10, abs=3)


def test_what_no_network_value_is_is_clipped_in_both():
    shown, whole = cut()(torch.full((1, 1, 128, 128), 7.0))
    assert shown.max() == whole.max() == 1.25


def test_doctest():
    assert doctest.testmod(latentct.engines.fields) == (0, 3)
