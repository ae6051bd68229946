"""The script that runs every task: what it starts, keeps and writes."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from benchmarks import tasks
from latentct.bundle.configs import config_files
from latentct.bundle.overrides import refuse_unknown_keys

METRICS = ("rmse_hu", "psnr")


def summary(mean: float, groups: tuple[str, ...] = ()) -> dict[str, Any]:
    """What an evaluation of two methods leaves, with an error of `mean` for all."""
    figure = {"mean": mean, "sd": 1.0, "ci95": [mean - 1, mean + 1], "n_patients": 3}
    difference = {"mean_difference": -2.0, "interval": [-3.0, -1.0], "p_wilcoxon": 0.01, "n_pairs": 3}
    table = {
        "methods": {name: {metric: dict(figure) for metric in METRICS} for name in ("fbp", "lsr")},
        "lsr_against": {"fbp": {metric: dict(difference) for metric in METRICS}},
    }
    return {**table, "groups": dict.fromkeys(groups, table)}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, list[str]]]:
    """Every task that is started, with its options; none really runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    calls: list[tuple[str, list[str]]] = []

    def run_task(name: str, output_dir: Path, options: list[str]) -> dict[str, Any]:
        calls.append((name, list(options)))
        if name == "limited_angle_90":
            raise SystemExit("limited_angle_90 failed with code 1")
        return summary(float(len(calls)), ("metal_size_1", "metal_size_2") if name == "metal" else ())

    monkeypatch.setattr(tasks, "run_task", run_task)
    return calls


def test_results_are_written_by_task_method_and_metric(started, tmp_path):
    path = tmp_path / "tasks.json"
    tasks.main(["--json", str(path), "--tasks", "metal", "sparse_view_64"])
    results = json.loads(path.read_text())
    assert set(results) == {"metal", "metal_size_1", "metal_size_2", "sparse_view_64"}
    figure = results["metal_size_2"]["fbp"]["rmse_hu"]
    assert {"mean", "sd", "ci95", "n_patients"} <= set(figure)
    assert figure["lsr_minus"]["mean_difference"] == -2.0
    assert "lsr_minus" not in results["metal"]["lsr"]["rmse_hu"]
    assert [name for name, _ in started] == ["metal", "sparse_view_64"]


def test_options_reach_every_task(started, tmp_path):
    options = ["--manifest", "m.json", "--dataset_dir", "d", "--split", "validation", "--limit", "3"]
    further = ["--slices_per_volume", "1"]
    tasks.main(["--json", str(tmp_path / "t.json"), "--tasks", "truncation", *options, *further])
    assert started == [("truncation", [*options, *further])]


def test_a_failure_keeps_what_was_done_and_the_next_call_goes_on(started, tmp_path):
    path = tmp_path / "tasks.json"
    with pytest.raises(SystemExit, match="limited_angle_90 failed"):
        tasks.main(["--json", str(path), "--tasks", "limited_angle", "sparse_view"])
    assert set(json.loads(path.read_text())) == {"limited_angle_120"}
    started.clear()
    tasks.main(["--json", str(path), "--tasks", "limited_angle_120", "sparse_view_32"])
    assert [name for name, _ in started] == ["sparse_view_32"]


def test_overwriting_replaces_a_task_and_its_groups_only(started, tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps({"metal": {}, "metal_size_9": {}, "sparse_view_32": {"kept": {}}}))
    tasks.main(["--json", str(path), "--tasks", "metal", "--overwrite"])
    results = json.loads(path.read_text())
    assert list(results) == ["metal", "metal_size_1", "metal_size_2", "sparse_view_32"]
    assert results["sparse_view_32"] == {"kept": {}}


def test_tables_and_paired_differences_are_printed(started, tmp_path, capsys):
    tasks.main(["--json", str(tmp_path / "t.json"), "--tasks", "sparse_view_32"])
    said = capsys.readouterr().out
    assert "RMSE body [HU] -2.0 [-3.0, -1.0] p=0.01" in said
    assert "1.0 [0.0, 2.0]" in said


def test_the_table_is_an_mlflow_run(started, tmp_path):
    tasks.main(["--json", str(tmp_path / "t.json"), "--tasks", "sparse_view_32", "--output_dir", str(tmp_path / "out")])
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/out/mlflow/mlruns.db")
    (run,) = client.search_runs([item.experiment_id for item in client.search_experiments()])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "tasks")
    assert run.data.metrics["sparse_view_32/lsr/rmse_hu"] == 1.0


def test_names_of_tasks_and_of_groups():
    assert tasks.chosen_tasks([]) == list(tasks.TASKS)
    assert tasks.chosen_tasks(["sparse_view", "limited_angle_90"]) == [
        "limited_angle_90",
        "sparse_view_32",
        "sparse_view_64",
    ]
    with pytest.raises(SystemExit, match="tasks tomography are unknown"):
        tasks.chosen_tasks(["tomography"])


@pytest.mark.parametrize("name", tasks.TASKS)
def test_what_a_task_changes_are_keys_of_its_bundle(name, monkeypatch):
    monkeypatch.chdir(tasks.ROOT)
    bundle, settings = tasks.TASKS[name]
    options = dict.fromkeys(["output_dir", "overwrite", "experiment_name", "run_name", "limit", "manifest", "split"])
    refuse_unknown_keys({**settings, **options}, config_files(Path("bundles") / bundle, "evaluating", []))
