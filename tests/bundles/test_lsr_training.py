"""Training of `lsr_truncation` with its smoke layer: as a user starts it, killed and resumed, and in two processes."""

import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from monai.bundle import ConfigParser

from latentct.engines import load_weights

from .. import checks
from .conftest import DataSet, Run, finish, monai_command, read_json, succeed

pytestmark = pytest.mark.slow

BUNDLE = checks.ROOT / "bundles" / "lsr_truncation"
TRAIN = monai_command(BUNDLE, "training", "train", "smoke")
KILL_LAYER = """
"+train::handlers":
- {_target_: tests.bundles.killing.KillAt, tracker: "@train::tracker", iteration: 15}
"""


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


def curve(output_dir: Path, name: str) -> list[tuple[int, float]]:
    """The points of a metric of the only run there is."""
    client, (run,) = tracked_runs(output_dir)
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


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


def test_killed_training_goes_on_as_if_it_had_not_been(data_set: DataSet, tmp_path: Path) -> None:
    """Killed in the middle of the second of three epochs, with points of that epoch in the store."""
    epochs, iterations = 3, 10
    lengths = ["--epochs", str(epochs), "--slices_per_epoch", str(4 * iterations), "--train::tracker::log_every", "1"]
    options = [*data_set.options(), *lengths]
    whole = succeed([*TRAIN, *options], tmp_path / "whole")
    layer = tmp_path / "kill.yaml"
    layer.write_text(KILL_LAYER)
    files = [BUNDLE / "configs" / "train.yaml", BUNDLE / "configs" / "smoke.yaml", layer]
    command = [*TRAIN[:-1], repr([str(file) for file in files])]
    assert finish([*command, *options], tmp_path / "parts").code == -signal.SIGKILL
    _, (killed,) = tracked_runs(tmp_path / "parts")
    assert killed.info.status == "RUNNING"
    assert curve(tmp_path / "parts", "train/loss") == curve(tmp_path / "whole", "train/loss")[: iterations + 5]

    parts = succeed([*TRAIN, *options, "--resume", "True"], tmp_path / "parts")
    _, (resumed,) = tracked_runs(tmp_path / "parts")
    assert (resumed.info.run_id, resumed.info.status) == (killed.info.run_id, "FINISHED")
    assert read_json(tmp_path / "parts" / "mlflow_run.json")["run_id"] == resumed.info.run_id
    for name in ("train/loss", "train/lr", "val/body_mae_hu", "val_best/body_mae_hu"):
        assert curve(parts.output_dir, name) == curve(whole.output_dir, name), name
    assert [step for step, _ in curve(parts.output_dir, "train/loss")] == list(range(1, epochs * iterations + 1))
    assert [step for step, _ in curve(parts.output_dir, "val/body_mae_hu")] == list(range(1, epochs + 1))
    trained, uninterrupted = (torch.load(run.output_dir / "model.pt", weights_only=True) for run in (parts, whole))
    assert all(torch.equal(trained[name], uninterrupted[name]) for name in uninterrupted)


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
