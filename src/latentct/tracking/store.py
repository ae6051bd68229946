"""Where runs and models are kept: the store named by `MLFLOW_TRACKING_URI`, otherwise SQLite below `mlflow/` here."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Names the store in the environment.
VARIABLE = "MLFLOW_TRACKING_URI"
_SQLITE = "sqlite:///"


def tracking_uri() -> str:
    """Return the URI of the store: the environment's, or `mlflow/mlruns.db` in the working directory."""
    database = Path.cwd() / "mlflow" / "mlruns.db"
    return os.environ.get(VARIABLE) or f"{_SQLITE}{database.as_posix()}"


def connect() -> MlflowClient:
    """Return a client of the store, made when it is missing. Usage statistics and bars stay off unless asked for."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking", "mlflow.system_metrics"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*noload.*")  # MLflow's own use of SQLAlchemy
    from filelock import FileLock
    from mlflow import MlflowClient

    uri = tracking_uri()
    if not uri.startswith(_SQLITE):
        return MlflowClient(tracking_uri=uri)
    database = Path(uri.removeprefix(_SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):  # two processes that make the tables at once would leave half of them
        return MlflowClient(tracking_uri=uri)


@contextmanager
def used_by_mlflow() -> Iterator[None]:
    """Let MLflow itself use the store meanwhile, for what it looks up without asking a client for the place.

    MLflow keeps its choice in the environment too, which is put back as it was.
    """
    import mlflow

    before = os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(tracking_uri())
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ[VARIABLE] = before


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment, made when it is missing; artifacts of a SQLite store lie beside its database."""
    from mlflow.exceptions import MlflowException

    uri = tracking_uri()
    location = None
    if uri.startswith(_SQLITE):
        location = (Path(uri.removeprefix(_SQLITE)).resolve().parent / "artifacts").as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)
