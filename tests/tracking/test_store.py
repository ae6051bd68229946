"""Where runs are kept."""

from pathlib import Path

import pytest

from latentct.tracking import track_run
from latentct.tracking.store import connect, experiment_id, tracking_uri


def test_without_a_setting_the_store_lies_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    for output_dir in ("a", "b"):
        with track_run(output_dir, "exp", stage="infer") as run:
            run.log_text("a", "note.txt")
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow/mlruns.db"
    client = connect()
    assert len(client.search_runs([experiment_id(client, "exp")])) == 2
    assert len(list((tmp_path / "mlflow" / "artifacts").rglob("note.txt"))) == 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a", "b", "mlflow"]


def test_the_store_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////srv/all.db")
    assert tracking_uri() == "sqlite:////srv/all.db"
