"""Bundles as versions in the MLflow registry, each with the evaluation that justifies it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from latentct.bundle import StagedBundle, refuse_foreign_targets, stage_bundle
from latentct.bundle.staging import PRIOR
from latentct.errors import InputError
from latentct.serving import input_example
from latentct.tracking.model_folder import describe, metadata, write_model
from latentct.tracking.provenance import git_state
from latentct.tracking.run import track_run
from latentct.tracking.store import connect, used_by_mlflow
from latentct.tracking.weights import training_of
from latentct.tracking.writer import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.models import Model

#: Parameter of a run and tag of a version: the weights that they are of.
WEIGHTS_SHA256 = "weights.sha256"
MANIFEST_TAGS = ("manifest.name", "manifest.sha256", "manifest.volumes_sha256")
#: Metrics of the short table in a version's description.
SHOWN = ("mae_inside_hu", "mae_outside_hu", "rmse_hu", "mae_hu", "psnr", "ssim")
_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class RegisteredVersion:
    """What `register` made.

    Attributes:
        name: registered model.
        version: number of the version.
        run_id: run that registered it.
        evaluation_run_id: run that justifies it.
        training_run_id: run that trained its weights; None where that is not known.
    """

    name: str
    version: str
    run_id: str
    evaluation_run_id: str
    training_run_id: str | None


def register(
    bundle: Path, evaluation_run_id: str, weights: Path | None = None, name: str | None = None
) -> RegisteredVersion:
    """Register a clean copy of a bundle, with the weights that an evaluation in the same store is of.

    Nothing is written to the store before the copy, made a model, has answered its own example.

    Args:
        bundle: the bundle's folder.
        evaluation_run_id: finished run of `evaluating` of this bundle with these weights.
        weights: weights to register in place of the bundle's own.
        name: registered model, made when it is missing; default the name of the bundle's folder.

    Returns:
        The new version.

    Raises:
        InputError: the run does not justify these weights, the bundle is broken or names foreign code, or the name is
            none that MLflow takes.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise InputError(f"--name is '{name}'; give letters, digits, '_', '-' and '.' only.")
    client = connect()
    evaluation = finished_evaluation(client, evaluation_run_id)
    with TemporaryDirectory() as temporary:
        staged = stage_bundle(bundle, Path(temporary) / bundle.resolve().name, weights)
        refuse_foreign_targets(staged.root)
        _refuse_other_evaluation(evaluation, staged)
        training_run_id = training_of(client, staged.weights_sha256[PRIOR])
        folder = Path(temporary) / "model"
        model = write_model(folder, staged, [input_example(staged.root)])
        name = name or staged.name
        tags = _tags(staged, evaluation, training_run_id)
        with track_run(temporary, staged.name, stage="register", params={"model": name}) as run:
            run.log_tags(tags)
            _upload(run, folder, model, staged.name)
            _make_model(client, name)
            with used_by_mlflow():  # the registry of a database looks up the model where MLflow would
                version = client.create_model_version(
                    name,
                    f"models:/{model.model_id}",
                    run.run_id,
                    tags={**tags, **git_state()},
                    description=_description(staged, evaluation),
                    model_id=model.model_id,
                ).version
            run.log_tags({"model.name": name, "model.version": str(version)})
    return RegisteredVersion(name, str(version), run.run_id, evaluation_run_id, training_run_id)


def finished_evaluation(client: MlflowClient, run_id: str) -> Run:
    """Return a run of the store that ended well and evaluated weights.

    Raises:
        InputError: there is no such run, or it is another kind of run or did not end well.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise InputError(
            f"run '{run_id}' is not in the store; give the id of a run of `evaluating`, and the store that holds it as "
            "MLFLOW_TRACKING_URI."
        ) from error
    stage = run.data.tags.get("stage", "none")
    if stage != "evaluate":
        raise InputError(
            f"run '{run_id}' has the stage '{stage}'; give a run of `evaluating`, with the stage 'evaluate'."
        )
    if run.info.status != "FINISHED":
        raise InputError(f"run '{run_id}' is {run.info.status}; evaluate again and give a run that is FINISHED.")
    return run


def _refuse_other_evaluation(evaluation: Run, staged: StagedBundle) -> None:
    run_id, params = evaluation.info.run_id, evaluation.data.params
    own, evaluated = metadata(staged)["name"], params.get("bundle.name")
    if evaluated != own:
        raise InputError(f"run '{run_id}' evaluated the bundle '{evaluated}', not '{own}'; give one of this bundle.")
    sha256 = staged.weights_sha256[PRIOR]
    used = params.get(WEIGHTS_SHA256, "none")
    if used != sha256:
        raise InputError(
            f"run '{run_id}' evaluated weights with SHA-256 {used[:12]}, but those to register have {sha256[:12]}; "
            "evaluate these weights, or register those with --weights."
        )


def _tags(staged: StagedBundle, evaluation: Run, training_run_id: str | None) -> dict[str, str]:
    """Return what a version says of itself: which bundle, weights, evaluation, training and data."""
    known = {"training.run_id": training_run_id} if training_run_id else {}
    return {
        "bundle": staged.name,
        "bundle.version": staged.version,
        WEIGHTS_SHA256: staged.weights_sha256[PRIOR],
        "evaluation.run_id": evaluation.info.run_id,
        **known,
        **{key: evaluation.data.tags[key] for key in MANIFEST_TAGS if key in evaluation.data.tags},
    }


def _upload(run: TrackedRun, folder: Path, model: Model, name: str) -> None:
    """Give the model an identity in the store, and copy its folder there as an output of the run."""
    from mlflow.entities import LoggedModelOutput

    client = run.client
    experiment = client.get_run(run.run_id).info.experiment_id
    model_id = client.create_logged_model(experiment, name=name, source_run_id=run.run_id).model_id
    model.run_id, model.model_id, model.model_uuid, model.artifact_path = run.run_id, model_id, model_id, "model"
    describe(folder, model)
    try:
        client.log_model_artifacts(model_id, str(folder))
    except BaseException:
        client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")
    client.log_outputs(run.run_id, [LoggedModelOutput(model_id, step=0)])


def _make_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _description(staged: StagedBundle, evaluation: Run) -> str:
    """Return the bundle's card in short, with the figures of the evaluation as a Markdown table."""
    about = metadata(staged)
    params, tags = evaluation.data.params, evaluation.data.tags
    where = f"split `{params.get('split')}` of `{tags.get('manifest.name')}`, run `{evaluation.info.run_id}`"
    texts = (f"{about['name']} {staged.version}: {about['task']}.", about.get("intended_use", ""))
    return "\n\n".join(
        [" ".join(filter(None, texts)), f"Means over patients, {where}:", _table(evaluation.data.metrics)]
    )


def _table(metrics: Mapping[str, Any]) -> str:
    """Return metrics named `<method>/<metric>` as a Markdown table with a row a method."""
    methods: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        method, _, metric = key.rpartition("/")
        if metric in SHOWN and method:
            methods.setdefault(method, {})[metric] = value
    columns = [metric for metric in SHOWN if any(metric in figures for figures in methods.values())]
    rows = [["method", *columns], ["---"] * (len(columns) + 1)]
    rows += [
        [name, *(f"{figures[m]:.4g}" if m in figures else "-" for m in columns)] for name, figures in methods.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
