"""Figures of a finished evaluation, in the run that made it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentct.tracking.logging import MLflowTracker


class ResultPublisher:
    """Record what `latentct.engines.MethodComparison` found: mean figures as metrics, its files as artifacts.

    Args:
        tracker: tracker attached to the same evaluator.
    """

    def __init__(self, tracker: MLflowTracker) -> None:
        self.tracker = tracker

    def __call__(self, summary: Mapping[str, Any], folder: Path) -> None:
        """Record `summary["methods"]` as `<method>/<metric>`, and the table and pictures of `folder` in `results`."""
        run = self.tracker.run
        if run is None:
            return
        for method, figures in summary["methods"].items():
            means = {name: value["mean"] if isinstance(value, Mapping) else value for name, value in figures.items()}
            run.log_metrics({f"{method}/{name}": value for name, value in means.items()})
        for path in [*sorted(folder.glob("*.png")), folder / "metrics.json"]:
            run.log_artifact(path, "results")
