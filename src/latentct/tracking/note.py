"""The note beside the results that says which run made them, so that a resumed training continues it."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)


def write_note(path: Path, run_id: str) -> None:
    """Note a run and the process that writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid()}) + "\n", "utf-8")


def noted_run(client: MlflowClient, path: Path, stage: str, resume: bool) -> str | None:
    """Return the noted run to continue, set to RUNNING again, or None; close what a dead process left open.

    Args:
        client: MLflow client of the store.
        path: the note.
        stage: tag of the run; another stage's run is not continued.
        resume: whether to continue a run at all.
    """
    from mlflow.exceptions import MlflowException

    try:
        noted = json.loads(path.read_text("utf-8"))
        run = client.get_run(noted["run_id"])
    except (OSError, ValueError, KeyError, MlflowException) as error:
        if resume:
            logger.warning("No run to continue (%s): a new one is started.", type(error).__name__)
        return None
    if resume and run.data.tags.get("stage") == stage:
        client.update_run(noted["run_id"], status="RUNNING")
        return str(noted["run_id"])
    if run.info.status == "RUNNING" and not _alive(noted):
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
