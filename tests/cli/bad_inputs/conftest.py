"""One process that runs commands, and a bundle that answers in a second, for all of these tests."""

import sys
from pathlib import Path

import pytest

from ...serving.conftest import stage_small
from .run import Runner

# Pipes, devices, limits and peaks of memory are as Linux has them.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    pytest.importorskip("openjpeg")
    runner = Runner(tmp_path_factory.mktemp("fuzz"))
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    return stage_small(tmp_path_factory.mktemp("staged"), "lsr_truncation")
