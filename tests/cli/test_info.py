from pathlib import Path

import numpy as np
import pytest

from latentct.cli.main import main
from latentct.geometry import ParallelBeam
from latentct.io.nifti import write_volume
from latentct.io.projections import Projections, write_projections
from latentct.io.scan_geometry import ScanGeometry


@pytest.fixture
def latentct_info(monkeypatch, capsys):
    """Runs `latentct info` and returns its exit code, what it printed and its errors."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["latentct", "info", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run


def body_hu(width: int) -> np.ndarray:
    """An ellipse of soft tissue, 288 x 192 mm, in air: (3, 80, width) pixels of 4 mm."""
    y, x = np.meshgrid(np.arange(80) - 39.5, np.arange(width) - (width - 1) / 2, indexing="ij")
    return np.repeat(np.where((x / 36) ** 2 + (y / 24) ** 2 < 1, 40.0, -1000.0)[None], 3, axis=0)


def write_nifti(path: Path, x_hu: np.ndarray) -> Path:
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (5.0, 4.0, 4.0, 1.0)
    write_volume(path, x_hu, affine)
    return path


def test_a_whole_body_asks_for_nothing(tmp_path, latentct_info):
    code, printed, _ = latentct_info(write_nifti(tmp_path / "whole.nii.gz", body_hu(100)))
    assert code == 0
    assert printed.startswith("3 x 80 x 100 voxels of 5 x 4 x 4 mm.")
    assert "There is nothing to correct" in printed


def test_a_cut_body_asks_for_truncation(tmp_path, latentct_info):
    code, printed, _ = latentct_info(write_nifti(tmp_path / "cut.nii.gz", body_hu(60)))
    assert code == 0
    assert "The body is cut in" in printed and "left" in printed and "right" in printed
    assert "What lies outside the field of view is completed" in printed


def test_projections_are_described_by_their_geometry(tmp_path, latentct_info):
    scan = ParallelBeam.equally_spaced(n_views=12, arc_rad=np.pi, n_bins=40, bin_mm=10.0)
    y = np.linspace(0, 3, 2 * 12 * 40, dtype=np.float32).reshape(2, 12, 40)
    write_projections(tmp_path / "scan.npz", Projections(y, ScanGeometry(scan, 0.02)))
    code, printed, _ = latentct_info(tmp_path / "scan.npz")
    first, *found = printed.splitlines()
    assert (code, first) == (0, "ParallelBeam of 12 views, 2 x 12 x 40 line integrals from 0.00 to 3.00.")
    assert "The views cover 180 degrees, the complete half turn." in found
    assert "Views are few: 12" in printed and found[-1].endswith("The search is set for sparse-view.")


def test_bad_input_is_one_sentence(tmp_path, latentct_info):
    nifti = write_nifti(tmp_path / "whole.nii.gz", body_hu(100))
    for arguments in ((tmp_path / "none",), (tmp_path,), (nifti, "--series", "1")):
        code, printed, err = latentct_info(*arguments)
        assert (code, printed, err.count("\n")) == (2, "", 1), err


def test_a_dicom_series_is_listed_and_its_patient_is_not_named(tmp_path, latentct_info):
    pytest.importorskip("pydicom")
    from ..io.dicom.phantom import NAME, write_ct

    code, printed, err = latentct_info(write_ct(tmp_path / "series"))
    assert code == 0, err
    assert printed.startswith("1: CT, 5 images of 12 x 10, series number 7\n5 x 12 x 10 voxels")
    assert not any(part in (printed + err).upper() for part in NAME.split("^"))


def test_of_several_series_one_is_chosen_by_its_number(tmp_path, latentct_info):
    pytest.importorskip("pydicom")
    from ..io.dicom.phantom import write_ct

    write_ct(tmp_path / "a")
    write_ct(tmp_path / "b", n_slices=3)
    code, _, err = latentct_info(tmp_path)
    assert code == 2 and err.startswith("latentct: ")
    code, printed, err = latentct_info(tmp_path, "--series", "2")
    assert code == 0, err
    assert "2: CT, " in printed


def test_projections_in_dicom_are_listed_and_rebinned(tmp_path, latentct_info):
    pytest.importorskip("pydicom")
    from ..io.dicom.ct_pd_phantom import NAME, smaller, write_scan

    code, printed, err = latentct_info(write_scan(tmp_path, smaller(), y=np.ones((36, 10, 40))))
    assert code == 0, err
    assert printed.startswith("1: CT projections, 36 images of 40 x 10, series number 3\nFanBeam of 24 views, ")
    assert NAME not in printed + err
