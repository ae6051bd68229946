"""Training of `lsr_truncation` with its smoke layer: as a user starts it, killed and resumed, and in two processes."""

import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from monai.bundle import ConfigParser

from latentct.engines import load_weights

from .. import checks
from .conftest import DataSet, Run, finish, monai_command, read_json, start, succeed

pytestmark = pytest.mark.slow

BUNDLE = checks.ROOT / "bundles" / "lsr_truncation"
TRAIN = monai_command(BUNDLE, "training", "train", "smoke")
LONGEST_WAIT_S = 300


@pytest.fixture(scope="module")
def trained(data_set: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return succeed([*TRAIN, *data_set.options()], tmp_path_factory.mktemp("trained"))


def smoke_config() -> ConfigParser:
    folder = BUNDLE / "configs"
    return checks.parse([folder / "train.yaml", folder / "smoke.yaml"])


def tracked_runs(output_dir: Path) -> tuple[MlflowClient, list[Any]]:
    client = MlflowClient(tracking_uri=f"sqlite:///{output_dir}/mlflow/mlruns.db")
    return client, client.search_runs([item.experiment_id for item in client.search_experiments()])


def steps(output_dir: Path, run_id: str, name: str) -> list[int]:
    client, _ = tracked_runs(output_dir)
    return [point.step for point in client.get_metric_history(run_id, name)]


def test_training_leaves_weights_that_fit_the_network(trained: Run) -> None:
    network = smoke_config().get_parsed_content("network_def")
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, trained.output_dir / "model.pt")
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, fresh[name])]
    assert moved


def test_training_is_tracked(trained: Run, data_set: DataSet) -> None:
    client, (run,) = tracked_runs(trained.output_dir)
    epochs = smoke_config()["epochs"]
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "0"
    assert run.data.params["epochs"] == str(epochs)
    assert run.data.tags["manifest.name"] == data_set.manifest.name
    assert steps(trained.output_dir, run.info.run_id, "train/loss")[0] == 1
    assert steps(trained.output_dir, run.info.run_id, "val/body_mae_hu") == list(range(1, epochs + 1))
    pictures = [item.path for item in client.list_artifacts(run.info.run_id, "slices")]
    assert pictures == [f"slices/epoch_{epoch:05d}.png" for epoch in range(1, epochs + 1)]


def test_tracked_run_names_no_folder_and_no_patient(trained: Run, data_set: DataSet) -> None:
    _, (run,) = tracked_runs(trained.output_dir)
    (config,) = (trained.output_dir / "mlflow" / "artifacts").rglob("resolved.yaml")
    everything = f"{run.data.params} {run.data.tags} {config.read_text()}"
    for secret in (str(data_set.folder), str(trained.output_dir), "patient_0", "volume_0"):
        assert secret not in everything


def test_killed_training_goes_on_where_it_stopped(data_set: DataSet, tmp_path: Path) -> None:
    process = start([*TRAIN, *data_set.options(), "--epochs", "500"], tmp_path)
    checkpoint = tmp_path / "checkpoints" / "last.pt"
    waited_until = time.monotonic() + LONGEST_WAIT_S
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < waited_until:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    log, _ = process.communicate()
    assert checkpoint.exists(), log[-4000:]
    done = torch.load(checkpoint, weights_only=True)["epoch"]
    _, (killed,) = tracked_runs(tmp_path)
    assert killed.info.status == "RUNNING"

    succeed([*TRAIN, *data_set.options(), "--epochs", str(done + 2), "--resume", "True"], tmp_path)
    assert torch.load(checkpoint, weights_only=True)["epoch"] == done + 2
    _, (resumed,) = tracked_runs(tmp_path)
    assert (resumed.info.run_id, resumed.info.status) == (killed.info.run_id, "FINISHED")
    assert steps(tmp_path, resumed.info.run_id, "val/body_mae_hu")[-2:] == [done + 1, done + 2]
    assert read_json(tmp_path / "mlflow_run.json")["run_id"] == resumed.info.run_id


def test_resume_without_a_checkpoint_is_refused(data_set: DataSet, tmp_path: Path) -> None:
    command = ["-m", "latentct.cli.main", "run", str(BUNDLE), "training", "--layer", "smoke", "--resume", "True"]
    run = finish([*command, *data_set.options()], tmp_path / "out")
    assert run.code == 2
    assert "last.pt" in run.log.splitlines()[-1]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_processes_train_one_model_and_one_run(data_set: DataSet, tmp_path: Path) -> None:
    """`multi_gpu_train` on two CPU processes (gloo) instead of two GPUs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_addr=127.0.0.1", f"--master_port={port}"]
    layers = monai_command(BUNDLE, "training", "train", "smoke", "multi_gpu_train")
    succeed([*torchrun, *layers, *data_set.options()], tmp_path)
    network = smoke_config().get_parsed_content("network_def")
    load_weights(network, tmp_path / "model.pt")
    _, (run,) = tracked_runs(tmp_path)
    assert run.info.status == "FINISHED"
