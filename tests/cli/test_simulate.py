import os
from pathlib import Path

import numpy as np
import pytest

from latentct.io.inputs import read_input
from latentct.io.nifti import read_volume, write_volume
from latentct.io.projections import read_projections

from ..workflow.images import body_image

DATA = os.environ.get("LATENTCT_DATA", "")


@pytest.fixture
def body(tmp_path) -> Path:
    """A NIfTI file, in a folder of its own."""
    image = body_image()
    write_volume(tmp_path / "in" / "body.nii.gz", image.x_hu, image.affine_lps_mm)
    return tmp_path / "in" / "body.nii.gz"


@pytest.fixture
def stopped(monkeypatch):
    """Ctrl-C when the first part of the work begins."""

    def interrupt(_items):
        raise KeyboardInterrupt

    monkeypatch.setattr("latentct.cli.progress.progress_bar", lambda _description: interrupt)


def left(body: Path) -> list[str]:
    return sorted(path.name for path in body.parents[1].iterdir() if path.name != "in")


@pytest.mark.parametrize("name", ["scan.npz", "scan.npy", "scan.h5", "scan"])
def test_projections_are_written_with_what_they_are(body, latentct, name):
    output = body.parents[1] / name
    code, printed, err = latentct("simulate", body, output, "--task", "truncation", "--field-mm", 150)
    assert (code, err) == (0, ""), err
    assert "virtual fan beam, which is no real scanner's" in printed and "x " in printed.splitlines()[-1]
    found = read_projections(output)
    assert found.geometry.image.shape == (64, 72) and found.y.shape[0] == 5
    assert left(body) == (["scan.npy", "scan.yaml"] if name == "scan.npy" else [name])
    if name == "scan":
        assert (output / "geometry.yaml").read_text().startswith("# An image of 5 x 64 x 72 voxels")


def test_a_geometry_file_is_the_scan(body, latentct):
    geometry = body.parents[1] / "scan.yaml"
    geometry.write_text("mu_water: 0.02\nparallel: {angles_deg: [0, 20, 40, 60, 80], bins: 90, bin_mm: 4}\n")
    code, printed, err = latentct(
        "simulate", body, body.parents[1] / "y.npz", "--geometry", geometry, "--photons", "1e5"
    )
    assert code == 0, err
    assert "the given geometry" in printed and "100000 photons" in printed
    assert read_projections(body.parents[1] / "y.npz").y.shape == (5, 5, 90)


def test_an_image_can_be_cut(body, latentct):
    output = body.parents[1] / "cut.nii.gz"
    code, printed, err = latentct("simulate", body, output, "--task", "truncation", "--field-mm", 150)
    assert code == 0, err
    assert "artefacts of a detector too narrow are not in it" in printed
    (x_hu, affine), (before_hu, before) = read_volume(output), read_volume(body)
    np.testing.assert_allclose(affine, before, atol=1e-3)
    assert (x_hu[:, 0] == -1024).all() and (x_hu[:, 25:40, 30:40] == before_hu[:, 25:40, 30:40]).all()


def test_a_cut_dicom_series_marks_its_padding(tmp_path, latentct):
    pytest.importorskip("pydicom")
    from latentct.io.dicom import read_series

    from ..io.dicom.phantom import NAME, write_ct

    source = write_ct(tmp_path / "series")
    code, printed, err = latentct(
        "simulate", source, tmp_path / "cut", "--task", "truncation", "--field-mm", 5, "--image"
    )
    assert code == 0, err
    assert not any(part in (printed + err).upper() for part in NAME.split("^"))
    before, cut = read_series(source), read_series(tmp_path / "cut")
    y_mm, x_mm = (np.arange(12) - 5.5) * 0.8, (np.arange(10) - 4.5) * 0.7
    outside = np.hypot(y_mm[:, None], x_mm) > 2.5
    np.testing.assert_array_equal(cut.padding, np.broadcast_to(outside, cut.x_hu.shape))
    np.testing.assert_array_equal(cut.x_hu[~cut.padding], before.x_hu[~cut.padding])
    np.testing.assert_allclose(cut.affine_lps_mm, before.affine_lps_mm, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("scan.npz", ["--task", "truncation"], "needs --field-mm"),
        ("image.nii.gz", [], "OUTPUT is an image"),
        ("image.nii.gz", ["--task", "truncation"], "needs --field-mm"),
        ("image.nii.gz", ["--task", "truncation", "--field-mm", 150, "--photons", 100], "--photons is for projections"),
        ("dicom", ["--task", "truncation", "--field-mm", 150, "--image"], "not read from DICOM"),
        ("scan.mha", [], ".mha, but .npz, .npy, .h5, .hdf5 or a folder"),
        ("scan.npz", ["--geometry", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        ("scan.npz", ["--series", 2], "no series to choose"),
        ("in/scan.npz", ["--task", "sparse-view", "--views", 0], "above 0 is expected"),
    ],
)
def test_bad_requests_are_one_sentence_and_leave_nothing(body, latentct, name, options, words):
    code, printed, err = latentct("simulate", body, body.parents[1] / name, *options)
    assert (code, printed, err.count("\n")) == (2, "", 1), err
    assert words in err and left(body) == []


def test_what_is_there_stays_until_it_may_be_replaced(body, latentct):
    output = body.parents[1] / "scan.npy"
    output.with_suffix(".yaml").write_text("mine")
    assert latentct("simulate", body, output)[0] == 2
    assert output.with_suffix(".yaml").read_text() == "mine" and left(body) == ["scan.yaml"]
    assert latentct("simulate", body, output, "--overwrite")[0] == 0
    assert read_projections(output).y.shape[0] == 5
    code, _, err = latentct("simulate", body.parent, body.parent / "out", "--overwrite")
    assert code == 2 and "must stay as it is" in err


@pytest.mark.parametrize("name", ["scan.npz", "scan.npy", "scan.h5", "scan"])
def test_ctrl_c_leaves_nothing(body, latentct, stopped, name):
    code, _, _ = latentct("simulate", body, body.parents[1] / name)
    assert code not in (0, 2) and left(body) == []


def test_projections_are_refused(tmp_path, body, latentct):
    assert latentct("simulate", body, tmp_path / "scan.npz")[0] == 0
    code, _, err = latentct("simulate", tmp_path / "scan.npz", tmp_path / "again.npz")
    assert code == 2 and "holds projections, but an image is expected" in err


@pytest.mark.skipif(not DATA, reason="LATENTCT_DATA names the folder of the shared CT")
def test_a_real_series_comes_back_from_its_projections(tmp_path, latentct):
    source = Path(DATA) / "ct/nysbu_a056396.nii.gz"
    assert latentct("simulate", source, tmp_path / "scan.npz")[0] == 0
    assert latentct("reconstruct", tmp_path / "scan.npz", tmp_path / "fbp.nii.gz")[0] == 0
    before, after = read_input(source), read_input(tmp_path / "fbp.nii.gz")
    np.testing.assert_allclose(after.affine_lps_mm, before.affine_lps_mm, atol=1e-3)
    code, printed, _ = latentct("evaluate", tmp_path / "fbp.nii.gz", source)
    assert code == 0
    mae_hu, rmse_hu, bias_hu = (
        float(line.split("HU]")[1].split()[0]) for line in printed.splitlines() if "HU]" in line
    )
    assert mae_hu < 15 and rmse_hu < 30 and abs(bias_hu) < 3
