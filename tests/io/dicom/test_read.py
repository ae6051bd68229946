import os

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, RLELossless, SecondaryCaptureImageStorage
from tests.io.dicom.phantom import NAME, SHAPE, set_pixels, stored_values, write_ct, write_enhanced

from latentct.errors import InputError
from latentct.io.dicom import find_series, read_series
from latentct.io.dicom import pixels as pixels_module
from latentct.io.inputs import read_input


def expected_hu(n_slices: int = 5) -> np.ndarray:
    return np.stack([stored_values(index) for index in range(n_slices)]) - np.float32(1024)


def refusal(folder, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        read_series(folder, *args, **kwargs)
    message = str(caught.value)
    assert NAME not in message and "4711" not in message and "\n" not in message
    return message


def setting(**values):
    def change(ds: Dataset, index: int) -> None:
        for key, value in values.items():
            setattr(ds, key, value[index] if isinstance(value, tuple) else value)

    return change


def test_slices_are_sorted_by_position_and_placed_in_mm(tmp_path):
    image = read_series(write_ct(tmp_path))
    np.testing.assert_array_equal(image.x_hu, expected_hu())
    voxel = image.affine_lps_mm @ [2, 3, 4, 1]
    np.testing.assert_allclose(voxel[:3], [-10 + 4 * 0.7, -20 + 3 * 0.8, 30 + 2 * 2.5])
    assert image.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    assert image.padding is None and image.x_hu.dtype == np.float32
    assert NAME not in repr(image)


def test_other_files_and_odd_names_do_not_matter(tmp_path):
    write_ct(tmp_path / "ct")
    (tmp_path / "ct" / "001").rename(tmp_path / "ct" / os.fsdecode(b"caf\xe9.txt"))
    (tmp_path / "ct" / "notes.dcm").write_text("no DICOM")
    os.mkfifo(tmp_path / "ct" / "pipe")
    (tmp_path / "ct" / "loop").symlink_to(tmp_path / "ct")
    (tmp_path / "ct" / "nowhere").symlink_to("nothing")
    np.testing.assert_array_equal(read_series(tmp_path).x_hu, expected_hu())


def test_a_damaged_file_of_an_odd_name_is_named_in_text_that_can_be_printed(tmp_path):
    write_ct(tmp_path)
    (tmp_path / os.fsdecode(b"\xff")).write_bytes((tmp_path / "001").read_bytes()[:-100])
    refusal(tmp_path).encode("utf-8")


def test_several_series_are_listed_and_one_is_read_by_number_or_uid(tmp_path):
    write_ct(tmp_path, 5)
    write_ct(tmp_path, 3, setting(SeriesNumber=3), start=100)
    message = refusal(tmp_path)
    assert "several CT series" in message and "1: CT, 3 images of 12 x 10, series number 3; 2: CT, 5 images" in message
    assert len(read_series(tmp_path, 1).x_hu) == 3
    assert len(read_series(tmp_path, find_series(tmp_path)[1].uid).x_hu) == 5
    assert "no CT series of that number" in refusal(tmp_path, 9)


def test_localizers_and_other_objects_are_no_ct_series(tmp_path):
    write_ct(tmp_path / "a", 5)
    write_ct(tmp_path / "b", 1, setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    write_ct(tmp_path / "c", 2, setting(SOPClassUID=SecondaryCaptureImageStorage))
    write_ct(tmp_path / "d", 2, setting(RescaleType="PCT"))
    assert sorted(one.kind for one in find_series(tmp_path)) == ["CT", "CT map", "localizer", "not CT"]
    assert len(read_series(tmp_path).x_hu) == 5
    assert "no CT series but: 1: localizer" in refusal(tmp_path / "b")


def test_a_localizer_under_the_uid_of_its_series_is_left_out(tmp_path):
    image_types = (["ORIGINAL", "PRIMARY", "LOCALIZER"], *[["ORIGINAL", "PRIMARY", "AXIAL"]] * 5)
    write_ct(tmp_path, 6, lambda ds, index: setting(ImageType=image_types, SeriesInstanceUID="1.2.9")(ds, index))
    assert len(read_series(tmp_path).x_hu) == 5


def test_a_gap_is_refused_with_its_place(tmp_path):
    (write_ct(tmp_path, 6) / "003").unlink()  # of 006 ... 001
    message = refusal(tmp_path)
    assert "1 of 4 steps between its 5 slices differ from 2.500 mm" in message and "after slice 3" in message


@pytest.mark.parametrize(("shift_mm", "refused"), [(0.02, False), (0.2, True)])
def test_spacing_may_vary_by_one_per_cent(tmp_path, shift_mm, refused):
    positions = tuple([-10, -20, 2.5 * index + shift_mm * (index == 2)] for index in range(5))
    write_ct(tmp_path, 5, setting(ImagePositionPatient=positions))
    if refused:
        assert "not evenly spaced: 2 of 4" in refusal(tmp_path)
    else:
        assert read_series(tmp_path).spacing_mm[0] == pytest.approx(2.5)


def test_copies_of_a_slice_are_dropped_and_different_slices_at_one_place_refused(tmp_path):
    write_ct(tmp_path)
    (tmp_path / "copy").write_bytes((tmp_path / "002").read_bytes())
    np.testing.assert_array_equal(read_series(tmp_path).x_hu, expected_hu())
    ds = pydicom.dcmread(tmp_path / "copy")
    ds.RescaleIntercept = 5
    ds.save_as(tmp_path / "copy")
    assert "2 different slices at one position" in refusal(tmp_path)


def test_a_tilted_gantry_is_read_with_a_sheared_affine_and_reported(tmp_path):
    tilt = np.radians(20)
    write_ct(tmp_path, 5, setting(ImageOrientationPatient=[1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)]))
    image = read_series(tmp_path)
    np.testing.assert_array_equal(image.x_hu, expected_hu())
    assert image.source.tilt_deg == pytest.approx(20)
    voxel = image.affine_lps_mm @ [1, 3, 0, 1]
    np.testing.assert_allclose(voxel[:3], [-10, -20 + 2.4 * np.cos(tilt), 32.5 - 2.4 * np.sin(tilt)], atol=1e-9)


def test_an_oblique_series_is_refused(tmp_path):
    turn = np.radians(20)
    directions = [np.cos(turn), np.sin(turn), 0, -np.sin(turn), np.cos(turn), 0]
    assert "oblique: its slices stand 20.0 degrees" in refusal(
        write_ct(tmp_path, 5, setting(ImageOrientationPatient=directions))
    )


@pytest.mark.parametrize(
    ("directions", "step"),
    [([-1, 0, 0, 0, -1, 0], (0, 0, 2)), ([1, 0, 0, 0, 0, -1], (0, 2, 0)), ([0, 1, 0, 0, 0, -1], (-2, 0, 0))],
    ids=["prone", "coronal", "sagittal"],
)
def test_other_orientations_are_flipped_and_transposed_and_keep_their_place(tmp_path, directions, step):
    positions = tuple([5.0 + index * step[0], 6.0 + index * step[1], 7.0 + index * step[2]] for index in range(5))
    write_ct(tmp_path, 5, setting(ImageOrientationPatient=directions, ImagePositionPatient=positions))
    image = read_series(tmp_path)
    columns = image.affine_lps_mm[:3, :3]
    assert (np.abs(columns).argmax(axis=0) == [2, 1, 0]).all() and (columns.sum(axis=0) > 0).all()
    # The voxel where the stored pixel (row 3, column 4) of slice 2 lies holds its value.
    row, column = np.array(directions[:3]), np.array(directions[3:])
    place = np.array(positions[2]) + 4 * 0.7 * row + 3 * 0.8 * column
    index = np.rint(np.linalg.solve(columns, place - image.affine_lps_mm[:3, 3])).astype(int)
    assert image.x_hu[tuple(index)] == stored_values(2)[3, 4] - 1024


def test_each_slice_has_its_own_rescale(tmp_path):
    slopes, intercepts = (1, 2, 0.5, 1, 1), (0, -10, -20, -30, -40)
    image = read_series(write_ct(tmp_path, 5, setting(RescaleSlope=slopes, RescaleIntercept=intercepts)))
    wanted = [stored_values(index) * slopes[index] + intercepts[index] for index in range(5)]
    np.testing.assert_allclose(image.x_hu, wanted)


@pytest.mark.parametrize(
    ("dtype", "bits", "padding"),
    [(np.uint8, 8, 3), (np.uint16, 12, 3), (np.int16, 12, -2000), (np.int16, 16, -2000), (np.uint16, 16, 63536)],
)
def test_all_word_sizes_are_read_and_padding_is_marked(tmp_path, dtype, bits, padding):
    values = stored_values(0).astype(dtype)
    if np.issubdtype(dtype, np.signedinteger):
        values -= 60
    values[0, :3] = padding

    def change(ds, index):
        set_pixels(ds, values, bits)
        ds.add_new("PixelPaddingValue", "US", padding % 65536)  # as GE writes it for signed pixels too

    image = read_series(write_ct(tmp_path, 3, change))
    assert (image.padding == (values == padding)).all() and image.padding[0].sum() >= 3
    np.testing.assert_array_equal(image.x_hu[1], values.astype(np.float32) - 1024)


def test_a_range_of_padding_and_bits_above_the_stored_ones(tmp_path):
    def change(ds, index):
        set_pixels(ds, (stored_values(0) | 0x4000).astype(np.uint16), 12)
        ds.add_new("PixelPaddingValue", "US", 0x4000)
        ds.add_new("PixelPaddingRangeLimit", "US", 0x4002)

    image = read_series(write_ct(tmp_path, 3, change))
    np.testing.assert_array_equal(image.padding[0], stored_values(0) <= 2)
    np.testing.assert_array_equal(image.x_hu[0], stored_values(0) - 1024.0)


def test_an_enhanced_file_is_read_frame_by_frame(tmp_path):
    image = read_series(write_enhanced(tmp_path / "one", 4))
    wanted = [stored_values(frame) - (1000.0 + frame) for frame in (3, 2, 1, 0)]
    np.testing.assert_array_equal(image.x_hu, wanted)
    assert image.affine_lps_mm[2, 3] == pytest.approx(22.5)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_series_equal_plain_ones(tmp_path, syntax):
    pytest.importorskip("openjpeg")
    values = np.arange(64 * 48).reshape(64, 48).astype(np.int16)

    def change(ds, index):
        set_pixels(ds, values + index)
        ds.compress(syntax, generate_instance_uid=False)

    wanted = np.stack([values, values + 1, values + 2]) - np.float32(1024)
    np.testing.assert_array_equal(read_series(write_ct(tmp_path, 3, change)).x_hu, wanted)


def test_jpeg_ls_is_decoded(tmp_path):
    pytest.importorskip("libjpeg")
    compressed = pydicom.dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False))
    plain = pydicom.dcmread(get_testdata_file("MR_small_RLE.dcm", download=False)).pixel_array

    def change(ds, index):
        set_pixels(ds, plain)
        ds.BitsStored, ds.HighBit = compressed.BitsStored, compressed.HighBit
        ds.file_meta.TransferSyntaxUID = compressed.file_meta.TransferSyntaxUID
        ds["PixelData"] = compressed["PixelData"]

    np.testing.assert_array_equal(read_series(write_ct(tmp_path, 1, change)).x_hu[0], plain - np.float32(1024))


