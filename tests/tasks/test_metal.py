"""The metal trace, found in the first reconstruction."""

import pytest
import torch

from latentct.errors import InputError
from latentct.tasks import Combination, Metal, SparseView, Truncation
from latentct.units import MU_WATER_70KEV

TITANIUM_MU = 14 * MU_WATER_70KEV


@pytest.fixture
def y(projector, body_mu, metal):
    return projector(torch.where(metal, TITANIUM_MU, body_mu))


def test_trace_covers_every_ray_through_metal_and_little_else(projector, y, metal):
    task = Metal()
    found, ray_mask = task.metal_mask(y, projector), task.ray_mask(y, projector)
    assert found.shape == metal.shape
    assert found[metal].all()
    assert ray_mask.shape == y.shape
    through = projector(metal.float()) > 1.0
    assert not ray_mask[through].any()
    assert (~ray_mask).float().mean() < 2 * (projector(metal.float()) > 0).float().mean()


def test_slices_without_metal_are_measured_completely(projector, y, body_mu):
    clean = projector(body_mu)
    ray_mask = Metal().ray_mask(torch.cat([clean[:1], y[1:]]), projector)
    assert ray_mask[0].all()
    assert not ray_mask[1].all()


def test_dilation_widens_the_trace_but_not_the_mask(projector, y):
    narrow, wide = Metal(), Metal(dilation_mm=6.0)
    assert torch.equal(narrow.metal_mask(y, projector), wide.metal_mask(y, projector))
    gained = narrow.ray_mask(y, projector) & ~wide.ray_mask(y, projector)
    assert gained.any()
    assert not (wide.ray_mask(y, projector) & ~narrow.ray_mask(y, projector)).any()


@pytest.mark.parametrize("other", [Truncation(180.0), SparseView(60)])
def test_with_other_tasks_metal_is_sought_in_what_they_leave(parallel, body_mu, metal, other):
    y = parallel(torch.where(metal, TITANIUM_MU, body_mu))
    left = other.ray_mask(y, parallel)
    unread = torch.where(left, y, torch.nan)
    ray_mask = Combination([other, Metal()]).ray_mask(unread, parallel)
    assert ray_mask.shape == y.shape
    assert not ray_mask[:, :, ~left].any()
    assert not ray_mask[(parallel(metal.float()) > 1.0)].any()
    assert ray_mask.float().mean() > 0.5 * left.float().mean()


def test_settings_are_checked(parallel):
    with pytest.raises(InputError, match="edge_hu is 3000"):
        Metal(threshold_hu=2500, edge_hu=3000)
    with pytest.raises(InputError, match="share_of_peak is 2"):
        Metal(share_of_peak=2)
    everything = torch.full((1, 1, *parallel.scan.sinogram_shape), 500.0)
    with pytest.raises(InputError, match="raise threshold_hu"):
        Metal(dilation_mm=2000.0).ray_mask(everything, parallel)
