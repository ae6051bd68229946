"""One MLflow run: metrics in a buffer, texts without patients, closed with a status that says what happened."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentct.tracking.privacy import Redactor
from latentct.tracking.provenance import flatten
from latentct.tracking.store import tracking_uri

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

FLUSH_SECONDS = 15.0
MAX_METRICS, MAX_PARAMS, MAX_TAGS = 1000, 100, 100
MAX_VALUE_CHARACTERS = 5000


class TrackedRun:
    """Writer of one MLflow run.

    Metrics wait in memory and are written together every `FLUSH_SECONDS`, when the buffer is full, and at the end:
    a write costs about as much as some iterations of a small network. Every text passes `redact`.

    A training that was killed repeats the iterations behind its last checkpoint. Of a resumed run, points at or below
    the last step that the store had of a metric are therefore left out.

    Args:
        client: MLflow client of the store.
        run_id: an existing run of that store.
        redact: what removes paths and identifiers from texts.
        resumed: the run was written by another process before.

    Attributes:
        licences: those of the data, as `latentct.tracking.data.licence_list` gives them.
    """

    def __init__(self, client: MlflowClient, run_id: str, redact: Redactor, resumed: bool = False) -> None:
        self.client = client
        self.run_id = run_id
        self.redact = redact
        self.resumed = resumed
        self.licences: list[dict[str, Any]] = []
        self.status = "RUNNING"
        self._last_steps: dict[str, int] = {}
        self._monitor: SystemMetricsMonitor | None = None
        self._buffer: list[Metric] = []
        self._flushed_at = time.monotonic()
        self._pid = os.getpid()
        atexit.register(self._abandon)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters, nested ones flattened; of a known one another value becomes the tag `changed.<name>`."""
        from mlflow.entities import Param

        known = self.client.get_run(self.run_id).data.params
        values = {key: self.redact(str(value))[:MAX_VALUE_CHARACTERS] for key, value in flatten(params).items()}
        self.log_tags({f"changed.{key}": value for key, value in values.items() if known.get(key, value) != value})
        new = [Param(key, value) for key, value in values.items() if key not in known]
        for start in range(0, len(new), MAX_PARAMS):
            self.client.log_batch(self.run_id, params=new[start : start + MAX_PARAMS])

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Record or overwrite tags."""
        from mlflow.entities import RunTag

        rows = [RunTag(key, self.redact(str(value))[:MAX_VALUE_CHARACTERS]) for key, value in tags.items()]
        for start in range(0, len(rows), MAX_TAGS):
            self.client.log_batch(self.run_id, tags=rows[start : start + MAX_TAGS])

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Put numbers, nested ones flattened, in the buffer; what is not a number is left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for key, value in flatten(metrics).items():
            if isinstance(value, bool | str) or value is None or step <= self._last_step(key):
                continue
            self._buffer.append(Metric(key, float(value), now, step))
        if len(self._buffer) >= MAX_METRICS or time.monotonic() - self._flushed_at > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered metrics."""
        while self._buffer:
            self.client.log_batch(self.run_id, metrics=self._buffer[:MAX_METRICS])
            del self._buffer[:MAX_METRICS]
        self._flushed_at = time.monotonic()

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Copy a file, or all a directory holds, into a folder of the run's artifacts."""
        upload = self.client.log_artifacts if Path(path).is_dir() else self.client.log_artifact
        upload(self.run_id, str(path), folder)

    def log_text(self, text: str, name: str) -> None:
        """Write a text artifact; paths and identifiers in it are removed line by line."""
        self.client.log_text(self.run_id, "\n".join(map(self.redact, text.split("\n"))), name)

    def log_image(self, image: np.ndarray, name: str) -> None:
        """Write an (H, W) or (H, W, 3) uint8 image as a PNG artifact."""
        self.client.log_image(self.run_id, image, artifact_file=name)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Write a configuration as `config/resolved.yaml`, or `resolved_2.yaml` and so on in a continued run."""
        import yaml

        count = len(self.client.list_artifacts(self.run_id, "config")) + 1
        name = "config/resolved.yaml" if count == 1 else f"config/resolved_{count}.yaml"
        self.client.log_text(self.run_id, yaml.safe_dump(self.redact.tree(config), sort_keys=False), name)

    def log_datasets(self, datasets: Sequence[DatasetInput]) -> None:
        """Record what data the run uses; what it knows already is not repeated."""
        self.client.log_inputs(self.run_id, datasets)

    def known_metric(self, key: str) -> float | None:
        """Return the last value that another process wrote of a metric, None without one."""
        return self.client.get_run(self.run_id).data.metrics.get(key) if self.resumed else None

    def watch_system(self, every_s: float) -> None:
        """Record the load of CPU, memory, disk, network and GPU as `system/...` until the run is closed.

        Args:
            every_s: seconds between two points.
        """
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(
            self.run_id, sampling_interval=every_s, resume_logging=self.resumed, tracking_uri=tracking_uri()
        )
        self._monitor.start()

    def finish(self) -> None:
        """Write what is left and close the run as FINISHED."""
        self._close("FINISHED")

    def fail(self, error: BaseException) -> None:
        """Close the run as KILLED when it was interrupted, otherwise as FAILED, with the error as a tag."""
        if self.status in ("FAILED", "KILLED"):
            return
        self.log_tags({"error": f"{type(error).__name__}: {error}"[:500]})
        self._close("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")

    def _last_step(self, key: str) -> int:
        """Return the last step that other processes wrote of a metric, -1 without one; the store is asked once."""
        if not self.resumed:
            return -1
        if key not in self._last_steps:
            history = self.client.get_metric_history(self.run_id, key)
            self._last_steps[key] = max((point.step for point in history), default=-1)
        return self._last_steps[key]

    def _close(self, status: str) -> None:
        if self._monitor is not None:
            self._monitor.finish()
        self.flush()
        self.client.set_terminated(self.run_id, status)
        self.status = status
        atexit.unregister(self._abandon)

    def _abandon(self) -> None:
        """At the end of a process that never closed its run. Forked workers inherit the hook but own no run."""
        if os.getpid() == self._pid:
            self._close("KILLED")
