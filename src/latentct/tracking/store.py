"""Where runs are kept: the store named by `MLFLOW_TRACKING_URI`, otherwise SQLite in the folder of the results."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

ATTEMPTS = 5


def tracking_uri(output_dir: Path) -> str:
    """Return the URI of the store: the environment's, or `<output_dir>/mlflow/mlruns.db`."""
    from monai.utils import path_to_sqlite_uri

    database = (output_dir / "mlflow" / "mlruns.db").resolve()
    return os.environ.get("MLFLOW_TRACKING_URI") or str(path_to_sqlite_uri(str(database)))


def connect(output_dir: Path) -> MlflowClient:
    """Return a client of the store, made when it is missing. Usage statistics stay off unless they are asked for."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    uri = tracking_uri(output_dir)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        try:
            return MlflowClient(tracking_uri=uri)
        except (MlflowException, SQLAlchemyError):  # another process makes the tables at this moment
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(1.0 + attempt)
    raise AssertionError("unreachable")


def experiment_id(client: MlflowClient, name: str, output_dir: Path) -> str:
    """Return the id of an experiment, made when it is missing; artifacts of a SQLite store lie beside its database."""
    from mlflow.exceptions import MlflowException

    uri = tracking_uri(output_dir)
    location = None
    if uri.startswith("sqlite:///"):
        location = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "artifacts").as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)
