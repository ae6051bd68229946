"""What is found in made-up images, and in real ones where there are any."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from latentct.findings import find, find_field
from latentct.geometry import Grid
from latentct.io.nifti import read_volume


@pytest.mark.parametrize(
    ("diameter_mm", "center_mm"), [(300.0, (0.0, 0.0)), (250.0, (7.3, -12.1)), (380.0, (0.0, 0.0)), (360.0, (20, 15))]
)
def test_field_is_found_to_a_pixel_also_where_it_leaves_the_image(grid, scene, diameter_mm, center_mm):
    field = find_field(scene((90, 100), diameter_mm, center_mm), grid)
    assert field is not None
    assert field.diameter_mm == pytest.approx(diameter_mm, abs=grid.spacing_mm[1])
    assert field.center_mm == pytest.approx(center_mm, abs=grid.spacing_mm[1])


def test_field_is_found_where_air_has_the_value_of_the_padding(grid, scene):
    x_hu = np.maximum(scene((90, 100), 300.0), -1000.0)
    field = find_field(x_hu, grid)
    assert field is not None and field.diameter_mm == pytest.approx(300, abs=2)


def test_field_follows_the_padding_of_the_file(grid, scene):
    x_hu = scene((90, 100), 300.0)
    padding = x_hu < -1500
    x_hu[padding] += np.arange(padding.sum()) % 7
    assert find_field(x_hu, grid) is None
    field = find_field(x_hu, grid, padding)
    assert field is not None and field.diameter_mm == pytest.approx(300, abs=2)


def test_square_image_and_body_cut_out_of_its_air_have_no_circular_field(grid, scene):
    assert find_field(scene((90, 100), 1000.0), grid) is None
    body_only = np.where(scene((90, 130), 1000.0) > -500, 0, -1000).astype(np.float32)
    assert find_field(body_only, grid) is None


def test_whole_body_asks_for_nothing(grid, scene):
    findings = find(scene((90, 130), 300.0), grid)
    assert findings.task is None
    assert not findings.cut.slices.any()
    assert findings.sentences() == (
        "The image measures 320 mm x 320 mm; its field of view is a circle of 300 mm.",
        "The body is whole in all slices.",
        "No metal was found.",
        "No table was found.",
    )


def test_cut_body_is_found_on_its_sides_with_its_length(grid, scene):
    x_hu = scene((90, 150), 250.0)
    x_hu[0] = scene((90, 100), 250.0)[0]
    findings = find(x_hu, grid)
    assert findings.task == "truncation"
    assert findings.cut.slices.tolist() == [False, True, True]
    assert findings.cut.sides == ("left", "right")
    y_mm = np.sqrt((1 - (125 / 150) ** 2) / (1 / 90**2 - 1 / 150**2))  # where the circle leaves the ellipse
    expected_mm = 4 * 125 * np.arcsin(y_mm / 125)
    assert findings.cut.length_mm[1].sum() == pytest.approx(expected_mm, rel=0.1)
    assert "2 of 3 slices (left and right)" in findings.sentences()[1]


def test_body_cut_by_the_border_is_found_on_one_side(grid, scene):
    findings = find(np.roll(scene((60, 100), 1000.0), 35, axis=2), grid)
    assert findings.cut.sides == ("left",)


def test_metal_comes_before_truncation_and_is_measured(grid, scene):
    x_hu = scene((90, 150), 250.0)
    x_hu[1, 80:85, 60:64] = 8000
    findings = find(x_hu, grid)
    assert findings.task == "metal"
    assert findings.metal.slices.tolist() == [False, True, False]
    assert findings.metal.area_mm2[1] == 20 * 4
    assert findings.metal.volume_mm3 == 20 * 4 * 4
    assert "cut too" in findings.reason()


@pytest.mark.parametrize(("hu", "pixels"), [(2000, 8), (2900, 1)])
def test_bone_and_single_bright_pixels_are_no_metal(grid, scene, hu, pixels):
    x_hu = scene((90, 100), 300.0)
    x_hu[1, 80, 60 : 60 + pixels] = hu
    assert find(x_hu, grid).task is None


@pytest.mark.parametrize(("row", "side"), [(135, "posterior"), (25, "anterior")])
def test_table_is_found_below_the_patient(grid, scene, row, side):
    x_hu = scene((90, 100), 300.0)
    x_hu[:, row : row + 2, 30:130] = -300
    assert find(x_hu, grid).table == side


def test_fine_pixels_give_the_same_findings(grid, scene):
    x_hu = scene((90, 150), 250.0)
    fine = find(np.repeat(np.repeat(x_hu, 3, axis=1), 3, axis=2), Grid((3, 480, 480), (4.0, 2 / 3, 2 / 3)))
    coarse = find(x_hu, grid)
    assert fine.cut.length_mm.sum(axis=1) == pytest.approx(coarse.cut.length_mm.sum(axis=1), rel=0.05)
    assert fine.field.diameter_mm == pytest.approx(coarse.field.diameter_mm, abs=2)


DATA = os.environ.get("LATENTCT_DATA", "")


@pytest.mark.skipif(not DATA, reason="LATENTCT_DATA names no folder of real volumes")
@pytest.mark.parametrize(
    ("volume", "every", "task", "diameter_mm"),
    [
        ("lidc_idri_0314_native", 11, "truncation", 500),
        ("acrin_flt_breast_001_b", 33, None, 500),
        ("cmb_crc_01068", 9, "metal", 461),
        ("hn_pt_158", 4, "metal", None),
    ],
)
def test_real_volumes(volume, every, task, diameter_mm):
    (entry,) = (v for v in json.loads(Path(DATA, "index.json").read_text())["volumes"] if v["id"] == volume)
    x_hu, affine = read_volume(Path(DATA) / entry["file"])
    x_hu = x_hu[::every]
    findings = find(x_hu, Grid(x_hu.shape, tuple(np.linalg.norm(affine[:3, :3], axis=0))))
    assert findings.task == task
    assert (findings.field and findings.field.diameter_mm) == (diameter_mm and pytest.approx(diameter_mm, abs=3))
