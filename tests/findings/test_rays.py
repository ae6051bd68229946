"""What is found in the rays of made-up bodies, and of real slices where there are any."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.findings.rays import find_in_rays
from latentct.geometry import FanBeam, Grid, ParallelBeam, Scan2D, ray_distance_mm
from latentct.projectors import make_projector

MU = 0.02
GRID = Grid((100, 100), (4.0, 4.0))
DEG = math.pi / 180


def parallel(n: int = 180, arc_deg: float = 180.0, **settings: float) -> ParallelBeam:
    return ParallelBeam.equally_spaced(n, arc_deg * DEG, 100, 4.0, **settings)


def fan(n: int = 360, arc_deg: float = 360.0, **settings: float) -> FanBeam:
    return FanBeam.equally_spaced(n, arc_deg * DEG, 100, 8.0, 500.0, 1000.0, **settings)


def narrow(scan: Scan2D, low_mm: float, high_mm: float) -> Scan2D:
    """The scan of the bins between two places at the axis."""
    u_mm = scan.u_mm() * (scan.sod_mm / scan.sdd_mm if isinstance(scan, FanBeam) else 1.0)
    kept = scan.u_mm()[(u_mm >= low_mm) & (u_mm <= high_mm)]
    return replace(scan, n_bins=len(kept), offset_mm=float(kept[0] + kept[-1]) / 2)


def name_of(case: object) -> str | None:
    return f"{type(case).__name__}-{case.n_views}-{case.n_bins}" if isinstance(case, Scan2D) else None


def body_mu(metal_mm: float = 0.0) -> np.ndarray:
    """Three slices of an elliptical body of water with a lung, some metal in the second."""
    y_mm, x_mm = GRID.coordinates_mm(0)[:, None], GRID.coordinates_mm(1)[None]
    x_mu = np.tile((np.hypot(y_mm / 100, x_mm / 140) <= 1) * MU, (3, 1, 1))
    x_mu[:, np.hypot(y_mm / 50, (x_mm - 60) / 30) <= 1] = 0.2 * MU
    x_mu[1, (np.abs(y_mm - 40) < metal_mm / 2) & (np.abs(x_mm + 30) < metal_mm / 2)] = 8 * MU
    return x_mu.astype(np.float32)


def found_in(scan: Scan2D, metal_mm: float = 0.0):
    y = make_projector(GRID, scan)(torch.from_numpy(body_mu(metal_mm))[:, None])[:, 0].numpy()
    return find_in_rays(y + np.random.default_rng(0).normal(0, 3e-3, y.shape).astype(np.float32), scan, MU, GRID)


COMPLETE = [
    parallel(),
    parallel(offset_mm=1.0),
    parallel(120, 180),
    parallel(360, 360),
    fan(),
    fan(curved=True, offset_mm=2.0),
    fan(230, 230),
    narrow(fan(), -20, 190),
    narrow(parallel(360, 360), -190, 20),
]


@pytest.mark.parametrize("scan", COMPLETE, ids=name_of)
def test_complete_scans_ask_for_nothing(scan):
    findings = found_in(scan)
    assert findings.found == () and findings.task is None
    assert findings.completion.scan == scan and findings.completion.ray_mask.all()
    assert "nothing to correct" in findings.reason()


INCOMPLETE = [
    (
        parallel(120, 120),
        ("limited-angle",),
        "cover 120 degrees without a gap, but a complete scan of this beam needs 180.",
    ),
    (fan(140, 140), ("limited-angle",), "cover 140 degrees"),
    (parallel(20), ("sparse-view",), "Views are few: 20"),
    (fan(30), ("sparse-view",), "Views are few: 30"),
    (
        narrow(parallel(), -75, 75),
        ("truncation",),
        "The body, or the table, goes on beside the detector in 100 % of the views",
    ),
    (narrow(fan(), -75, 75), ("truncation",), "goes on beside"),
    (narrow(fan(), -120, 120), ("truncation",), "goes on beside"),
    (narrow(fan(), -20, 110), ("truncation",), "goes on beside"),
    (narrow(parallel(), -20, 190), ("truncation",), "goes on beside"),
    (narrow(fan(140, 140), -75, 75), ("limited-angle", "truncation"), "goes on beside"),
    (parallel(12, 90), ("limited-angle", "sparse-view"), "Views are few: 12"),
]


@pytest.mark.parametrize(("scan", "found", "words"), INCOMPLETE, ids=name_of)
def test_what_a_scan_lacks_is_found_and_completed(scan, found, words):
    findings = found_in(scan)
    assert findings.found == found and findings.task == found[0]
    assert words in " ".join(findings.sentences())
    again = found_in(findings.completion.scan)
    assert again.found == ()
    if "truncation" in found and scan.offset_mm == 0:
        assert ray_distance_mm(findings.completion.scan)[[0, -1]].min() >= 256


@pytest.mark.parametrize("scan", [fan(), parallel(120, 120), parallel(20), narrow(fan(), -75, 75)], ids=name_of)
def test_metal_is_found_whatever_else_is_missing(scan):
    findings = found_in(scan, metal_mm=16.0)
    assert "metal" in findings.found and (findings.metal_mm2 > 0).tolist() == [False, True, False]
    assert findings.metal_mm2[1] == pytest.approx(16 * 16, rel=0.5)
    assert "Metal is in 1 of 3 slices" in " ".join(findings.sentences())


@pytest.mark.parametrize("n", [16, 30, 60])
def test_streaks_of_few_uneven_views_are_no_metal(n):
    whole = fan(508)
    few = replace(whole, angles_rad=tuple(np.array(whole.angles_rad)[np.arange(n) * 508 // n]))
    assert not found_in(few).metal_mm2.any()
    assert found_in(few, metal_mm=24.0).metal_mm2[1] == pytest.approx(24 * 24, rel=0.3)


def test_views_in_any_order_give_the_same_findings():
    scan = parallel(120, 120)
    y = make_projector(GRID, scan)(torch.from_numpy(body_mu(16.0))[:, None])[:, 0].numpy()
    order = np.random.default_rng(0).permutation(120)
    shuffled = replace(scan, angles_rad=tuple(np.array(scan.angles_rad)[order]))
    findings, again = find_in_rays(y, scan, MU, GRID), find_in_rays(y[:, order], shuffled, MU, GRID)
    assert again.sentences() == findings.sentences() and again.reason() == findings.reason()


def test_several_are_named_and_one_sets_the_search():
    findings = found_in(narrow(fan(140, 140), -75, 75), metal_mm=16.0)
    assert findings.found == ("limited-angle", "metal", "truncation")
    assert findings.reason() == (
        "The missing views are completed, the rays through metal are replaced and the rays beside the detector are "
        "completed. The search is set for limited-angle."
    )
    assert findings.asked_for("metal").task == "metal" and findings.asked_for(None).task == "limited-angle"


@pytest.mark.parametrize(
    ("scan", "task", "words"),
    [
        (fan(), "limited-angle", "the views cover the full turn, which is complete"),
        (parallel(), "sparse-view", "views are enough: 180"),
        (parallel(), "truncation", "the body ends before the detector does"),
        (parallel(120, 120), "metal", "no metal was found"),
    ],
    ids=["arc", "views", "ends", "metal"],
)
def test_a_task_that_the_scan_contradicts_is_refused(scan, task, words):
    with pytest.raises(InputError) as refusal:
        found_in(scan).asked_for(task)
    sentence = str(refusal.value)
    assert f"the task {task} was asked for" in sentence and words in sentence
    assert sentence.endswith(".") and sentence.count(". ") == 0


def test_another_energy_gives_the_same_findings():
    scan = narrow(parallel(), -75, 75)
    y = make_projector(GRID, scan)(torch.from_numpy(body_mu(16.0))[:, None])[:, 0].numpy()
    assert find_in_rays(1.3 * y, scan, 1.3 * MU, GRID).sentences() == find_in_rays(y, scan, MU, GRID).sentences()


def test_air_is_complete():
    y = np.zeros((1, *parallel().sinogram_shape), np.float32)
    assert find_in_rays(y, parallel(), MU, GRID).task is None
