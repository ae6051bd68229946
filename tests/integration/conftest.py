"""A project folder with a small bundle and data."""

import shutil
from pathlib import Path

import pytest

from ..bundles.conftest import DataSet, data_set
from ..small_bundle import copy_small_bundle

__all__ = ["data_set"]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, data_set: DataSet) -> Path:
    """A project with a small bundle and the synthetic data in `data`."""
    root = tmp_path_factory.mktemp("project")
    copy_small_bundle(root, rounds=(3, 3))
    shutil.copytree(data_set.folder, root / "data")
    return root
