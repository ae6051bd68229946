"""Linear interpolation of missing rays along the row, then between views."""

import pytest
import torch

from latentct.correction import linear_interpolation
from latentct.correction.interpolation import outermost_mask


@pytest.fixture
def ramp():
    """Line integrals (2, 1, 6, 10) that are linear in view and bin, so that interpolation is exact."""
    view, u = torch.arange(6.0)[:, None], torch.arange(10.0)
    return torch.stack([1 + view + 0.5 * u, 20 - 2 * view - u])[:, None]


def test_gaps_are_bridged_by_a_line_and_measured_rays_stay(ramp):
    mask = torch.ones(6, 10, dtype=torch.bool)
    mask[:, 3:7] = False
    mask[2, 1] = False
    y = torch.where(mask, ramp.square(), torch.nan)
    found = linear_interpolation(y, mask)
    assert torch.equal(found[..., mask], y[..., mask])
    torch.testing.assert_close(linear_interpolation(torch.where(mask, ramp, torch.nan), mask), ramp)


def test_each_slice_has_its_own_gap(ramp):
    mask = torch.ones(2, 1, 6, 10, dtype=torch.bool)
    mask[0, :, :, 2:4] = False
    mask[1, :, 3, 5:9] = False
    found = linear_interpolation(torch.where(mask, ramp.square(), torch.nan), mask)
    for i in range(2):
        alone = linear_interpolation(torch.where(mask, ramp.square(), torch.nan)[i : i + 1], mask[i, 0])
        assert torch.equal(found[i : i + 1], alone)
    torch.testing.assert_close(linear_interpolation(torch.where(mask, ramp, torch.nan), mask), ramp)


def test_rows_without_a_ray_lie_between_the_neighbouring_views(ramp):
    mask = torch.ones(6, 10, dtype=torch.bool)
    mask[2:5] = False
    torch.testing.assert_close(linear_interpolation(torch.where(mask, ramp, torch.nan), mask), ramp)


def test_beyond_the_outermost_ray_its_value_is_held(ramp):
    mask = torch.zeros(6, 10, dtype=torch.bool)
    mask[1:4, 3:6] = True
    found = linear_interpolation(torch.where(mask, ramp, torch.nan), mask)
    assert torch.equal(found[..., 1, 6:], ramp[..., 1, 5:6].expand(2, 1, 4))
    assert torch.equal(found[..., 0, 3:6], ramp[..., 1, 3:6])


def test_panels_are_filled_row_by_row_then_from_the_neighbouring_views():
    view, v, u = torch.arange(5.0)[:, None, None], torch.arange(3.0)[:, None], torch.arange(7.0)
    y = (view + 10 * v + 0.25 * u)[None, None]
    mask = torch.ones(5, 3, 7, dtype=torch.bool)
    mask[1, 2], mask[3, 1, 2:5] = False, False
    torch.testing.assert_close(linear_interpolation(torch.where(mask, y, torch.nan), mask), y)


def test_nothing_measured_is_zero(ramp):
    assert not linear_interpolation(ramp, torch.zeros(6, 10, dtype=torch.bool)).any()


def test_outermost_mask_closes_gaps_but_not_ends():
    mask = torch.tensor([[False, True, False, True], [False, False, False, False], [True, False, False, False]])
    expected = torch.tensor([[False, True, True, True], [False, False, False, False], [True, False, False, False]])
    assert torch.equal(outermost_mask(mask), expected)
