"""MLflow records of training, evaluation and inference. The only package that imports mlflow."""

from latentct.tracking.logging import MLflowTracker
from latentct.tracking.pipeline import PipelineTracker
from latentct.tracking.results import ResultPublisher
from latentct.tracking.run import open_run, track_run
from latentct.tracking.validation import ValidationTracker
from latentct.tracking.weights import record_weights
from latentct.tracking.writer import TrackedRun

__all__ = [
    "MLflowTracker",
    "PipelineTracker",
    "ResultPublisher",
    "TrackedRun",
    "ValidationTracker",
    "open_run",
    "record_weights",
    "track_run",
]
