"""Scores of images whose differences are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from latentct.correction.body import body_mask
from latentct.errors import InputError
from latentct.geometry import Grid, ParallelBeam
from latentct.geometry.masks import field_of_measurement_mask
from latentct.io.nifti import write_volume
from latentct.io.projections import Projections, write_projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.workflow.evaluate import evaluate
from latentct.workflow.evaluate_images import image_hash, read_image

from .images import GRID, body_hu, body_image

RANGE = (-1000.0, 1000.0)


def shifted(change: np.ndarray):
    image = body_image()
    return replace(image, x_hu=(image.x_hu + change).astype(np.float32))


def test_an_offset_is_bias_and_error_alike():
    offset_hu = np.array([10.0, 20, 30, 40, 50])[:, None, None]
    found = evaluate(shifted(offset_hu), body_image(), hu_range=RANGE)
    of = found.summary()["body"]
    for metric in ("mae_hu", "rmse_hu", "bias_hu"):
        assert of[metric]["mean"] == pytest.approx(30, abs=0.01) and of[metric]["n_slices"] == 5
        assert of[metric]["sd"] == pytest.approx(np.std([10, 20, 30, 40, 50], ddof=1), abs=0.01)
        low, high = of[metric]["ci95"]
        assert 10 <= low < 30 < high <= 50
    assert found.largest_hu["body"] == pytest.approx(50, abs=0.01)
    assert found.slices["body"]["psnr"][0] == pytest.approx(20 * math.log10(2000 / 10), abs=0.05)


def test_regions_count_their_own_pixels():
    inside, body = field_of_measurement_mask(GRID, 120.0), body_mask(body_hu(), GRID.spacing_mm[1:])
    result = shifted(np.where(inside, -5.0, 100.0))
    found = evaluate(result, body_image(), hu_range=RANGE, field_mm=120.0)
    of = {name: scores["bias_hu"]["mean"] for name, scores in found.summary().items()}
    assert of["body inside field"] == pytest.approx(-5, abs=0.01)
    assert of["body outside field"] == pytest.approx(100, abs=0.01)
    share = (body & inside).sum() / body.sum()
    assert of["body"] == pytest.approx(-5 * share + 100 * (1 - share), abs=0.1)
    everything = evaluate(result, body_image(), hu_range=RANGE, region="all")
    assert everything.summary()["all"]["bias_hu"]["mean"] == pytest.approx(
        -5 * inside.mean() + 100 * (~inside).mean(), abs=0.1
    )
    field = evaluate(result, body_image(), hu_range=RANGE, region="field", field_mm=120.0)
    assert list(field.slices) == ["field"] and field.largest_hu["field"] == pytest.approx(5, abs=0.01)


def test_only_psnr_and_ssim_are_clipped_to_the_range():
    narrow = evaluate(shifted(np.array(500.0)), body_image(), hu_range=(-1000.0, 0.0))
    of = narrow.summary()["body"]
    assert of["mae_hu"]["mean"] == pytest.approx(500, abs=0.01)
    assert of["psnr"]["mean"] > 20 * math.log10(1000 / 500) + 1


def test_padding_is_counted_nowhere():
    padding = ~np.broadcast_to(field_of_measurement_mask(GRID, 120.0), GRID.shape)
    result = replace(shifted(np.where(padding, -3000.0, 0.0)), padding=padding)
    found = evaluate(result, body_image(), hu_range=RANGE, field_mm=120.0)
    assert found.n_padding == padding.sum() and found.largest_hu["body"] == 0
    outside = found.summary()["body outside field"]["mae_hu"]
    assert math.isnan(outside["mean"]) and outside["n_slices"] == 0
    turned = evaluate(body_image(), result, hu_range=RANGE, field_mm=120.0)
    assert turned.n_padding == padding.sum() and turned.largest_hu["body"] == 0


def test_the_file_holds_numbers_and_hashes_only():
    image = body_image()
    found = evaluate(image, image, hu_range=RANGE, field_mm=120.0).as_json()
    text = json.dumps(found, allow_nan=False)
    assert found["regions"]["body"]["psnr"]["mean"] is None and found["regions"]["body"]["mae_hu"]["mean"] == 0
    assert found["images"]["sha256"] == {"result": image_hash(image), "reference": image_hash(image)}
    assert "one patient" in found["about"] and found["psnr_ssim_range_hu"] == RANGE
    assert len(found["slices"]["body"]["ssim"]) == GRID.shape[0]
    assert "/" not in text
    assert image_hash(image) != image_hash(shifted(np.array(1.0)))


def test_images_of_other_voxels_are_refused():
    image = body_image()
    moved = image.affine_lps_mm.copy()
    moved[0, 3] += 0.002
    stretched = image.affine_lps_mm.copy()
    stretched[0, 2] *= 1.0001
    for affine in (moved, stretched):
        with pytest.raises(InputError, match=r"mm apart, but 0\.001 mm are allowed"):
            evaluate(replace(image, affine_lps_mm=affine), image, hu_range=RANGE)
    within = image.affine_lps_mm.copy()
    within[1, 3] += 0.0005
    evaluate(replace(image, affine_lps_mm=within), image, hu_range=RANGE)
    with pytest.raises(InputError, match="5 x 64 x 72 voxels and REFERENCE 6 x 64 x 72"):
        evaluate(image, body_image(Grid((6, 64, 72), GRID.spacing_mm)), hu_range=RANGE)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hu_range": (1000.0, -1000.0)}, "--range"),
        ({"hu_range": (-math.inf, 1000.0)}, "--range"),
        ({"region": "lung"}, "choose one of body, all, field"),
        ({"region": "field"}, "needs --field-mm"),
        ({"field_mm": 0.0}, "--field-mm is 0"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        evaluate(body_image(), body_image(), **{"hu_range": RANGE} | settings)


def test_of_a_folder_of_results_the_image_is_taken(tmp_path):
    image = body_image()
    (tmp_path / "correction.json").write_text("{}")
    with pytest.raises(InputError, match="run `latentct correct` again"):
        read_image(tmp_path)
    write_volume(tmp_path / "image.nii.gz", image.x_hu, image.affine_lps_mm)
    np.testing.assert_allclose(read_image(tmp_path).x_hu, image.x_hu, atol=0.51)


def test_projections_are_no_image(tmp_path):
    scan = ParallelBeam.equally_spaced(4, math.pi, 5, 4.0)
    write_projections(tmp_path / "y.npz", Projections(np.zeros((1, 4, 5), np.float32), ScanGeometry(scan, 0.02)))
    with pytest.raises(InputError, match="run `latentct reconstruct` on it first"):
        read_image(tmp_path / "y.npz")
