"""Where runs are kept: the store named by `MLFLOW_TRACKING_URI`, otherwise SQLite in the folder of the results."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


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
    warnings.filterwarnings("ignore", message=".*noload.*")  # MLflow's own use of SQLAlchemy
    from filelock import FileLock
    from mlflow import MlflowClient

    uri = tracking_uri(output_dir)
    if not uri.startswith("sqlite:///"):
        return MlflowClient(tracking_uri=uri)
    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):  # two processes that make the tables at once would leave half of them
        return MlflowClient(tracking_uri=uri)


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
