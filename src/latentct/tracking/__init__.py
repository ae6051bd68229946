"""MLflow records of training, evaluation and inference. The only package that imports mlflow."""

from latentct.tracking.logging import MLflowTracker, ValidationTracker
from latentct.tracking.results import ResultPublisher
from latentct.tracking.run import TrackedRun, open_run, track_run

__all__ = ["MLflowTracker", "ResultPublisher", "TrackedRun", "ValidationTracker", "open_run", "track_run"]
