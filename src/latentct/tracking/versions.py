"""Versions of registered models: their bundles, and the history of the aliases that point to them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latentct.bundle import refuse_foreign_targets, verify_weights
from latentct.bundle.staging import PRIOR
from latentct.errors import InputError
from latentct.io.manifest import file_sha256
from latentct.tracking.model_folder import bundle_of
from latentct.tracking.registry import WEIGHTS_SHA256
from latentct.tracking.store import VARIABLE, connect, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Rollback:
    """What `rollback` did.

    Attributes:
        name: registered model.
        alias: the alias that moved.
        left: version that it named before.
        version: version that it names now.
    """

    name: str
    alias: str
    left: str
    version: str


def find_version(client: MlflowClient, name: str, version: str) -> ModelVersion:
    """Return a version that `register` made.

    Raises:
        InputError: there is no such version, or it came to the registry in another way.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(name, version)
    except MlflowException as error:
        known = ", ".join(sorted(_versions(client, name))) or "none"
        raise InputError(
            f"model '{name}' has no version '{version}' (versions: {known}); give one that `latentct register` made."
        ) from error
    if WEIGHTS_SHA256 not in found.tags:
        raise InputError(
            f"version {version} of '{name}' has no tag {WEIGHTS_SHA256}; give one that `latentct register` made."
        )
    return found


def version_of_alias(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """Return the version that an alias names; None where it names none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def fetch_bundle(client: MlflowClient, version: ModelVersion, folder: Path) -> Path:
    """Copy the bundle of a version into a folder and see that it is the one that was registered.

    Returns:
        The bundle's folder.

    Raises:
        InputError: its weights are not those that were registered, or its configs name foreign code.
    """
    import mlflow

    uri = client.get_model_version_download_uri(version.name, version.version)
    folder.mkdir(parents=True)
    model = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=tracking_uri())
    root = bundle_of(Path(model))
    verify_weights(root)
    found = file_sha256(root / "models" / PRIOR)
    if found != version.tags[WEIGHTS_SHA256]:  # weights and their list may have been replaced together
        raise InputError(
            f"the weights of version {version.version} of '{version.name}' have SHA-256 {found[:12]}, but the registry "
            f"says {version.tags[WEIGHTS_SHA256][:12]}; register the bundle again."
        )
    refuse_foreign_targets(root)
    return root


def move_alias(client: MlflowClient, name: str, alias: str, version: str) -> None:
    """Let an alias name a version, and add that to the alias's history on the registered model."""
    history = _history(client, name, alias)
    client.set_registered_model_alias(name, alias, version)
    _set_history(client, name, alias, [*history, version])


def rollback(name: str, alias: str) -> Rollback:
    """Give an alias back to the version that it named before; a second rollback goes one further.

    The rollback stands as the tag `alias.<alias>.rolled_back` on the version that the alias left.

    Raises:
        InputError: the alias names nothing, nothing came before, or what came before was deleted.
    """
    client = connect()
    history = _history(client, name, alias)
    if len(history) < 2:
        raise InputError(
            f"alias '{alias}' of '{name}' has named no other version before; promote another version to move it."
        )
    left, version = history[-1], history[-2]
    if version not in _versions(client, name):
        raise InputError(
            f"version {version} of '{name}', which alias '{alias}' named before, was deleted; promote another version."
        )
    client.set_registered_model_alias(name, alias, version)
    _set_history(client, name, alias, history[:-1])
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    client.set_model_version_tag(name, left, f"alias.{alias}.rolled_back", f"to version {version}, {when}")
    return Rollback(name, alias, left, version)


def serve_command(model: str) -> str:
    """Return the command that serves a model of the store, e.g. `name@alias`.

    A store that the environment names is not repeated: it may hold a password.
    """
    store = "" if VARIABLE in os.environ else f"{VARIABLE}={tracking_uri()} "
    return f'{store}mlflow models serve -m "models:/{model}" --env-manager local'


def _history(client: MlflowClient, name: str, alias: str) -> list[str]:
    """Return the versions that an alias has named, the newest last; what was moved by other means counts too."""
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(name).tags
    except MlflowException as error:
        raise InputError(f"model '{name}' is not in the registry; register a bundle under that name first.") from error
    history = list(json.loads(tags.get(_history_tag(alias), "[]")))
    now = version_of_alias(client, name, alias)
    if now is not None and history[-1:] != [str(now.version)]:
        history.append(str(now.version))
    return history


def _set_history(client: MlflowClient, name: str, alias: str, versions: list[str]) -> None:
    client.set_registered_model_tag(name, _history_tag(alias), json.dumps(versions))


def _history_tag(alias: str) -> str:
    return f"alias.{alias}.history"


def _versions(client: MlflowClient, name: str) -> set[str]:
    """Return the versions that a model has; MLflow gives them as text or as numbers, whatever the store."""
    return {str(one.version) for one in client.search_model_versions(f"name = '{name}'")}
