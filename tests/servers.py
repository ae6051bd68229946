"""MLflow's servers on loopback, for tests that send requests to them."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

LONGEST_START_S = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_path() -> str:
    """The search path of an environment that is active: `mlflow` starts further programs of it by name."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@contextmanager
def mlflow_server(
    arguments: Sequence[str], folder: Path, health: str, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `mlflow` with arguments in a folder until the block ends; it is entered when `health` answers."""
    log = folder / f"{arguments[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            cwd=folder,
            env={**os.environ, "PATH": on_path(), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(health, process, log)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + LONGEST_START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"{url} does not answer:\n{log.read_text()[-3000:]}")
