import dataclasses
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from tests.io.dicom.phantom import NAME, write_ct, write_enhanced

import latentct
from latentct.errors import InputError
from latentct.io.dicom import find_series, read_series, write_series
from latentct.io.image import CTImage

WORDS = "Rays outside the field of measurement were synthesised."
REAL = Path(os.environ.get("LATENTCT_DATA", "missing")) / "dicom" / "totalseg_example"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or not find_spec("openjpeg"), reason="LATENTCT_DATA has no DICOM series, or no decoder is there"
)
needs_dciodvfy = pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy is not installed")


def headers(folder: Path, name: str = "image") -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob(f"{name}_*.dcm"))]


def tilted(ds, index):
    ds.ImageOrientationPatient = [1, 0, 0, 0, np.cos(0.3), -np.sin(0.3)]


def coronal(ds, index):
    ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    ds.ImagePositionPatient = [1.25, 3.0 * index, 9.5]


@pytest.mark.parametrize("change", [None, tilted, coronal], ids=["axial", "tilted", "coronal"])
def test_what_is_written_is_read_again_in_the_same_place(tmp_path, change):
    image = read_series(write_ct(tmp_path / "in", 5, change))
    write_series(image, tmp_path / "out", WORDS)
    again = read_series(tmp_path / "out")
    np.testing.assert_array_equal(again.x_hu, image.x_hu)
    np.testing.assert_allclose(again.affine_lps_mm, image.affine_lps_mm, atol=1e-6)
    kept, new = pydicom.dcmread(tmp_path / "in" / "005"), headers(tmp_path / "out")[0]
    np.testing.assert_allclose(new.ImageOrientationPatient, kept.ImageOrientationPatient, atol=1e-9)
    np.testing.assert_allclose(new.PixelSpacing, kept.PixelSpacing)
    assert (new.Rows, new.Columns, new.SliceThickness) == (kept.Rows, kept.Columns, kept.SliceThickness)


def test_the_header_tells_whose_image_it_is_and_what_was_done(tmp_path):
    source = [pydicom.dcmread(path) for path in sorted(write_ct(tmp_path / "in").iterdir(), reverse=True)]
    write_series(read_series(tmp_path / "in"), tmp_path / "out", WORDS)
    new = headers(tmp_path / "out")
    assert len({ds.SOPInstanceUID for ds in (*source, *new)}) == 10
    assert len({ds.SeriesInstanceUID for ds in new}) == 1 and new[0].SeriesInstanceUID != source[0].SeriesInstanceUID
    for old, ds in zip(source, new, strict=True):
        for key in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID", "KVP"):
            assert ds[key].value == old[key].value
        assert list(ds.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert ds.DerivationDescription == WORDS and not any(element.tag.is_private for element in ds)
    assert new[0].SeriesDescription == "Body latentct" and new[0].SeriesNumber == 1007
    equipment = new[0].ContributingEquipmentSequence[0]
    assert (equipment.Manufacturer, equipment.SoftwareVersions) == ("latentct", latentct.__version__)
    assert new[0].ContentDate >= "2025"


def test_codes_are_those_of_the_standard(tmp_path):
    write_series(read_series(write_ct(tmp_path / "in", 1)), tmp_path / "out", WORDS, synthesised=np.ones((1, 12, 10)))
    for name, code in (
        ("image", codes.DCM.FilteredBackProjection),
        ("synthesised", codes.DCM.PixelByPixelMask),
    ):
        (item,) = headers(tmp_path / "out", name)[0].DerivationCodeSequence
        assert (item.CodeValue, item.CodeMeaning) == (code.value, code.meaning)


def test_the_map_of_synthesised_pixels_is_a_series_apart_in_per_cent(tmp_path):
    image = read_series(write_ct(tmp_path / "in"))
    share = np.linspace(0, 1, image.x_hu.size).reshape(image.x_hu.shape)
    write_series(image, tmp_path / "out", WORDS, synthesised=share)
    assert [(one.kind, one.n_images) for one in find_series(tmp_path / "out")] == [("CT", 5), ("CT map", 5)]
    np.testing.assert_array_equal(read_series(tmp_path / "out").x_hu, image.x_hu)
    pairs = zip(headers(tmp_path / "out"), headers(tmp_path / "out", "synthesised"), share, strict=True)
    for image_ds, map_ds, wanted in pairs:
        assert map_ds.ImagePositionPatient == image_ds.ImagePositionPatient and map_ds.RescaleType == "PCT"
        np.testing.assert_allclose(map_ds.pixel_array / 100, wanted, atol=0.005 + 1e-9)


def test_hu_beyond_int16_fit_by_the_intercept(tmp_path):
    image = read_series(write_ct(tmp_path / "in", 2))
    x_hu = image.x_hu + np.float32(39000.4)
    write_series(dataclasses.replace(image, x_hu=x_hu), tmp_path / "out", WORDS)
    np.testing.assert_allclose(read_series(tmp_path / "out").x_hu, x_hu, atol=0.5)


def test_padding_is_written_as_padding(tmp_path):
    image = read_series(write_ct(tmp_path / "in", 2))
    padding = np.zeros(image.x_hu.shape, bool)
    padding[:, 0, :4] = True
    x_hu = np.where(padding, np.float32(-30000), image.x_hu)
    write_series(dataclasses.replace(image, x_hu=x_hu, padding=padding), tmp_path / "out", WORDS)
    again = read_series(tmp_path / "out")
    np.testing.assert_array_equal(again.padding, padding)
    np.testing.assert_array_equal(again.x_hu[~padding], x_hu[~padding])
    assert again.x_hu[padding].max() == -2000


def test_frames_of_an_enhanced_file_are_referenced(tmp_path):
    write_series(read_series(write_enhanced(tmp_path / "in" / "one", 4)), tmp_path / "out", WORDS)
    numbers = [ds.SourceImageSequence[0].ReferencedFrameNumber for ds in headers(tmp_path / "out")]
    assert numbers == [4, 3, 2, 1]


def test_a_larger_grid_keeps_its_own_place(tmp_path):
    image = read_series(write_ct(tmp_path / "in"))
    affine = image.affine_lps_mm.copy()
    affine[:3, 3] -= 2 * affine[:3, 1] + 3 * affine[:3, 2]
    wide = CTImage(np.pad(image.x_hu, ((0, 0), (2, 2), (3, 3))), affine, source=image.source)
    write_series(wide, tmp_path / "out", WORDS)
    again = read_series(tmp_path / "out")
    np.testing.assert_array_equal(again.x_hu, wide.x_hu)
    np.testing.assert_allclose(again.affine_lps_mm, affine, atol=1e-6)


def test_uids_that_an_anonymiser_emptied_are_made_anew(tmp_path):
    def change(ds, index):
        ds.SOPClassUID = ds.SOPInstanceUID = ds.StudyInstanceUID = ds.SeriesInstanceUID = ds.FrameOfReferenceUID = ""

    write_series(read_series(write_ct(tmp_path / "in", 3, change)), tmp_path / "out", WORDS)
    new = headers(tmp_path / "out")
    for key in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert len({ds[key].value for ds in new}) == 1 and new[0][key].value
    assert all(ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in new)


def test_an_existing_folder_is_kept_unless_it_may_be_overwritten(tmp_path):
    image = read_series(write_ct(tmp_path / "in", 2))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    with pytest.raises(InputError, match="exists already"):
        write_series(image, tmp_path / "out", WORDS)
    assert (tmp_path / "out" / "mine").read_text() == "kept"
    write_series(image, tmp_path / "out", WORDS, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["image_0001.dcm", "image_0002.dcm"]


def test_nothing_is_left_when_writing_stops(tmp_path, monkeypatch):
    image = read_series(write_ct(tmp_path / "in", 3))

    def stop(ds, path, **kwargs):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pydicom.Dataset, "save_as", stop)
    with pytest.raises(KeyboardInterrupt):
        write_series(image, tmp_path / "out", WORDS)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    image = read_series(write_ct(tmp_path / "in", 3))

    def full(ds, path, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pydicom.Dataset, "save_as", full)
    with pytest.raises(InputError, match="No space left"):
        write_series(image, tmp_path / "out", WORDS)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_an_image_from_elsewhere_is_refused(tmp_path):
    with pytest.raises(InputError, match="not read from DICOM"):
        write_series(CTImage(np.zeros((1, 2, 2), np.float32), np.eye(4)), tmp_path / "out", WORDS)
    assert not (tmp_path / "out").exists()


def dciodvfy_errors(path: Path) -> set[str]:
    lines = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, timeout=60).stderr.splitlines()
    return {line for line in lines if line.startswith("Error")}


