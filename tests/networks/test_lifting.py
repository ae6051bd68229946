"""Feature maps in the volume."""

import math

import torch
from tests.projectors.cases import blob

from latentct.geometry import ConeBeam, Grid
from latentct.networks.lifting import coverage, lift, max_over_views, mean_over_views, min_over_views
from latentct.projectors import make_projector
from latentct.projectors.shadow import Shadow, cast_shadow

GRID = Grid((12, 16, 16), (4.0, 4.0, 4.0))
SCAN = ConeBeam.equally_spaced(5, math.pi, (24, 32), (4.0, 4.0), sod_mm=150.0, sdd_mm=260.0, start_rad=0.3)


def narrow() -> Shadow:
    """Shadows on a panel too small for the volume: some voxels are seen by all views, some by a few, some by none."""
    scan = ConeBeam.equally_spaced(5, math.pi, (8, 12), (4.0, 4.0), 150.0, 260.0, (0.0, 14.0))
    return cast_shadow(GRID, scan)


def test_a_point_is_found_where_it_was_projected_from():
    at_mm = (6.0, -10.0, 14.0)
    x = blob(GRID, at_mm, 4.0)
    y = make_projector(GRID, SCAN)(x)
    lifted = lift(y.transpose(0, 2), cast_shadow(GRID, SCAN))
    smallest = min_over_views(lifted, cast_shadow(GRID, SCAN))[0, 0]
    found = [int(i) for i in torch.unravel_index(smallest.argmax(), smallest.shape)]
    assert found == [int(i) for i in torch.unravel_index(x[0, 0].argmax(), smallest.shape)]


def test_maps_of_other_resolution_are_lifted_to_the_same_place():
    ramp = torch.linspace(-1 + 1 / 64, 1 - 1 / 64, 64)[None, None, None, None, :].expand(5, 1, 1, 48, 64)
    coarse = torch.nn.functional.interpolate(ramp[:, 0], (12, 16), mode="area")[:, None]
    shadow = cast_shadow(GRID, SCAN)
    inner = (shadow.position.abs() < 1 - 1 / 12).all(-1)[:, None, None]  # half a coarse pixel from the edges
    assert inner.float().mean() > 0.7
    for maps in (ramp, coarse):
        assert (lift(maps, shadow) - shadow.position[:, None, None, ..., 0])[inner].abs().max() < 1e-5


def test_batch_and_channels_stay_apart():
    features = torch.rand(5, 2, 3, 24, 32)
    shadow = narrow()
    lifted = lift(features, shadow)
    assert lifted.shape == (5, 2, 3, *GRID.shape)
    assert torch.equal(lifted[:, 1:, 2:], lift(features[:, 1:, 2:], shadow))


def test_only_views_that_see_a_voxel_count():
    shadow = narrow()
    values = torch.arange(1.0, 6.0) - 3.5  # -2.5 .. 1.5
    lifted = values[:, None, None, None, None, None] * shadow.visible[:, None, None]
    mean, smallest = mean_over_views(lifted, shadow)[0, 0], min_over_views(lifted, shadow)[0, 0]
    largest = max_over_views(lifted)[0, 0]
    seen = shadow.visible.sum(0)
    assert {0, 1, 5} <= set(seen.unique().tolist())
    shares = coverage(shadow)
    for index in [tuple(torch.nonzero(seen == n)[0].tolist()) for n in seen.unique().tolist()]:
        views = shadow.visible[(slice(None), *index)]
        assert shares[index] == views.float().mean()
        expected = values[views] if bool(views.any()) else torch.zeros(1)
        assert torch.allclose(mean[index], expected.mean())
        assert torch.allclose(smallest[index], expected.min())
        assert torch.allclose(largest[index], (values * views).max())


def test_nothing_is_lifted_to_what_a_view_does_not_see():
    shadow = narrow()
    lifted = lift(torch.ones(5, 1, 1, 8, 12), shadow)[:, 0, 0]
    assert (lifted[~shadow.visible] == 0).all()
    inner = (shadow.position.abs() < 1 - 1 / 8).all(-1)
    assert torch.allclose(lifted[inner], torch.ones(()))
