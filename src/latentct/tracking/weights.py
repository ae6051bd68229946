"""Which training a file of weights comes from, whatever became of the file since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from latentct.engines import weights_sha256
from latentct.tracking.logging import MLflowTracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Tag of a training: the weights that it exported.
EXPORTED_SHA256 = "exported.sha256"


def record_weights(tracker: MLflowTracker, path: str | Path) -> None:
    """Tag the run of a finished training with the hash of the weights that it exported.

    Args:
        tracker: the training's; without a run, as where other handlers took its place, nothing is recorded.
        path: file of the weights.
    """
    if tracker.run is not None:
        tracker.run.log_tags({EXPORTED_SHA256: weights_sha256(path)})


def training_of(client: MlflowClient, sha256: str) -> str | None:
    """Return the newest run of the store that exported weights with this hash; None where there is none."""
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    wanted = f"tags.`{EXPORTED_SHA256}` = '{sha256}'"
    found = client.search_runs(everywhere, wanted, max_results=1, order_by=["attributes.start_time DESC"])
    return str(found[0].info.run_id) if found else None
