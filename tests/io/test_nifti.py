import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.io.nifti import grid_affine_lps_mm, has_nifti_suffix, nifti_bytes, read_info, read_volume, write_volume


def test_what_is_written_is_read_back(tmp_path, small_x_hu, affine_lps_mm):
    path = tmp_path / "new" / "x.nii.gz"
    write_volume(path, small_x_hu, affine_lps_mm)
    x_hu, affine = read_volume(path)
    assert x_hu.dtype == np.float32
    assert_array_equal(x_hu, small_x_hu)
    assert_allclose(affine, affine_lps_mm)


def test_file_holds_int16_with_the_nifti_world_being_ras(tmp_path, small_x_hu, affine_lps_mm):
    write_volume(tmp_path / "x.nii", small_x_hu, affine_lps_mm)
    image = nib.load(tmp_path / "x.nii")
    assert image.get_data_dtype() == np.int16
    assert image.header.get_xyzt_units()[0] == "mm"
    stored = np.asarray(image.dataobj)
    z, y, x = 2, 1, 4
    left, posterior, superior = (affine_lps_mm @ (z, y, x, 1.0))[:3]
    i, j, k = np.rint(np.linalg.inv(image.affine) @ (-left, -posterior, superior, 1.0))[:3].astype(int)
    assert stored[i, j, k] == small_x_hu[z, y, x]


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SPL", "ALI"])
def test_any_stored_orientation_gives_the_same_volume(tmp_path, small_x_hu, affine_lps_mm, codes):
    write_volume(tmp_path / "x.nii", small_x_hu, affine_lps_mm)
    image = nib.load(tmp_path / "x.nii")
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(tuple(codes))
    )
    nib.save(image.as_reoriented(turn), tmp_path / "turned.nii")
    x_hu, affine = read_volume(tmp_path / "turned.nii")
    assert_array_equal(x_hu, small_x_hu)
    assert_allclose(affine, affine_lps_mm)
    info = read_info(tmp_path / "turned.nii")
    assert info.shape == (3, 4, 6)
    assert info.spacing_mm == (2.5, 1.5, 0.75)


def test_values_beyond_int16_are_clipped_and_others_rounded(tmp_path, affine_lps_mm):
    write_volume(tmp_path / "x.nii", np.array([[[1e6, -1e6, 1.6]]]), affine_lps_mm)
    assert_array_equal(read_volume(tmp_path / "x.nii")[0], [[[32767, -32768, 2]]])


def test_trailing_axes_of_length_one_are_dropped(tmp_path, small_x_hu):
    nib.save(nib.Nifti1Image(small_x_hu.T[..., None], np.diag([-0.75, -1.5, 2.5, 1])), tmp_path / "x.nii")
    assert_array_equal(read_volume(tmp_path / "x.nii")[0], small_x_hu)
    assert read_info(tmp_path / "x.nii").shape == (3, 4, 6)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4, 2)])
def test_other_than_one_volume_is_refused(tmp_path, shape):
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(InputError, match=r"x\.nii has shape .* one 3-D volume is expected"):
        read_volume(tmp_path / "x.nii")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, bad):
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), bad, np.float32), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(InputError, match=r"x\.nii holds values that are not finite"):
        read_volume(tmp_path / "x.nii")


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.nii does not exist"):
        read_info(tmp_path / "none.nii")
    (tmp_path / "text.nii").write_text("not a volume")
    (tmp_path / "text.nii.gz").write_text("not a volume")
    for name in ("text.nii", "text.nii.gz"):
        with pytest.raises(InputError, match=r"cannot be read as NIfTI"):
            read_info(tmp_path / name)


def test_suffixes():
    assert has_nifti_suffix("a.nii") and has_nifti_suffix("b.NII.GZ")
    assert not has_nifti_suffix("a.nii.txt")


def test_affine_of_a_grid_puts_its_middle_at_the_isocentre():
    grid = Grid((5, 4, 3), (4.0, 7.0, 6.0), center_mm=(0.0, 1.0, 0.0))
    affine = grid_affine_lps_mm(grid, isocenter_mm=(10.0, 20.0, 30.0))
    assert_allclose(affine @ (2.0, 1.5, 1.0, 1.0), (10.0, 21.0, 30.0, 1.0))
    assert_allclose(affine @ (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 4.0, 0.0))
    assert_allclose(affine @ (0.0, 0.0, 1.0, 0.0), (6.0, 0.0, 0.0, 0.0))


def test_the_bytes_are_those_of_a_file_and_the_same_each_time(tmp_path, small_x_hu, affine_lps_mm):
    content = nifti_bytes(small_x_hu, affine_lps_mm)
    assert content == nifti_bytes(small_x_hu, affine_lps_mm)
    (tmp_path / "bytes.nii.gz").write_bytes(content)
    write_volume(tmp_path / "file.nii.gz", small_x_hu, affine_lps_mm)
    for part, expected in zip(
        read_volume(tmp_path / "bytes.nii.gz"), read_volume(tmp_path / "file.nii.gz"), strict=True
    ):
        assert_array_equal(part, expected)
