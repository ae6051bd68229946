"""A project folder with a small bundle, and MLflow servers on loopback to which everything goes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .. import checks
from ..bundles.conftest import DataSet, data_set

__all__ = ["data_set"]

BUNDLE = Path("bundles") / "lsr_truncation"
SMALL_NETWORK = {
    "channels": [8, 16],
    "latent_channels": [1, 2],
    "num_res_blocks": [1, 1],
    "num_attention_blocks": 1,
    "num_head_channels": 8,
    "norm_num_groups": 4,
}
LONGEST_START_S = 120


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, data_set: DataSet) -> Path:
    """A project with synthetic data and a copy of `lsr_truncation` whose network learns in seconds."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(checks.ROOT / BUNDLE, root / BUNDLE, ignore=shutil.ignore_patterns("eval"))
    file = root / BUNDLE / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    metadata["network"] = SMALL_NETWORK
    metadata["search"] |= {"rounds": [3, 3]}
    file.write_text(json.dumps(metadata))
    shutil.copytree(data_set.folder, root / "data")
    return root


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(arguments: list[str], folder: Path, environment: dict[str, str], health: str) -> Iterator[None]:
    """Run `mlflow` with arguments until the block ends; wait until it answers."""
    log = folder / f"{arguments[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            cwd=folder,
            env=os.environ | {"PATH": on_path()} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(health, process, log)
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def on_path() -> str:
    """The search path of an environment that is active: `mlflow` starts further programs of it by name."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + LONGEST_START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"{url} does not answer:\n{log.read_text()[-3000:]}")


def post(url: str, content: dict[str, Any]) -> Any:
    """Answer of a served model."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)