def test_a_missing_decoder_is_named_with_what_installs_it(tmp_path, monkeypatch):
    class Missing:
        is_available = False

    write_ct(tmp_path, 1, lambda ds, index: ds.compress(RLELossless, generate_instance_uid=False))
    monkeypatch.setattr(pixels_module, "get_decoder", lambda syntax: Missing())
    assert "RLE Lossless" in refusal(tmp_path) and "latentct[dicom-jpeg]" in refusal(tmp_path)


def test_the_size_is_refused_before_pixels_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels_module, "pixel_array", lambda *args, **kwargs: pytest.fail("pixels were decoded"))
    write_ct(tmp_path, 5, setting(Rows=65535, Columns=65535))
    assert "200.0 GiB for 5 slices" in refusal(tmp_path)
    write_ct(tmp_path / "small", 5)
    assert "are allowed" in refusal(tmp_path / "small", limit_bytes=10 * SHAPE[0] * SHAPE[1] * 5 - 1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, "not MONOCHROME2"),
        ({"Rows": 0}, "at least one"),
        ({"PixelSpacing": [0.0, 1.0]}, "must be above 0"),
        ({"PixelSpacing": [-1.0, 1.0]}, "must be above 0"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "unit vectors"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "unit vectors"),
        ({"RescaleSlope": 0}, "RescaleSlope of 0"),
        ({"RescaleSlope": None}, "no valid RescaleSlope"),
        ({"ImagePositionPatient": [1, 2]}, "no valid ImagePositionPatient"),
        ({"HighBit": 12}, "up to bit 12"),
        ({"BitsAllocated": 32}, "32 bits"),
    ],
)
def test_headers_without_sense_are_refused(tmp_path, values, words):
    assert words in refusal(write_ct(tmp_path, 3, setting(**values)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"PixelSpacing": ([1, 1], [1, 1], [2, 2])}, "different pixel spacings"),
        ({"ImageOrientationPatient": ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1])}, "orientations"),
    ],
)
def test_mixed_slices_are_refused(tmp_path, values, words):
    assert words in refusal(write_ct(tmp_path, 3, setting(**values)))


def test_a_truncated_slice_is_refused(tmp_path):
    write_ct(tmp_path, 3)
    whole = (tmp_path / "002").read_bytes()
    (tmp_path / "002").write_bytes(whole[:-100])
    assert "pixels cannot be decoded" in refusal(tmp_path)


def test_nothing_to_read_is_refused(tmp_path):
    assert "no DICOM file" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "missing")


def test_one_slice_takes_its_thickness_as_spacing(tmp_path):
    assert read_series(write_ct(tmp_path, 1)).spacing_mm[0] == pytest.approx(2.5)


def test_a_listed_series_is_read_without_reading_its_headers_again(tmp_path, monkeypatch):
    write_ct(tmp_path / "a")
    first, second = find_series(write_ct(tmp_path / "b", n_slices=3).parent)
    monkeypatch.setattr("latentct.io.dicom.series.read_header", None)
    assert {len(read_series(one).x_hu) for one in (first, second)} == {3, 5}
    assert len(read_input(first).x_hu) == first.n_images
