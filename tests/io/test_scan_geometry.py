import dataclasses
import math

import pytest
import yaml

from latentct.errors import InputError
from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam
from latentct.io.scan_geometry import ScanGeometry, read_geometry, write_geometry

CIRCLE = {
    "detector_shape": [6, 8],
    "mu_water": 0.02,
    "circle": {"angles_deg": [0, 90], "sod_mm": 800, "sdd_mm": 1200, "pixel_mm": [60, 80], "offset_mm": [3, -4]},
}
SCAN = ConeBeam((0.0, math.pi / 2), (6, 8), (60.0, 80.0), 800.0, 1200.0, (3.0, -4.0))


def read(content) -> ScanGeometry:
    return read_geometry(yaml.safe_dump(content), "geometry.yaml")


def vectors_of(scan: ConeBeam) -> list[dict]:
    content = yaml.safe_load(write_geometry(ScanGeometry(scan.vectors(), 0.02)))
    return content["vectors"]


def changed(**entries) -> dict:
    return {**CIRCLE, **entries}


def changed_circle(**entries) -> dict:
    return changed(circle={**CIRCLE["circle"], **entries})


def test_a_circle_in_degrees_and_mm():
    assert read(CIRCLE) == ScanGeometry(SCAN, mu_water=0.02)


def test_offset_and_isocentre_may_be_left_out():
    circle = {key: value for key, value in CIRCLE["circle"].items() if key != "offset_mm"}
    assert read(changed(circle=circle)).scan == dataclasses.replace(SCAN, offset_mm=(0.0, 0.0))
    assert read(changed(isocenter_mm=[1, 2, 3])).isocenter_mm == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("scan", [SCAN, SCAN.vectors()], ids=["circle", "vectors"])
@pytest.mark.parametrize("i0", [None, 1000.0])
def test_what_is_written_is_read_back(scan, i0):
    geometry = ScanGeometry(scan, 0.021, i0, (1.0, -2.0, 3.5))
    assert read_geometry(write_geometry(geometry), "x") == geometry


FAN = FanBeam.equally_spaced(1000, 2 * math.pi, 736, 1.2858, 595.0, 1085.6, 0.3, curved=True)
PLANE_SCANS = [ParallelBeam.equally_spaced(360, math.pi, 400, 2.0, 0.7), FAN, dataclasses.replace(FAN, curved=False)]
IMAGE = Grid((300, 200), (0.7, 1.1))


@pytest.mark.parametrize("scan", PLANE_SCANS, ids=["parallel", "curved", "flat"])
@pytest.mark.parametrize("image", [None, IMAGE], ids=["", "image"])
def test_scans_of_slices_are_read_back_to_the_last_bit(scan, image):
    geometry = ScanGeometry(scan, 0.021, None, (1.0, -2.0, 3.5), 0.625, image)
    assert read_geometry(write_geometry(geometry), "x") == geometry


def test_that_rays_were_simulated_is_kept():
    assert not read(changed()).simulated and "simulated" not in write_geometry(read(changed()))
    assert read_geometry(write_geometry(read(changed(simulated=True))), "x").simulated


def test_angles_that_degrees_would_round_are_kept_in_rad():
    angles_rad = tuple(math.pi * i / 997 for i in range(997))
    assert any(math.radians(math.degrees(t)) != t for t in angles_rad)
    for scan in (dataclasses.replace(SCAN, angles_rad=angles_rad), ParallelBeam(angles_rad, 4, 1.0)):
        assert read_geometry(write_geometry(ScanGeometry(scan, 0.02)), "x").scan == scan


def test_a_parallel_beam_in_degrees():
    content = {"mu_water": 0.02, "parallel": {"angles_deg": [0, 90], "bins": 6, "bin_mm": 2}}
    assert read(content) == ScanGeometry(ParallelBeam((0.0, math.pi / 2), 6, 2.0), 0.02)


