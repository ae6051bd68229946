"""The Ignite handlers, in real trainings against a real SQLite store."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser

from latentct.errors import InputError
from latentct.tracking import MLflowTracker
from latentct.tracking.run import RUN_FILE

from .conftest import ITERATIONS, FailingLoss, artifact_path, artifacts, grey_levels, make_trainer, points, runs

TINY_PROGRAM = """
import os, signal, sys
from ignite.engine import Engine, Events
from latentct.tracking import MLflowTracker, open_run
output_dir, value, how = sys.argv[1], float(sys.argv[2]), sys.argv[3]
if how == "exit":
    open_run(output_dir, "exp", stage="infer").log_metrics({"last": value})
    sys.exit(0)
engine = Engine(lambda engine, batch: {"loss": value})
MLflowTracker(output_dir, "exp", log_every=1).attach(engine)
if how == "kill":
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: os.kill(os.getpid(), signal.SIGKILL))
engine.run(range(40), max_epochs=1)
"""


def start_program(output_dir: Path, value: float, how: str = "train") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", TINY_PROGRAM, str(output_dir), str(value), how])


def test_finished_training_leaves_curves_params_and_status(tmp_path: Path, manifest: Path) -> None:
    tracker = MLflowTracker(
        tmp_path, "exp", "first", params={"lsr": {"steps": 7}, "seed": 3}, manifest=manifest, log_every=2
    )
    make_trainer(tracker, epochs=2).run()
    (run,) = runs()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.params["lsr.steps"] == "7"
    assert run.data.params["seed"] == "3"
    assert run.data.params["max_epochs"] == "2"
    assert run.data.tags["stage"] == "train"
    assert run.data.tags["version.monai"].startswith("1.")
    assert len(run.data.tags["manifest.sha256"]) == 64
    losses = points(run.info.run_id, "train/loss")
    assert [step for step, _ in losses] == [1, *range(2, 2 * ITERATIONS + 1, 2)]
    assert all(np.isfinite(value) for _, value in losses)
    assert points(run.info.run_id, "train/lr")[0] == (1, 0.25)


def test_validation_lands_in_the_run_at_the_trainers_epoch(tmp_path: Path) -> None:
    make_trainer(MLflowTracker(tmp_path, "exp"), epochs=3).run()
    (run,) = runs()
    assert [step for step, _ in points(run.info.run_id, "val/mae")] == [1, 2, 3]
    assert artifacts(run.info.run_id, "slices") == [f"slices/epoch_{epoch:05d}.png" for epoch in (1, 2, 3)]
    picture = grey_levels(artifact_path(run.info.run_id, "epoch_00003.png"))
    assert picture.shape == (3 * 12, 3 * 12)  # three slices of 8 x 8 with a margin of two pixels, in three columns
    # image 2 of the loader is 0.2, that is -200 HU: 40 % of the window of 2000 HU
    assert picture[24 + 6, 6] == round(0.4 * 255)


def test_crash_is_failed_with_the_error_and_the_points_before_it(tmp_path: Path) -> None:
    trainer = make_trainer(
        MLflowTracker(tmp_path, "exp", log_every=1), loss=FailingLoss(ArithmeticError("loss is NaN"), call=4)
    )
    with pytest.raises(ArithmeticError, match="loss is NaN"):
        trainer.run()
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "ArithmeticError: loss is NaN"
    assert len(points(run.info.run_id, "train/loss")) == 3


def test_crash_in_a_later_handler_is_failed_too(tmp_path: Path) -> None:
    class FullDisk:
        def attach(self, engine: Engine) -> None:
            engine.add_event_handler(Events.COMPLETED, self.save)

        def save(self) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        make_trainer(MLflowTracker(tmp_path, "exp"), epochs=1, extra=(FullDisk(),)).run()
    (run,) = runs()
    assert run.info.status == "FAILED"


def test_crash_in_the_first_iteration_is_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        make_trainer(MLflowTracker(tmp_path, "exp"), loss=FailingLoss(RuntimeError("x"), call=1)).run()
    (run,) = runs()
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "RuntimeError: x")


@pytest.mark.parametrize("wrapped", [False, True])
def test_bad_input_in_the_first_iteration_leaves_nothing(tmp_path: Path, wrapped: bool) -> None:
    error: Exception = InputError("NaN in scan")
    error.__cause__ = OSError("as found")
    if wrapped:  # as MONAI's transforms do
        error, error.__cause__ = RuntimeError("applying transform"), error
    with pytest.raises(type(error)):
        make_trainer(MLflowTracker(tmp_path, "exp"), loss=FailingLoss(error, call=1)).run()
    assert list(tmp_path.iterdir()) == []


def test_run_begins_when_the_engine_does(tmp_path: Path) -> None:
    before = time.time()
    make_trainer(MLflowTracker(tmp_path, "exp"), epochs=1).run()
    (run,) = runs()
    assert before - 1 <= run.info.start_time / 1000 <= time.time()
    assert run.info.end_time >= run.info.start_time


def test_interrupt_is_killed(tmp_path: Path) -> None:
    trainer = make_trainer(MLflowTracker(tmp_path, "exp"), loss=FailingLoss(KeyboardInterrupt(), call=2))
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert [run.info.status for run in runs()] == ["KILLED"]


def test_a_crashed_run_is_not_continued_by_the_next(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        make_trainer(MLflowTracker(tmp_path, "exp", log_every=1), loss=FailingLoss(RuntimeError("x"), call=2)).run()
    make_trainer(MLflowTracker(tmp_path, "exp", log_every=1), epochs=1).run()
    first, second = runs()
    assert (first.info.status, second.info.status) == ("FAILED", "FINISHED")
    assert [step for step, _ in points(second.info.run_id, "train/loss")] == list(range(1, ITERATIONS + 1))


def test_resume_continues_the_noted_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        make_trainer(MLflowTracker(tmp_path, "exp"), loss=FailingLoss(RuntimeError("x"), call=2)).run()
    trainer = make_trainer(MLflowTracker(tmp_path, "exp", params={"max_epochs": 4}, resume=True), epochs=4)
    trainer.run()
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert run.data.params["max_epochs"] == "2"
    assert run.data.tags["changed.max_epochs"] == "4"
    assert json.loads((tmp_path / RUN_FILE).read_text())["run_id"] == run.info.run_id


def test_resume_without_a_note_starts_a_run(tmp_path: Path) -> None:
    make_trainer(MLflowTracker(tmp_path, "exp", resume=True), epochs=1).run()
    assert [run.info.status for run in runs()] == ["FINISHED"]


def test_two_processes_at_once_do_not_mix(tmp_path: Path) -> None:
    programs = [start_program(tmp_path, value) for value in (1.0, 2.0)]
    assert [program.wait() for program in programs] == [0, 0]
    values = []
    for run in runs():
        assert run.info.status == "FINISHED"
        curve = points(run.info.run_id, "train/loss")
        assert [step for step, _ in curve] == list(range(1, 41))
        values.append({value for _, value in curve})
    assert sorted(values, key=min) == [{1.0}, {2.0}]


def test_a_process_that_ends_early_closes_its_run(tmp_path: Path) -> None:
    assert start_program(tmp_path, 5.0, "exit").wait() == 0
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert run.data.metrics["last"] == 5.0


def test_a_run_left_open_by_a_dead_process_is_closed_by_the_next(tmp_path: Path) -> None:
    assert start_program(tmp_path, 1.0, "kill").wait() < 0
    assert [run.info.status for run in runs()] == ["RUNNING"]
    make_trainer(MLflowTracker(tmp_path, "exp"), epochs=1).run()
    assert [run.info.status for run in runs()] == ["KILLED", "FINISHED"]


def test_only_the_first_process_of_a_job_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    make_trainer(MLflowTracker(tmp_path, "exp"), epochs=1).run()
    assert list(tmp_path.iterdir()) == []


def test_config_that_builds_the_tracker_is_kept_without_paths(tmp_path: Path, manifest: Path) -> None:
    parser = ConfigParser(
        {
            "output_dir": str(tmp_path),
            "seed": 11,
            "epochs": "$1 + 1",
            "ckpt": "$@output_dir + '/models/model.pt'",
            "files": [str(tmp_path / "hn_jane_doe.nii.gz"), "ct/hn_jane_doe.nii.gz"],
            "tracker": {
                "_target_": "latentct.tracking.MLflowTracker",
                "output_dir": "@output_dir",
                "experiment_name": "exp",
                "manifest": str(manifest),
                "params": {"note": f"weights of JaneDoe in {tmp_path}/w.pt"},
            },
        }
    )
    make_trainer(parser.get_parsed_content("tracker"), epochs=1).run()
    (run,) = runs()
    assert run.data.params["seed"] == "11"
    assert "epochs" not in run.data.params
    kept = artifact_path(run.info.run_id, "resolved.yaml").read_text()
    config = yaml.safe_load(kept)
    assert config["ckpt"] == "$@output_dir + '/models/model.pt'"
    assert config["tracker"]["manifest"] == "<path>/set.json"
    everything = kept + json.dumps(run.data.params) + json.dumps(run.data.tags)
    for secret in (str(tmp_path), str(Path.home()), "JaneDoe", "jane_doe"):
        assert secret not in everything


def test_artifacts_keep_their_folders(tmp_path: Path) -> None:
    for name in ("a/figure.png", "b/figure.png"):
        (tmp_path / "out" / name).parent.mkdir(parents=True)
        (tmp_path / "out" / name).write_text(name)
    tracker = MLflowTracker(tmp_path, "exp")
    make_trainer(tracker, epochs=1).run()
    tracker.run.log_artifact(tmp_path / "out", "report")
    (run,) = runs()
    assert artifacts(run.info.run_id, "report") == ["report/a/figure.png", "report/b/figure.png"]


def test_store_named_by_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/central/all.db")
    make_trainer(MLflowTracker(tmp_path / "out", "exp"), epochs=1).run()
    (run,) = runs()
    assert not (tmp_path / "out" / "mlflow").exists()
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(tmp_path / "central")
