"""A tiny MONAI training with a tracker, and a reader of what it left in the store."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import MeanAbsoluteError, StatsHandler, ValidationHandler, from_engine

from latentct.tracking import MLflowTracker, ValidationTracker
from latentct.tracking.store import tracking_uri

ITERATIONS = 6


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a store of its own, made when something is recorded."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow/mlruns.db")
    monkeypatch.delenv("RANK", raising=False)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A valid manifest of one volume; the tracker only reads the JSON, not the volume."""
    volume = {
        "id": "hn_jane_doe",
        "image": "ct/hn_jane_doe.nii.gz",
        "patient": "JaneDoe",
        "split": "training",
        "group": "head_neck",
        "sha256": "0" * 64,
        "source": "made up",
        "licence": "CC0-1.0",
        "spacing_mm": [1.0, 1.0, 1.0],
        "shape": [1, 8, 8],
    }
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"name": "set", "volumes": [volume]}))
    return path


def runs(experiment: str = "exp") -> list[Any]:
    """All runs of the test's store, oldest first."""
    client = MlflowClient(tracking_uri=tracking_uri())
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return sorted(found, key=lambda run: run.info.start_time)


def points(run_id: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of one curve."""
    client = MlflowClient(tracking_uri=tracking_uri())
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def artifacts(run_id: str, folder: str = "") -> list[str]:
    """Paths of the artifacts below a folder of a run."""
    client = MlflowClient(tracking_uri=tracking_uri())
    names = []
    for item in client.list_artifacts(run_id, folder):
        names += artifacts(run_id, item.path) if item.is_dir else [item.path]
    return names


def artifact_path(run_id: str, name: str) -> Path:
    """Where an artifact of the test's store lies."""
    store = Path(tracking_uri().removeprefix("sqlite:///")).parent
    (found,) = (store / "artifacts" / run_id).rglob(name)
    return found


def make_trainer(
    tracker: MLflowTracker, epochs: int = 2, loss: Any = None, extra: tuple[Any, ...] = (), items: Any = None
) -> SupervisedTrainer:
    """A one-convolution denoiser whose validation runs every epoch in the tracker's run."""
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    grey = [{"image": torch.full((1, 8, 8), 0.1 * i), "label": torch.zeros(1, 8, 8)} for i in range(ITERATIONS)]
    loader = torch.utils.data.DataLoader(items or grey, batch_size=1)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=network,
        metric_cmp_fn=lambda current, best: current < best,
        key_val_metric={"val_mae": MeanAbsoluteError(output_transform=from_engine(["pred", "label"]))},
        val_handlers=[ValidationTracker(tracker, -1000, 3000, window_hu=(-1000, 1000), difference_hu=500, n_images=3)],
    )
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.25),
        loss_function=loss or torch.nn.L1Loss(),
        train_handlers=[
            tracker,
            ValidationHandler(validator=evaluator, interval=1),
            StatsHandler(output_transform=from_engine(["loss"], first=True)),
            *extra,
        ],
    )


class FailingLoss(torch.nn.Module):
    """L1 that raises in the given call."""

    def __init__(self, error: BaseException, call: int) -> None:
        super().__init__()
        self.error, self.call, self.calls = error, call, 0

    def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.call:
            raise self.error
        return torch.nn.functional.l1_loss(prediction, label)


def grey_levels(path: Path) -> np.ndarray:
    """Pixels of a PNG."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