@needs_dciodvfy
def test_dciodvfy_finds_no_error(tmp_path):
    image = read_series(write_ct(tmp_path / "in", 2))
    write_series(image, tmp_path / "out", WORDS, synthesised=np.zeros(image.x_hu.shape))
    assert [dciodvfy_errors(path) for path in sorted((tmp_path / "out").iterdir())] == [set()] * 4


@needs_real
def test_a_real_series_comes_back_the_same(tmp_path):
    image = read_series(REAL)
    assert image.x_hu.shape == (20, 512, 512) and image.spacing_mm == pytest.approx((2.0, 0.9765625, 0.9765625))
    write_series(image, tmp_path / "out", WORDS)
    again = read_series(tmp_path / "out")
    np.testing.assert_array_equal(again.x_hu, image.x_hu)
    np.testing.assert_allclose(again.affine_lps_mm, image.affine_lps_mm, atol=1e-3)


@needs_real
@needs_dciodvfy
def test_dciodvfy_finds_no_error_that_the_real_series_did_not_have(tmp_path):
    source = pydicom.dcmread(sorted(REAL.iterdir())[0])
    # Its anonymiser emptied these, without which dciodvfy does not look at the rest.
    for key in ("SOPClassUID", "SOPInstanceUID"):
        setattr(source, key, source.file_meta[f"MediaStorage{key}"].value)
    source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3", "1.2.4"
    source.save_as(tmp_path / "source")
    image = read_series(REAL)
    write_series(image, tmp_path / "out", WORDS, synthesised=np.zeros(image.x_hu.shape))
    allowed = dciodvfy_errors(tmp_path / "source")
    for path in (tmp_path / "out" / "image_0001.dcm", tmp_path / "out" / "synthesised_0020.dcm"):
        assert dciodvfy_errors(path) <= allowed


def test_no_name_is_shown_by_a_refusal_to_write(tmp_path, capfd):
    image = read_series(write_ct(tmp_path / "in", 2))
    write_series(image, tmp_path / "out", WORDS)
    shown = capfd.readouterr()
    assert NAME not in shown.out + shown.err
