"""Runs without an engine, buffered metrics, and what is refused."""

import math
from pathlib import Path

import pytest

from latentct.errors import InputError
from latentct.tracking import open_run, track_run
from latentct.tracking.writer import MAX_METRICS

from .conftest import artifact_path, artifacts, points, runs

METRICS = {"methods": {"lsr": {"mae_inside_hu": {"mean": 15.0, "ci95": [14.0, 16.0], "unit": "HU"}}}}


def test_block_that_ends_is_finished_with_its_metrics_and_files(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    with track_run(tmp_path, "exp", stage="evaluate", params={"fov": {"mm": 150}}) as run:
        run.log_metrics(METRICS)
        run.log_artifact(tmp_path / "metrics.json")
    (kept,) = runs()
    assert kept.info.status == "FINISHED"
    assert kept.data.params == {"fov.mm": "150"}
    prefix = "methods.lsr.mae_inside_hu"
    assert kept.data.metrics == {f"{prefix}.mean": 15.0, f"{prefix}.ci95.0": 14.0, f"{prefix}.ci95.1": 16.0}
    assert artifacts(kept.info.run_id) == ["metrics.json"]


@pytest.mark.parametrize(("error", "status"), [(ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_block_that_raises_is_closed_and_raises_on(tmp_path: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), track_run(tmp_path, "exp", stage="infer") as run:
        run.log_metrics({"before": 1.0})
        raise error
    (kept,) = runs()
    assert kept.info.status == status
    assert kept.data.metrics == {"before": 1.0}
    assert kept.data.tags["error"].startswith(type(error).__name__)


def test_error_tag_names_no_path_and_no_patient(tmp_path: Path, manifest: Path) -> None:
    (tmp_path / "with blank").mkdir()
    message = f"cannot read '{tmp_path}/with blank/scan 1.nii.gz' of patient JaneDoe ({tmp_path}/x/y.txt)"
    with pytest.raises(OSError), track_run(tmp_path, "exp", stage="infer", manifest=manifest):
        raise OSError(message)
    (kept,) = runs()
    assert kept.data.tags["error"] == "OSError: cannot read '<path>' of patient <patient> (<path>)"


def test_all_buffered_metrics_arrive_in_order(tmp_path: Path) -> None:
    count = 2 * MAX_METRICS + 17
    with track_run(tmp_path, "exp", stage="train") as run:
        for step in range(count):
            run.log_metrics({"loss": 1.0 / (step + 1)}, step)
    (kept,) = runs()
    assert points(kept.info.run_id, "loss") == [(step, 1.0 / (step + 1)) for step in range(count)]


def test_metrics_wait_in_memory_until_flushed(tmp_path: Path) -> None:
    run = open_run(tmp_path, "exp", stage="train")
    run.log_metrics({"loss": 1.0}, 1)
    assert points(run.run_id, "loss") == []
    run.flush()
    assert points(run.run_id, "loss") == [(1, 1.0)]
    run.finish()


def test_nan_is_kept_as_nan(tmp_path: Path) -> None:
    with track_run(tmp_path, "exp", stage="train") as run:
        run.log_metrics({"loss": math.nan})
    (kept,) = runs()
    assert math.isnan(kept.data.metrics["loss"])


def test_many_params_and_long_values_are_kept(tmp_path: Path) -> None:
    with track_run(tmp_path, "exp", stage="train", params={f"p{i}": i for i in range(250)} | {"long": "x" * 20000}):
        pass
    (kept,) = runs()
    assert len(kept.data.params) == 251
    assert kept.data.params["p249"] == "249"


def test_resumed_run_keeps_each_config(tmp_path: Path) -> None:
    open_run(tmp_path, "exp", stage="train", config={"epochs": 1}).finish()
    open_run(tmp_path, "exp", stage="train", config={"epochs": 2}, resume=True).finish()
    (kept,) = runs()
    assert artifact_path(kept.info.run_id, "resolved.yaml").read_text() == "epochs: 1\n"
    assert artifact_path(kept.info.run_id, "resolved_2.yaml").read_text() == "epochs: 2\n"
    assert kept.data.tags["changed.epochs"] == "2"


def test_points_that_a_resumed_run_has_already_are_left_out(tmp_path: Path) -> None:
    run = open_run(tmp_path, "exp", stage="train")
    for step in (1, 2, 3):
        run.log_metrics({"loss": step}, step)
    run.finish()
    run = open_run(tmp_path, "exp", stage="train", resume=True)
    for step in (2, 3, 4):
        run.log_metrics({"loss": 10 * step, "new": step}, step)
    run.flush()
    run.log_metrics({"loss": 50}, 5)
    run.finish()
    (kept,) = runs()
    assert points(kept.info.run_id, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0), (5, 50.0)]
    assert points(kept.info.run_id, "new") == [(2, 2.0), (3, 3.0), (4, 4.0)]


def test_missing_manifest_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"absent\.json"),
        track_run(tmp_path / "out", "exp", stage="infer", manifest=tmp_path / "absent.json"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
