"""`latentct correct`: from the command to the folder, its exit codes, and what MLflow has of it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from latentct.geometry import Grid
from latentct.io.dicom import read_series
from latentct.io.nifti import read_volume, write_volume
from latentct.workflow.completed_image import CompletedImage
from latentct.workflow.simulate_image import cut_image

from ..serving.conftest import stage_small
from ..workflow.images import body_image, fail_at

GRID = Grid((4, 40, 46), (5.0, 7.5, 7.5))
DATA = Path(os.environ.get("LATENTCT_DATA", ""))
SERIES = DATA / "dicom" / "totalseg_example"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """A prior that knows nothing, and is fast."""
    return stage_small(tmp_path_factory.mktemp("bundle"), "lsr_truncation")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store/mlruns.db")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").mkdir()
    return f"sqlite:///{tmp_path}/store/mlruns.db"


@pytest.fixture
def source(tmp_path) -> Path:
    """A body cut to 180 mm, in a folder of its own."""
    image = cut_image(body_image(GRID), 180.0)
    write_volume(tmp_path / "in" / "Doe^Jane.nii.gz", image.x_hu, image.affine_lps_mm)
    return tmp_path / "in" / "Doe^Jane.nii.gz"


def made(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("in", "store"))


def test_a_nifti_file_becomes_a_folder_and_a_run(latentct, bundle, source, store, tmp_path):
    code, printed, err = latentct("correct", source, tmp_path / "out", "--bundle", bundle, "--device", "cpu")
    assert (code, err) == (0, "")
    assert "its field of view is a circle of 179 mm" in printed and "The body is cut in 4 of 4 slices" in printed
    assert printed.index("What lies outside") < printed.index("duration_s")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "correction.json",
        "image.nii.gz",
        "report.html",
        "synthesised.nii.gz",
    ]
    before, after = (read_volume(path) for path in (source, tmp_path / "out" / "image.nii.gz"))
    np.testing.assert_allclose(after[1], before[1], atol=1e-3)
    assert made(tmp_path) == ["out"]
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("corrections")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"report.html", "correction.json"}
    summary = json.loads((tmp_path / "out" / "correction.json").read_text())
    assert run.data.params["input.sha256"] == summary["input_sha256"]
    assert run.data.metrics["slices"] == 4
    everything = json.dumps([run.to_dictionary(), summary, printed])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Doe^Jane" not in page + everything


@pytest.mark.skipif(not SERIES.is_dir(), reason="needs the real series of LATENTCT_DATA")
def test_a_real_series_cut_to_25_cm_comes_back_with_its_field_as_it_was(latentct, bundle, tmp_path):
    cut, out = tmp_path / "cut", tmp_path / "out"
    assert latentct("simulate", SERIES, cut, "--task", "truncation", "--field-mm", 250, "--image")[0] == 0
    code, printed, err = latentct("correct", cut, out, "--bundle", bundle, "--no-report")
    assert (code, err) == (0, "")
    assert "circle of 250 mm" in printed and not (out / "report.html").exists()
    whole, was_cut, corrected = read_series(SERIES), read_series(cut), read_series(out / "dicom", 1)
    np.testing.assert_allclose(corrected.affine_lps_mm, whole.affine_lps_mm, atol=1e-3)
    seen = ~was_cut.padding
    assert np.abs(corrected.x_hu - whole.x_hu)[seen].max() < 1.0
    assert corrected.padding is None or not corrected.padding.any()


def test_nothing_to_correct_writes_nothing(latentct, source, tmp_path):
    image = body_image(GRID)
    write_volume(tmp_path / "in" / "whole.nii.gz", image.x_hu, image.affine_lps_mm)
    code, printed, err = latentct("correct", tmp_path / "in" / "whole.nii.gz", tmp_path / "out")
    assert (code, err) == (0, "") and "nothing to correct" in printed
    assert made(tmp_path) == []


def test_partly_done_is_exit_code_3_and_says_which(latentct, bundle, source, tmp_path, monkeypatch):
    fail_at(monkeypatch, CompletedImage, 2, "slice of stone.")
    code, _, err = latentct("correct", source, tmp_path / "out", "--bundle", bundle)
    assert code == 3
    assert err == "latentct: slice 3 was left as it is: slice of stone.\n"
    assert (tmp_path / "out" / "image.nii.gz").is_file()


def test_a_store_that_fails_takes_nothing_away(latentct, bundle, source, tmp_path, monkeypatch):
    monkeypatch.setattr("latentct.tracking.corrections.track_run", _unreachable)
    code, _, err = latentct("correct", source, tmp_path / "out", "--bundle", bundle)
    assert code == 3
    assert "was not logged to MLflow (ConnectionError)" in err and err.count("\n") == 1
    assert (tmp_path / "out" / "report.html").is_file()


def _unreachable(*_args, **_options):
    raise ConnectionError


def test_ctrl_c_says_how_to_go_on(latentct, bundle, source, tmp_path, monkeypatch):
    def interrupted(_description):
        def parts_then_stop(parts):
            yield parts[0]
            raise KeyboardInterrupt

        return parts_then_stop

    with monkeypatch.context() as patch:
        patch.setattr("latentct.cli.progress.progress_bar", interrupted)
        code, _, err = latentct("correct", source, tmp_path / "out", "--bundle", bundle)
    assert code == 130 and "the same command goes on" in err
    assert made(tmp_path) == [".out.work"]
    assert latentct("correct", source, tmp_path / "out", "--bundle", bundle)[0] == 0
    assert made(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--task", "magic"), "--task is magic; choose auto, truncation, metal, limited-angle, sparse-view"),
        (("--task", "metal"), "no metal was found"),
        (("--task", "sparse-view"), "needs the projections"),
        (("--device", "warp9"), "--device is warp9"),
        (("--bundle", "nowhere"), "nowhere"),
        (("--series", "2"), "is no DICOM"),
        (("--samples", "1"), "--samples is 1"),
    ],
)
def test_bad_options_are_one_sentence_and_leave_nothing(latentct, source, tmp_path, options, words):
    code, _, err = latentct("correct", source, tmp_path / "out", *options)
    assert code == 2 and words in err and err.count("\n") == 1
    assert made(tmp_path) == []


def test_what_is_there_is_replaced_only_when_asked(latentct, bundle, source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    code, _, err = latentct("correct", source, tmp_path / "out", "--bundle", bundle)
    assert code == 2 and "exists already" in err and (tmp_path / "out" / "mine").is_file()
    code, _, err = latentct("correct", source, tmp_path / "out", "--bundle", bundle, "--overwrite")
    assert code == 0, err
    assert not (tmp_path / "out" / "mine").exists()
    code, _, err = latentct("correct", source.parent, source.parent / "out")
    assert code == 2 and "lies in the input" in err
