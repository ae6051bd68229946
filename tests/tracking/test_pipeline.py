"""Runs below other runs: stages below their training, and anything below the run that the environment names."""

import logging
import os
from pathlib import Path

import pytest

from latentct.tracking import PipelineTracker, open_run, track_run
from latentct.tracking.run import PARENT_VARIABLE

from .conftest import runs

PARENT_TAG = "mlflow.parentRunId"


def stage(output_dir: Path, name: str, resume: bool = False, fails: bool = False) -> None:
    run = open_run(output_dir, "exp", name, stage=name, resume=resume)
    error = ValueError("loss is NaN")
    if fails:
        run.fail(error)
        raise error
    run.finish()


def by_name() -> dict[str, tuple[str, str | None]]:
    """Status of each run and the name of its parent."""
    names = {run.info.run_id: run.info.run_name for run in runs()}
    return {run.info.run_name: (run.info.status, names.get(run.data.tags.get(PARENT_TAG))) for run in runs()}


def test_runs_of_a_block_are_children_of_its_run(tmp_path: Path) -> None:
    with PipelineTracker(tmp_path, "exp", "all"):
        stage(tmp_path, "first")
        stage(tmp_path, "second")
    stage(tmp_path, "later")
    assert by_name() == {
        "all": ("FINISHED", None),
        "first": ("FINISHED", "all"),
        "second": ("FINISHED", "all"),
        "later": ("FINISHED", None),
    }


def test_an_error_fails_the_stage_and_the_run_above_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NaN"), PipelineTracker(tmp_path, "exp", "all"):
        stage(tmp_path, "first")
        stage(tmp_path, "second", fails=True)
    assert by_name() == {"all": ("FAILED", None), "first": ("FINISHED", "all"), "second": ("FAILED", "all")}
    assert {run.data.tags.get("error") for run in runs()} == {None, "ValueError: loss is NaN"}
    assert PARENT_VARIABLE not in os.environ


def test_a_training_that_goes_on_continues_its_run_and_that_of_the_stage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NaN"), PipelineTracker(tmp_path, "exp", "all"):
        stage(tmp_path, "first", fails=True)
    with PipelineTracker(tmp_path, "exp", "again"):
        stage(tmp_path, "first", resume=True)
        stage(tmp_path, "second", resume=True)  # the note is of the first stage, which is another run
    assert by_name() == {"all": ("FINISHED", None), "first": ("FINISHED", "all"), "second": ("FINISHED", "all")}


def test_overwriting_begins_a_new_run(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with PipelineTracker(tmp_path, "exp", name, overwrite=True):
            pass
    assert by_name() == {"old": ("FINISHED", None), "new": ("FINISHED", None)}


def test_the_run_that_the_environment_names_is_the_parent_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with track_run(tmp_path, "exp", "project", stage="infer") as project:
        monkeypatch.setenv(PARENT_VARIABLE, project.run_id)
    with PipelineTracker(tmp_path, "exp", "all"):
        stage(tmp_path, "first")
    stage(tmp_path, "later")
    assert by_name() == {
        "project": ("FINISHED", None),
        "all": ("FINISHED", "project"),
        "first": ("FINISHED", "all"),
        "later": ("FINISHED", "project"),
    }


def test_an_unknown_parent_is_ignored_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, "0" * 32)
    with caplog.at_level(logging.WARNING):
        stage(tmp_path, "alone")
    assert by_name() == {"alone": ("FINISHED", None)}
    assert "has no parent" in caplog.text


def test_only_the_first_process_of_a_job_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with PipelineTracker(tmp_path, "exp") as run:
        assert run is None
    assert list(tmp_path.iterdir()) == []
