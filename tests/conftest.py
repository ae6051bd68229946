"""Fixtures that several folders of tests share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from latentct.io.nifti import write_volume


@pytest.fixture(scope="session", autouse=True)
def _store_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests record, and processes they start, out of the store of this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('store')}/mlruns.db")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        yield


@pytest.fixture
def small_x_hu() -> np.ndarray:
    """A volume of shape (3, 4, 6) whose HU all differ, so that every flip and swap of axes shows."""
    return np.arange(72, dtype=np.float32).reshape(3, 4, 6) - 30


@pytest.fixture
def affine_lps_mm() -> np.ndarray:
    """From (z, y, x) indices to LPS mm, with spacing (2.5, 1.5, 0.75) mm and an off-centre origin."""
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0] = 0.75, 1.5, 2.5
    affine[:, 3] = (-11.0, -22.0, 33.0, 1.0)
    return affine


@pytest.fixture
def nifti_folder(tmp_path: Path, small_x_hu: np.ndarray, affine_lps_mm: np.ndarray) -> Path:
    """A data folder with `a.nii.gz`, `b.nii` and `deep/c.nii.gz`, all different."""
    for number, name in enumerate(("a.nii.gz", "b.nii", "deep/c.nii.gz")):
        write_volume(tmp_path / "data" / name, small_x_hu + number, affine_lps_mm)
    return tmp_path / "data"
