"""Kernels called from several threads and from forked processes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numba.core.caching
import numpy as np
import pytest
import torch
from tests.projectors.cases import PLANE_GRID, build
from torch.utils.data import DataLoader, Dataset

from latentct.projectors.numba_compile import kernel


class Projections(Dataset):
    """Projects each image where it is asked for, as a transform in a data loader does."""

    def __init__(self, projector, images):
        self.projector, self.images = projector, images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.projector(self.images[index][None])[0]


def test_a_data_loader_may_project_in_its_workers():
    projector = build("numba", "parallel")
    images = torch.rand(4, 1, *PLANE_GRID.shape)
    expected = projector(images)  # the parent's thread pool has run before it forks
    loader = DataLoader(Projections(projector, images), batch_size=2, num_workers=2, multiprocessing_context="fork")
    assert torch.allclose(torch.cat(list(loader)), expected, rtol=1e-5, atol=1e-4)


THREADED = """
from tests.projectors.test_numba_compile import project_from_threads
project_from_threads()
"""


def project_from_threads():
    projector = build("numba", "parallel")
    images = torch.rand(8, 1, *PLANE_GRID.shape)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda image: projector.adjoint(projector(image[None])), images))
    assert torch.allclose(torch.cat(parts), projector.adjoint(projector(images)), rtol=1e-4)


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_kernels_may_be_called_from_several_threads(layer, monkeypatch):
    """numba ends the process when its workqueue pool is entered twice, so this runs in one of its own."""
    monkeypatch.setenv("NUMBA_THREADING_LAYER", layer)
    done = subprocess.run([sys.executable, "-c", THREADED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_kernels_run_where_no_cache_can_be_written(monkeypatch):
    """As for a user without a home in an installation of another user."""
    monkeypatch.setattr(numba.core.caching.CompileResultCacheImpl, "_locator_classes", [])

    def doubled(x):
        for i in numba.prange(len(x)):
            x[i] *= 2

    x = np.ones(3)
    kernel(doubled)(x)
    assert np.all(x == 2)
