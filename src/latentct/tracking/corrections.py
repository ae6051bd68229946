"""A user's corrected scan as an MLflow run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentct.tracking.run import track_run

EXPERIMENT = "corrections"
FILES = ("report.html", "correction.json")


def log_correction(summary: Mapping[str, Any], folder: Path) -> None:
    """Log what was done, and the page that shows it. Neither the image nor a path is logged.

    Args:
        summary: content of `correction.json`.
        folder: the result.
    """
    model = summary["model"]
    params = {
        "task": summary["task"],
        "model.name": model["name"],
        "model.version": model["version"],
        "weights.sha256": model["weights_sha256"],
        "input.sha256": summary["input_sha256"],
    }
    with (
        tempfile.TemporaryDirectory() as scratch,  # for the note of the run, which nobody continues
        track_run(scratch, EXPERIMENT, stage="correct", params=params) as run,
    ):
        run.log_metrics(summary["figures"])
        for name in FILES:
            if (folder / name).is_file():
                run.log_artifact(folder / name)
