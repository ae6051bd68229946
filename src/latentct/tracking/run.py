"""One MLflow run: opened or continued, metrics in a buffer, closed with a status that says what happened."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentct.errors import root_cause
from latentct.io.manifest import load_manifest
from latentct.tracking.privacy import Redactor, identifiers
from latentct.tracking.provenance import config_params, flatten, git_state, manifest_tags, package_versions
from latentct.tracking.store import connect, experiment_id

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import Metric

#: Beside the results: which run a resumed training continues.
RUN_FILE = "mlflow_run.json"
FLUSH_SECONDS = 15.0
MAX_METRICS, MAX_PARAMS, MAX_TAGS = 1000, 100, 100
MAX_VALUE_CHARACTERS = 5000

logger = logging.getLogger(__name__)


class TrackedRun:
    """Writer of one MLflow run.

    Metrics wait in memory and are written together every `FLUSH_SECONDS`, when the buffer is full, and at the end:
    a write costs about as much as some iterations of a small network. Every text passes `redact`.

    Args:
        client: MLflow client of the store.
        run_id: an existing run of that store.
        redact: what removes paths and identifiers from texts.
    """

    def __init__(self, client: MlflowClient, run_id: str, redact: Redactor) -> None:
        self.client = client
        self.run_id = run_id
        self.redact = redact
        self.status = "RUNNING"
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
            if isinstance(value, bool | str) or value is None:
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

    def finish(self) -> None:
        """Write what is left and close the run as FINISHED."""
        self._close("FINISHED")

    def fail(self, error: BaseException) -> None:
        """Close the run as KILLED when it was interrupted, otherwise as FAILED, with the error as a tag."""
        if self.status in ("FAILED", "KILLED"):
            return
        self.log_tags({"error": f"{type(error).__name__}: {error}"[:500]})
        self._close("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")

    def _close(self, status: str) -> None:
        self.flush()
        self.client.set_terminated(self.run_id, status)
        self.status = status
        atexit.unregister(self._abandon)

    def _abandon(self) -> None:
        """At the end of a process that never closed its run. Forked workers inherit the hook but own no run."""
        if os.getpid() == self._pid:
            self._close("KILLED")


def open_run(
    output_dir: str | Path,
    experiment_name: str,
    run_name: str | None = None,
    *,
    stage: str,
    params: Mapping[str, Any] | None = None,
    manifest: str | Path | None = None,
    config: Mapping[str, Any] | None = None,
    resume: bool = False,
    started_at: float | None = None,
) -> TrackedRun:
    """Open a new run, or with `resume` the one noted in `<output_dir>/mlflow_run.json`, and record where it comes from.

    Args:
        output_dir: folder of the results, which holds the note of the run.
        experiment_name: MLflow experiment, made when it is missing.
        run_name: name shown by MLflow; default stage, date and process number.
        stage: `train`, `evaluate` or `infer`, kept as a tag.
        params: further parameters, nested or flat.
        manifest: data manifest, of which the file's name and SHA-256 and that of the volumes it lists are kept.
        config: resolved configuration, kept as an artifact; its plain top values become parameters.
        resume: continue the noted run. A missing note, or a run the store does not know, starts a new one.
        started_at: seconds since 1970 at which the work began; default now.

    Returns:
        The open run. Runs that a dead process left open in this folder are closed as KILLED.

    Raises:
        InputError: If the manifest is missing or bad; no run is opened then.
    """
    volumes = load_manifest(manifest)["volumes"] if manifest is not None else []
    client = connect()
    experiment = experiment_id(client, experiment_name)
    note = Path(output_dir) / RUN_FILE
    run_id = _noted_run(client, note, resume)
    if run_id is None:
        name = run_name or f"{stage}_{time.strftime('%Y%m%d_%H%M%S')}_{os.getpid()}"
        start_ms = int(1000 * (started_at or time.time()))
        run_id = client.create_run(experiment, start_time=start_ms, run_name=name).info.run_id
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid()}) + "\n", "utf-8")
    run = TrackedRun(client, run_id, Redactor(identifiers(volumes)))
    run.log_tags({"stage": stage, **git_state(), **package_versions(), **manifest_tags(manifest, volumes)})
    run.log_params({**config_params(config or {}), **(params or {})})
    if config is not None:
        run.log_config(config)
    return run


@contextmanager
def track_run(
    output_dir: str | Path,
    experiment_name: str,
    run_name: str | None = None,
    *,
    stage: str,
    params: Mapping[str, Any] | None = None,
    manifest: str | Path | None = None,
    config: Mapping[str, Any] | None = None,
) -> Iterator[TrackedRun]:
    """Track a stage without an engine: FINISHED when the block ends, FAILED or KILLED when it raises.

    Args are those of `open_run`.

    Example:
        with track_run("out", "lsr_truncation", stage="evaluate", params={"seed": 0}) as run:
            run.log_metrics(evaluate())
            run.log_artifact("out/metrics.json")
    """
    run = open_run(output_dir, experiment_name, run_name, stage=stage, params=params, manifest=manifest, config=config)
    try:
        yield run
    except BaseException as error:
        run.fail(root_cause(error))
        raise
    run.finish()


def _noted_run(client: MlflowClient, note: Path, resume: bool) -> str | None:
    """Return the run to continue, set to RUNNING again, or None; close what a dead process left open."""
    from mlflow.exceptions import MlflowException

    try:
        noted = json.loads(note.read_text("utf-8"))
        status = client.get_run(noted["run_id"]).info.status
    except (OSError, ValueError, KeyError, MlflowException) as error:
        if resume:
            logger.warning("No run to continue (%s): a new one is started.", type(error).__name__)
        return None
    if resume:
        client.update_run(noted["run_id"], status="RUNNING")
        return str(noted["run_id"])
    if status == "RUNNING" and not _alive(noted):
        client.set_terminated(noted["run_id"], "KILLED")
    return None


def _alive(noted: Mapping[str, Any]) -> bool:
    """Tell whether the noted process may still run; yes when that cannot be known (another host, not POSIX)."""
    if os.name != "posix" or noted.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(noted["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
