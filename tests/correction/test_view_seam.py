"""The join over views: exact where measured, continuous from view to view, cyclic, local."""

import math

import pytest
import torch
from torch import Tensor

from latentct.correction.view_seam import view_seam
from latentct.geometry import FanBeam, ParallelBeam

VIEWS, BINS, FEATHER_RAD = 60, 41, math.radians(16.0)
SCANS = {
    "parallel": ParallelBeam.equally_spaced(VIEWS, math.pi, BINS, 2.0),
    "fan": FanBeam.equally_spaced(VIEWS, 2 * math.pi, BINS, 2.0, sod_mm=500.0, sdd_mm=800.0),
}
STEP_RAD = {"parallel": math.pi / VIEWS, "fan": 2 * math.pi / VIEWS}
scans = pytest.mark.parametrize("name", SCANS)


def views(*measured: int) -> Tensor:
    m = torch.zeros(VIEWS, BINS, dtype=torch.bool)
    m[list(measured)] = True
    return m


ARC, SPARSE = views(*range(40)), views(*range(0, VIEWS, 5))


@pytest.fixture
def truth() -> Tensor:
    return torch.rand(2, 1, VIEWS, BINS, generator=torch.Generator().manual_seed(0))


def join(truth: Tensor, y_hat: Tensor, ray_mask: Tensor, name: str = "parallel", reach_mm: float = 0.0) -> Tensor:
    joined = torch.where(ray_mask, truth, y_hat)
    return view_seam(joined, y_hat, ray_mask, SCANS[name], FEATHER_RAD, reach_mm)


@scans
@pytest.mark.parametrize("ray_mask", [ARC, SPARSE], ids=["arc", "sparse"])
def test_measured_views_stay_bit_for_bit(truth, name, ray_mask):
    out = join(truth, truth + torch.rand(truth.shape), ray_mask, name, reach_mm=60.0)
    assert torch.equal(out[..., ray_mask], truth[..., ray_mask])


@pytest.mark.parametrize("ray_mask", [ARC, SPARSE], ids=["arc", "sparse"])
def test_a_right_synthesis_is_not_touched(truth, ray_mask):
    assert torch.equal(join(truth, truth, ray_mask, reach_mm=60.0), truth)


@scans
def test_a_constant_error_between_sparse_views_is_mended(truth, name):
    out = join(truth, truth + 0.5, SPARSE, name)
    wide = 5 * STEP_RAD[name] > FEATHER_RAD  # the differences fade out before they meet
    worst = (out - truth).abs().max()
    assert (worst > 0.4) if wide else (worst < 1e-5)


@scans
def test_an_error_fades_out_from_both_ends_of_the_gap(truth, name):
    shift = (join(truth, truth + 0.5, ARC, name) - truth - 0.5)[0, 0, :, 7]
    reach = FEATHER_RAD / STEP_RAD[name]
    assert shift[40:].abs()[[0, -1]].min() > 0.5 * math.cos(math.pi / 2 / reach) ** 2 - 1e-3
    untouched = shift[40 + math.ceil(reach) : VIEWS - math.ceil(reach)]
    assert len(untouched) > 3
    assert untouched.abs().max() < 1e-6
    assert bool((shift[40 : 40 + int(reach)].diff() > 0).all())


def test_parallel_views_come_back_mirrored_and_divergent_ones_as_they_are(truth):
    error = torch.linspace(-1, 1, BINS)  # odd along the detector
    for name, sign in (("parallel", -1), ("fan", 1)):
        shift = join(truth, truth + error, views(*range(30)), name) - truth - error
        assert torch.allclose(shift[..., VIEWS - 1, :], -sign * error * _fade(STEP_RAD[name]), atol=1e-5)


def _fade(distance_rad: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * distance_rad / FEATHER_RAD))


def test_order_of_the_views_does_not_matter(truth):
    scan, y_hat = SCANS["parallel"], truth + 0.3 * torch.rand(truth.shape, generator=torch.Generator().manual_seed(1))
    order = torch.randperm(VIEWS, generator=torch.Generator().manual_seed(2))
    shuffled = ParallelBeam(tuple(scan.angles_rad[i] for i in order.tolist()), BINS, 2.0)
    joined = torch.where(SPARSE, truth, y_hat)
    out = view_seam(joined, y_hat, SPARSE, scan)[..., order, :]
    again = view_seam(joined[..., order, :], y_hat[..., order, :], SPARSE[order], shuffled)
    assert torch.allclose(out, again, atol=1e-6)


def test_detail_is_not_carried_over_an_angle(truth):
    y_hat = truth.clone()
    y_hat[..., 20] += 1.0  # one bin wrong in all views
    sharp, blurred = (-(join(truth, y_hat, ARC, reach_mm=r) - y_hat)[0, 0] for r in (0.0, 60.0))
    for distance, view in ((1, 40), (3, 42)):
        fade = _fade(distance * math.pi / VIEWS)
        assert sharp[view, 20] == pytest.approx(fade, abs=1e-4)
        sigma_bins = 60.0 * distance * math.pi / VIEWS / 2.0
        assert blurred[view, 20] == pytest.approx(fade / (math.sqrt(2 * math.pi) * sigma_bins), rel=0.02)
        assert blurred[view].sum() == pytest.approx(fade, rel=0.01)


def test_each_slice_has_its_own_views(truth):
    masks = torch.stack([ARC, SPARSE])[:, None]
    y_hat = truth + 0.3 * torch.rand(truth.shape)
    out = join(truth, y_hat, masks)
    for i, ray_mask in enumerate((ARC, SPARSE)):
        assert torch.allclose(out[i : i + 1], join(truth[i : i + 1], y_hat[i : i + 1], ray_mask), atol=1e-6)


def test_views_with_some_rays_are_left_alone_and_lend_their_whole_row(truth):
    ray_mask = views(*range(40))
    ray_mask[:40, 30:] = False
    y_hat = truth + 0.5
    joined = torch.where(ray_mask, truth, y_hat)
    joined[..., :40, 30:] -= 0.2  # a seam along the rows
    out = view_seam(joined, y_hat, ray_mask, SCANS["parallel"], FEATHER_RAD, 0.0)
    assert torch.equal(out[..., :40, :], joined[..., :40, :])
    assert (out - y_hat)[..., 40, 35].numpy() == pytest.approx(-0.2 * _fade(math.pi / VIEWS), abs=1e-4)


def test_nothing_to_join(truth):
    for ray_mask in (views(), torch.ones_like(ARC)):
        joined = torch.where(ray_mask, truth, truth + 1)
        assert view_seam(joined, truth + 1, ray_mask, SCANS["parallel"]) is joined
