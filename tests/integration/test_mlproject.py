"""`mlflow run mlflow -e training` in the environment that is active."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from latentct.bundle.configs import CONFIGS

from .. import checks
from ..servers import on_path
from ..small_bundle import NAME

MLPROJECT = checks.ROOT / "mlflow" / "MLproject"


def test_the_entry_points_are_the_run_ids_of_the_bundles() -> None:
    entry_points = yaml.safe_load(MLPROJECT.read_text())["entry_points"]
    assert set(entry_points) == set(CONFIGS)
    for run_id, content in entry_points.items():
        assert content["command"] == f"cd .. && latentct run bundles/{{bundle}} {run_id}"
        bundle = content["parameters"]["bundle"]["default"]
        assert (checks.ROOT / "bundles" / bundle / "configs" / CONFIGS[run_id][-1]).is_file()


@pytest.mark.slow
def test_a_training_is_a_child_of_the_run_that_mlflow_opened(project: Path, tmp_path: Path) -> None:
    (project / "mlflow").mkdir(exist_ok=True)
    shutil.copy(MLPROJECT, project / "mlflow")
    store = f"sqlite:///{tmp_path}/runs.db"
    options = {"bundle": NAME, "layer": "smoke", "manifest": "data/synthetic.json", "dataset_dir": "data"}
    given = [f"-P{key}={value}" for key, value in {**options, "output_dir": tmp_path / "out"}.items()]
    subprocess.run(
        [sys.executable, "-m", "mlflow", "run", "mlflow", "-e", "training", "--env-manager", "local", *given],
        cwd=project,
        env={**os.environ, "MLFLOW_TRACKING_URI": store, "OMP_NUM_THREADS": "1", "PATH": on_path()},
        check=True,
        timeout=300,
    )
    client = MlflowClient(tracking_uri=store)
    runs = client.search_runs([item.experiment_id for item in client.search_experiments()])
    (child,) = [run for run in runs if run.data.tags.get("stage") == "train"]
    (parent,) = [run for run in runs if run.info.run_id != child.info.run_id]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (child.info.status, parent.info.status) == ("FINISHED", "FINISHED")
