"""A scan from plan to folder: what is planned, kept over an interruption, left alone and written."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from latentct.errors import InputError
from latentct.geometry import FanBeam, Grid
from latentct.io.image import CTImage
from latentct.io.nifti import read_volume
from latentct.io.projections import Projections, read_projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.workflow import correct as module
from latentct.workflow.completed_image import CompletedImage
from latentct.workflow.correct import correct_scan
from latentct.workflow.metal_image import MetalReducedImage
from latentct.workflow.parts import parts_of
from latentct.workflow.plan import make_plan
from latentct.workflow.simulate_image import cut_image

from .images import body_image, fail_at

SLICES = Grid((5, 40, 46), (5.0, 7.5, 7.5))


def silent(parts):
    return parts


@pytest.fixture(scope="module")
def cut() -> CTImage:
    return cut_image(body_image(SLICES), 180.0)


@pytest.fixture
def in_twos(monkeypatch):
    """Two slices a part; notes which were corrected."""
    corrected = []
    real = CompletedImage.correct

    def correct(self, slices):
        corrected.append((slices.start, slices.stop))
        return real(self, slices)

    monkeypatch.setattr(CompletedImage, "correct", correct)
    monkeypatch.setattr(module, "parts_of", lambda n, _wave: parts_of(n, 2))
    return corrected


def files(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_image_becomes_a_folder_that_says_what_is_in_it(cut, hasty, tmp_path):
    plan = make_plan(cut, None)
    assert plan.task == "truncation" and plan.bundle == "lsr_truncation"
    outcome = correct_scan(plan, hasty, tmp_path / "out", silent)
    assert files(tmp_path) == [
        f"out/{n}" for n in ("correction.json", "image.nii.gz", "report.html", "synthesised.nii.gz")
    ]
    x_hu, affine_lps_mm = read_volume(tmp_path / "out" / "image.nii.gz")
    np.testing.assert_allclose(affine_lps_mm, cut.affine_lps_mm, atol=1e-3)
    np.testing.assert_array_equal(x_hu[~cut.padding], np.rint(cut.x_hu[~cut.padding]))
    percent, _ = read_volume(tmp_path / "out" / "synthesised.nii.gz")
    np.testing.assert_array_equal(percent, 100 * cut.padding)
    summary = json.loads((tmp_path / "out" / "correction.json").read_text())
    assert summary["figures"] == outcome.figures and summary["left_as_they_were"] == {}
    assert summary["figures"]["measured_voxels_largest_change_hu"] == 0
    assert summary["model"] == hasty.model and len(summary["input_sha256"]) == 64
    assert "Virtual" in summary["geometry"]["Scan"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert outcome.statement in page and summary["input_sha256"] in page
    assert str(tmp_path) not in page + json.dumps(summary)


def test_an_interrupted_correction_goes_on_and_ends_alike(cut, hasty, tmp_path, in_twos):
    plan = make_plan(cut, None)
    whole = correct_scan(plan, hasty, tmp_path / "whole", silent, report=False)
    assert in_twos == [(0, 2), (2, 4), (4, 5)]
    in_twos.clear()

    def interrupted(parts):
        yield parts[0]
        yield parts[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        correct_scan(plan, hasty, tmp_path / "out", interrupted)
    assert not (tmp_path / "out").exists()
    again = correct_scan(plan, hasty, tmp_path / "out", silent, report=False)
    assert in_twos == [(0, 2), (2, 4), (4, 5)]
    np.testing.assert_array_equal(again.after.x_hu, whole.after.x_hu)
    np.testing.assert_array_equal(again.convergence.objective, whole.convergence.objective)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_other_input_does_not_take_over_what_is_kept(cut, hasty, tmp_path, in_twos):
    def interrupted(parts):
        yield parts[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        correct_scan(make_plan(cut, None), hasty, tmp_path / "out", interrupted)
    in_twos.clear()
    brighter = CTImage(cut.x_hu + 10, cut.affine_lps_mm, cut.padding)
    correct_scan(make_plan(brighter, None), hasty, tmp_path / "out", silent, report=False)
    assert in_twos == [(0, 2), (2, 4), (4, 5)]


def test_a_slice_that_cannot_be_corrected_is_left_and_said(cut, hasty, tmp_path, monkeypatch):
    fail_at(monkeypatch, CompletedImage, 3, "slice of stone.")
    outcome = correct_scan(make_plan(cut, None), hasty, tmp_path / "out", silent)
    assert outcome.failed == {3: "slice of stone."}
    assert outcome.figures["slices_left_as_they_were"] == 1
    assert not outcome.synthesised[3].any()
    outside = cut.padding[0]
    assert (outcome.after.x_hu[3][outside] == -1000).all() and (outcome.after.x_hu[2][outside] > -900).any()
    assert json.loads((tmp_path / "out" / "correction.json").read_text())["left_as_they_were"] == {
        "4": "slice of stone."
    }
    assert "Slice 4 was left as it is: slice of stone." in (tmp_path / "out" / "report.html").read_text(
        encoding="utf-8"
    )


def test_where_no_slice_was_searched_no_rays_are_shown(hasty, tmp_path, monkeypatch):
    image = body_image(SLICES)
    image.x_hu[2, 15:18, 20:23] = 9000.0
    plan = make_plan(image, None)
    assert plan.task == "metal"
    fail_at(monkeypatch, MetalReducedImage, 2, "all rays meet metal.")
    outcome = correct_scan(plan, hasty, tmp_path / "out", silent)
    assert list(outcome.failed) == [2]
    assert outcome.sinogram is None and outcome.convergence is None
    np.testing.assert_array_equal(outcome.after.x_hu, image.x_hu)


def test_a_scan_of_which_nothing_can_be_corrected_is_refused(cut, hasty, tmp_path, monkeypatch):
    def correct(self, slices):
        raise InputError("all stone.")

    monkeypatch.setattr(CompletedImage, "correct", correct)
    with pytest.raises(InputError, match="all stone"):
        correct_scan(make_plan(cut, None), hasty, tmp_path / "out", silent)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def narrow() -> Projections:
    """Three slices of which the detector sees 150 mm."""
    import torch

    from latentct.projectors import make_projector
    from latentct.units import MU_WATER_70KEV, hu_to_mu

    grid = Grid(SLICES.shape[1:], SLICES.spacing_mm[1:])
    scan = FanBeam.equally_spaced(240, 2 * np.pi, 36, 8.0, 595.0, 1085.6, curved=True)
    x_hu = torch.from_numpy(body_image(SLICES).x_hu[1:4])[:, None]
    y = make_projector(grid, scan)(hu_to_mu(x_hu, MU_WATER_70KEV))[:, 0].numpy()
    return Projections(y, ScanGeometry(scan, MU_WATER_70KEV, image=grid, slice_mm=5.0))


def test_projections_become_an_image_and_complete_projections(narrow, prior, tmp_path):
    plan = make_plan(narrow, None)
    assert plan.task == "truncation"
    outcome = correct_scan(plan, prior, tmp_path / "out", silent)
    completed = read_projections(tmp_path / "out" / "projections.npz")
    extra = completed.geometry.scan.n_bins - 36
    assert extra > 0 and extra % 2 == 0
    np.testing.assert_array_equal(completed.y[..., extra // 2 : -extra // 2], narrow.y)
    x_hu, _ = read_volume(tmp_path / "out" / "image.nii.gz")
    truth = body_image(SLICES).x_hu[1:4]
    error, at_first = (np.abs(image - truth).mean() for image in (x_hu, outcome.before.x_hu))
    assert error < 0.8 * at_first
    assert dict(outcome.geometry)["Scan"] == "As measured"
    assert 20 < outcome.figures["synthesised_rays_percent"] < 80


def test_the_spread_of_further_searches_is_written(narrow, hasty, tmp_path):
    method = copy.copy(hasty.method)
    method.inferer = copy.copy(method.inferer)
    method.inferer.n_samples = 2
    outcome = correct_scan(make_plan(narrow, None), replace(hasty, method=method), tmp_path / "out", silent)
    spread_hu, _ = read_volume(tmp_path / "out" / "uncertainty.nii.gz")
    assert spread_hu.shape == outcome.after.x_hu.shape and spread_hu.max() > 10
    middle = spread_hu[:, 18:22, 21:25]
    assert middle.mean() < 0.5 * spread_hu.mean()
    assert "Uncertainty" in dict(outcome.method)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("metal", "no metal was found"),
        ("limited-angle", "needs the projections"),
        ("sparse-view", "needs the projections"),
    ],
)
def test_a_task_that_the_image_contradicts_is_refused(cut, task, words):
    with pytest.raises(InputError, match=words):
        make_plan(cut, task)


def test_a_whole_body_needs_nothing():
    plan = make_plan(body_image(SLICES), None)
    assert plan.task is None and "nothing to correct" in plan.sentences[-1]
    with pytest.raises(InputError, match="whole in all slices"):
        make_plan(body_image(SLICES), "truncation")


def test_what_this_machine_has_no_memory_for_is_refused_before_any_work(cut, hasty, tmp_path, monkeypatch):
    plan = make_plan(cut, None)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 900_000_000}))
    with pytest.raises(InputError, match=r"correcting the scan takes 1\.0 GB where 0\.9 GB"):
        correct_scan(plan, hasty, tmp_path / "out", silent)
    assert list(tmp_path.iterdir()) == []
