"""Measured rays stay what and where they are in the complete scan."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam, ray_distance_mm
from latentct.geometry.arc import arc_of
from latentct.geometry.completion import bin_at_axis_mm, complete_scan
from latentct.projectors import make_projector

GRID = Grid((24, 24), (10.0, 10.0))
DEG = math.pi / 180


def parallel(n: int = 120, arc_deg: float = 120.0, **settings: float) -> ParallelBeam:
    return ParallelBeam.equally_spaced(n, arc_deg * DEG, 40, 4.0, **settings)


def fan(n: int = 90, arc_deg: float = 90.0, **settings: float) -> FanBeam:
    return FanBeam.equally_spaced(n, arc_deg * DEG, 40, 8.0, 500.0, 1000.0, **settings)


SCANS = [
    parallel(),
    parallel(offset_mm=1.0),
    parallel(start_rad=5.0, offset_mm=50.0),
    fan(),
    fan(curved=True, offset_mm=2.0),
    fan(360, 360.0, offset_mm=120.0),
    fan(20, 360.0, curved=True),
]
IDS = ["parallel", "quarter", "displaced", "flat", "curved quarter", "displaced turn", "sparse"]


@pytest.mark.parametrize("scan", SCANS, ids=IDS)
@pytest.mark.parametrize("widen", [False, True])
@pytest.mark.parametrize("step_rad", [None, 2 * DEG])
def test_measured_rays_are_those_of_the_complete_scan(scan, widen, step_rad):
    order = np.random.default_rng(0).permutation(scan.n_views)
    scan = replace(scan, angles_rad=tuple(np.array(scan.angles_rad)[order]))
    completion = complete_scan(scan, 150.0, widen, step_rad)
    x = np.random.default_rng(1).random((1, 1, *GRID.shape)).astype(np.float32)
    y, complete = (make_projector(GRID, s)(torch.from_numpy(x)).numpy() for s in (scan, completion.scan))
    np.testing.assert_allclose(completion.extract(complete), y, atol=2e-3 * y.max())
    embedded = completion.embed(y)
    assert np.array_equal(completion.extract(embedded), y)
    assert not embedded[..., ~completion.ray_mask].any() and completion.ray_mask.sum() == y.size
    if widen and not (arc_of(scan, 150.0).is_turn and scan.offset_mm > 100):
        assert ray_distance_mm(completion.scan)[[0, -1]].min() >= 150.0 - 1e-6
    if step_rad is not None:
        assert arc_of(completion.scan, 150.0).missing_rad == 0
        assert arc_of(completion.scan, 150.0).step_rad <= 2.1 * DEG


def test_quarter_offset_stays():
    wide = complete_scan(parallel(offset_mm=1.0), 150.0, widen=True).scan
    assert math.remainder(wide.offset_mm - 1.0, 2.0) == pytest.approx(0)
    assert wide.bin_mm == 4.0 and np.isin(np.round(parallel(offset_mm=1.0).u_mm(), 6), np.round(wide.u_mm(), 6)).all()


def test_displaced_detector_of_a_full_turn_grows_on_its_far_side_only():
    scan = fan(360, 360.0, offset_mm=120.0)
    wide = complete_scan(scan, 150.0, widen=True)
    assert wide.scan.u_mm()[0] == pytest.approx(scan.u_mm()[0])
    assert wide.columns.start == 0 and ray_distance_mm(wide.scan)[-1] >= 150.0
    mirrored = complete_scan(replace(scan, offset_mm=-120.0), 150.0, widen=True)
    assert mirrored.scan.u_mm()[-1] == pytest.approx(-scan.u_mm()[0])
    assert mirrored.scan.n_bins == wide.scan.n_bins


def test_displaced_parallel_rays_are_centred_where_views_are_added():
    wide = complete_scan(parallel(offset_mm=50.0), 60.0, step_rad=DEG).scan
    assert abs(wide.offset_mm) <= 2.0 and wide.u_mm()[-1] == pytest.approx(parallel(offset_mm=50.0).u_mm()[-1])
    assert complete_scan(parallel(offset_mm=50.0), 60.0).scan == parallel(offset_mm=50.0)


def test_arc_is_completed_at_its_own_step():
    half_turn = complete_scan(parallel(), 70.0, step_rad=DEG).scan
    np.testing.assert_allclose(half_turn.angles_rad, parallel(180, 180.0).angles_rad)
    short = complete_scan(fan(), 70.0, step_rad=DEG).scan
    needed_rad = math.pi + 2 * math.asin(70 / 500)
    assert short.n_views * DEG == pytest.approx(needed_rad, abs=DEG)
    assert short.angles_rad[:90] == fan().angles_rad


@pytest.mark.parametrize(("n", "turn_deg"), [(20, 180.0), (20, 360.0)])
def test_views_are_put_evenly_between_few(n, turn_deg):
    completion = complete_scan(parallel(n, turn_deg), 70.0, step_rad=3 * DEG)
    k = round(turn_deg / n / 3)
    assert completion.scan.n_views == k * n
    assert completion.views.tolist() == list(range(0, k * n, k))
    np.testing.assert_allclose(np.diff(completion.scan.angles_rad), turn_deg / n / k * DEG)


def test_views_that_pass_the_full_turn_come_on_one_arc_in_their_order():
    scan = parallel()
    turned = replace(scan, angles_rad=tuple(np.mod(np.array(scan.angles_rad) + 6.0, 2 * math.pi)))
    completion = complete_scan(turned, 70.0)
    assert completion.views.tolist() == list(range(120)) and np.ptp(completion.scan.angles_rad) < math.pi
    assert complete_scan(scan, 70.0).scan == scan
    for whole in (fan(720, 720.0), fan(360, 360.0, start_rad=-1.0)):
        assert complete_scan(whole, 70.0).scan == whole


def test_bins_at_the_axis():
    assert bin_at_axis_mm(parallel()) == 4.0
    assert bin_at_axis_mm(fan()) == 4.0
