import numpy as np
import pytest

from latentct.io.nifti import read_volume, write_volume
from latentct.io.projections import write_projections
from latentct.workflow.simulate import prepare_simulation, simulate

from ..workflow.images import body_image


@pytest.fixture(scope="module")
def scans():
    """Projections of the body by their task."""
    image = body_image()
    narrow = prepare_simulation(image, "truncation", field_mm=150.0)
    return {"none": simulate(prepare_simulation(image)), "truncation": simulate(narrow)}


@pytest.fixture
def scan(tmp_path, scans):
    """A file of complete projections, in a folder of its own."""
    write_projections(tmp_path / "in" / "scan.npz", scans["none"])
    return tmp_path / "in" / "scan.npz"


def test_the_image_stands_where_the_scanned_one_stood(tmp_path, scan, latentct):
    code, printed, err = latentct("reconstruct", scan, tmp_path / "image.nii.gz")
    assert (code, err) == (0, "")
    assert "64 x 72 pixels of 4 x 4 mm, as the geometry asks for." in printed and "5 x 64 x 72 voxels by fbp" in printed
    x_hu, affine = read_volume(tmp_path / "image.nii.gz")
    np.testing.assert_allclose(affine, body_image().affine_lps_mm, atol=1e-3)
    assert np.sqrt(((x_hu - body_image().x_hu) ** 2).mean()) < 12 and x_hu.min() >= -1024


def test_method_and_grid_can_be_chosen(tmp_path, scan, latentct):
    options = ("--method", "sirt", "--iterations", 5, "--size", 48, "--spacing-mm", 6)
    code, printed, err = latentct("reconstruct", scan, tmp_path / "image.nii", *options)
    assert code == 0, err
    assert "48 x 48 pixels of 6 x 6 mm, to cover" in printed and "by sirt" in printed
    assert read_volume(tmp_path / "image.nii")[0].shape == (5, 48, 48)


def test_rays_that_are_cut_are_said_on_stderr(tmp_path, scans, latentct):
    write_projections(tmp_path / "cut.npz", scans["truncation"])
    code, _, err = latentct("reconstruct", tmp_path / "cut.npz", tmp_path / "image.nii.gz")
    assert code == 0 and err.count("\n") == 1
    assert "goes on beside the detector" in err and "`latentct correct`" in err


def test_bad_requests_are_one_sentence_and_leave_nothing(tmp_path, scan, latentct):
    image = tmp_path / "in" / "body.nii.gz"
    write_volume(image, body_image().x_hu, body_image().affine_lps_mm)
    output = tmp_path / "out.nii.gz"
    for arguments, words in (
        ((scan, tmp_path / "out.npz"), "ends in none of .nii, .nii.gz"),
        ((image, output), "holds an image, but projections are expected"),
        ((scan, output, "--method", "fdk"), "choose fbp, sirt or tv"),
        ((scan, output, "--size", 0), "--size is 0"),
        ((scan, output, "--size", 99999), "GB of memory are free"),
        ((tmp_path / "none.npz", output), "does not exist"),
    ):
        code, _, err = latentct("reconstruct", *arguments)
        assert (code, err.count("\n")) == (2, 1), err
        assert words in err
        assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_is_there_stays_until_it_may_be_replaced(tmp_path, scan, latentct):
    output = tmp_path / "image.nii.gz"
    output.write_text("mine")
    code, printed, err = latentct("reconstruct", scan, output)
    assert (code, printed) == (2, "") and "exists already" in err and output.read_text() == "mine"
    assert latentct("reconstruct", scan, output, "--overwrite")[0] == 0
    assert read_volume(output)[0].shape == (5, 64, 72)


def test_ctrl_c_leaves_nothing(tmp_path, scan, latentct, monkeypatch):
    def interrupt(_items):
        raise KeyboardInterrupt

    monkeypatch.setattr("latentct.cli.progress.progress_bar", lambda _description: interrupt)
    code, _, _ = latentct("reconstruct", scan, tmp_path / "image.nii.gz")
    assert code not in (0, 2) and [path.name for path in tmp_path.iterdir()] == ["in"]