def fan(**entries) -> dict:
    section = {"angles_deg": [0, 90], "bins": 6, "bin_mm": 2, "sod_mm": 500, "sdd_mm": 900}
    return {"mu_water": 0.02, "fan": section | entries}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (fan(sdd_mm=501, sod_mm=502), "sdd_mm 501, not more than sod_mm 502"),
        (fan(bins=3000, curved=True), "rays 191 degrees"),
        (fan(bins=1), r"\$\.fan\.bins"),
        (fan(bins=10**9), r"\$\.fan\.bins"),
        (fan(angles_rad=[0, 1]), r"\$\.fan: the keys do not go together"),
        (fan(bin_mm=10**400), r"\$\.fan\.bin_mm"),
        (fan(angles_deg=[0, 10**400]), "not finite or too large"),
        (fan(image={"shape": [8, 300], "spacing_mm": [1, 1]}), r"\$\.fan\.image\.shape\[0\]"),
        (fan() | {"detector_shape": [6, 8]}, "the keys do not go together"),
        ("a: &a [1]\nb: *a", r"aliases, '\*name', are not read"),
        ("[" * 200000, "is no YAML .more than 20 levels"),
        ("- " * 100000, "is no YAML .more than 20 levels"),
        ("mu_water: 2020-99-99", "is no YAML"),
    ],
)
def test_a_bad_scan_of_slices_gets_one_sentence(content, words):
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    with pytest.raises(InputError, match=words) as refusal:
        read_geometry(text, "dir/geometry.yaml")
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


@pytest.mark.parametrize("text", ["mu_water: DOE^JANE", "{DOE^JANE", "mu_water: 0.02\nfan: {bins: DOE^JANE}"])
def test_what_stands_in_a_file_is_not_repeated(text):
    with pytest.raises(InputError) as refusal:
        read_geometry(text, "geometry.yaml")
    assert "DOE" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("circle: [", "is no YAML"),
        ("just text", "breaks the schema"),
        ({"detector_shape": [6, 8], "mu_water": 0.02}, "none of the sections"),
        (changed(vectors=[]), "circle and vectors of the sections"),
        (changed(mu_water="0.02"), r"\$\.mu_water"),
        (changed(mu_water=0.2), r"\$\.mu_water"),
        (changed(detector_shape=[6]), r"\$\.detector_shape"),
        (changed(distance=3), "'distance'"),
        (changed_circle(angles_deg=[]), r"\$\.circle\.angles_deg"),
        (changed_circle(sod_mm=-5), r"\$\.circle\.sod_mm"),
        (changed_circle(angles_deg=[0, math.nan]), "not finite"),
        (changed_circle(sod_mm=1200), "sdd_mm 1200, not more than sod_mm 1200"),
        (changed(quantity="intensities"), "i0"),
        (changed(i0=5.0), "i0"),
    ],
)
def test_a_bad_file_gets_one_sentence_with_its_name(content, words):
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    with pytest.raises(InputError, match=words) as refusal:
        read_geometry(text, "dir/geometry.yaml")
    assert "geometry dir/geometry.yaml" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_distance_is_named():
    circle = {key: value for key, value in CIRCLE["circle"].items() if key != "sdd_mm"}
    with pytest.raises(InputError, match="'sdd_mm' is a required property"):
        read(changed(circle=circle))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"u_mm": [0, 0, 5]}, "parallel u_mm and v_mm in view 1"),
        ({"detector_mm": [400, 0, 0]}, "isocentre of view 1 not between"),
        ({"source_mm": [-900, 0, 0]}, "isocentre of view 1 not between"),
    ],
)
def test_a_panel_without_area_or_before_the_patient_is_refused(entry, words):
    views = vectors_of(SCAN)
    assert views[1]["source_mm"][0] == pytest.approx(800)  # the panel is at x = -400
    views[1] |= entry
    content = {"detector_shape": [6, 8], "mu_water": 0.02, "vectors": views}
    with pytest.raises(InputError, match=words):
        read(content)
