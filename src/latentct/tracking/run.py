"""Open one MLflow run, or continue it, and say where it comes from."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentct.errors import root_cause
from latentct.io.manifest import load_manifest
from latentct.tracking.data import dataset_inputs, licence_list, licence_tag
from latentct.tracking.note import noted_run, write_note
from latentct.tracking.privacy import Redactor, identifiers, places
from latentct.tracking.provenance import config_params, git_state, hardware, manifest_tags, package_versions
from latentct.tracking.store import connect, experiment_id
from latentct.tracking.writer import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Beside the results: which run a resumed training continues.
RUN_FILE = "mlflow_run.json"
#: Names the run whose child a new run becomes; `mlflow run` sets it, and so does a training of stages.
PARENT_VARIABLE = "MLFLOW_RUN_ID"

logger = logging.getLogger(__name__)


def open_run(
    output_dir: str | Path,
    experiment_name: str,
    run_name: str | None = None,
    *,
    stage: str,
    params: Mapping[str, Any] | None = None,
    manifest: str | Path | None = None,
    splits: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    resume: bool = False,
    started_at: float | None = None,
    note: str = RUN_FILE,
) -> TrackedRun:
    """Open a new run, or with `resume` the one noted in `<output_dir>/mlflow_run.json`, and record where it comes from.

    While the environment's `MLFLOW_RUN_ID` names a run of the store, a new run becomes a child of it.

    Args:
        output_dir: folder of the results, which holds the note of the run.
        experiment_name: MLflow experiment, made when it is missing.
        run_name: name shown by MLflow; default stage, date and process number.
        stage: `train`, `evaluate`, `infer` or the name of a stage of a longer training, kept as a tag.
        params: further parameters, nested or flat.
        manifest: data manifest, of which the file's name and SHA-256, that of its volumes and their licences are kept.
        splits: the manifest's splits that are used, each kept as a data set; none: the licences of all volumes count.
        config: resolved configuration, kept as an artifact; its plain top values become parameters.
        resume: continue the noted run. A missing note, or a run the store does not know, starts a new one.
        started_at: seconds since 1970 at which the work began; default now.
        note: name of the note.

    Returns:
        The open run. Runs that a dead process left open in this folder are closed as KILLED.

    Raises:
        InputError: If the manifest is missing or bad; no run is opened then.
    """
    content: dict[str, Any] = load_manifest(manifest) if manifest is not None else {"name": "", "volumes": []}
    volumes, config = content["volumes"], config or {}
    client = connect()
    experiment = experiment_id(client, experiment_name)
    path = Path(output_dir) / note
    continued = noted_run(client, path, stage, resume)
    if continued is None:
        name = run_name or f"{stage}_{time.strftime('%Y%m%d_%H%M%S')}_{os.getpid()}"
        start_ms = int(1000 * (started_at or time.time()))
        created = client.create_run(experiment, start_time=start_ms, tags=_parent_tag(client), run_name=name)
    run_id = continued or created.info.run_id
    write_note(path, run_id)
    run = TrackedRun(client, run_id, Redactor(identifiers(volumes), places(config)), resumed=continued is not None)
    run.licences = licence_list(volume for volume in volumes if not splits or volume["split"] in splits)
    run.log_tags({"stage": stage, **git_state(), **package_versions(), **hardware()})
    run.log_params({**config_params(config), **(params or {})})
    if manifest is not None:
        run.log_tags({**manifest_tags(manifest, volumes), **licence_tag(run.licences)})
        run.log_text(json.dumps(run.licences, indent=2) + "\n", "data/licences.json")
        run.log_datasets(dataset_inputs(manifest, content["name"], volumes, splits, run.redact))
    if config:
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
    splits: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
) -> Iterator[TrackedRun]:
    """Track a stage without an engine: FINISHED when the block ends, FAILED or KILLED when it raises.

    Args are those of `open_run`.

    Example:
        with track_run("out", "lsr_truncation", stage="evaluate", params={"seed": 0}) as run:
            run.log_metrics(evaluate())
            run.log_artifact("out/metrics.json")
    """
    origin: dict[str, Any] = {"params": params, "manifest": manifest, "splits": splits, "config": config}
    run = open_run(output_dir, experiment_name, run_name, stage=stage, **origin)
    try:
        yield run
    except BaseException as error:
        run.fail(root_cause(error))
        raise
    run.finish()


@contextmanager
def children_of(run_id: str) -> Iterator[None]:
    """Make the runs that are opened meanwhile, also by processes that are started, children of a run."""
    before = os.environ.get(PARENT_VARIABLE)
    os.environ[PARENT_VARIABLE] = run_id
    try:
        yield
    finally:
        if before is None:
            del os.environ[PARENT_VARIABLE]
        else:
            os.environ[PARENT_VARIABLE] = before


def _parent_tag(client: MlflowClient) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    parent = os.environ.get(PARENT_VARIABLE)
    if not parent:
        return {}
    try:
        client.get_run(parent)
    except MlflowException:
        logger.warning(
            "%s names run %s, which this store does not know: the run has no parent.", PARENT_VARIABLE, parent
        )
        return {}
    return {"mlflow.parentRunId": parent}
