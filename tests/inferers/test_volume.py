"""Whole scans, wave by wave."""

import numpy as np
import pytest
import torch

from latentct.inferers import correct_volume

from .cases import GRID, MU_WATER, rms


def on_disk(path, y):
    np.save(path, y.numpy())
    return np.load(path, mmap_mode="r")


def test_a_scan_on_disk_is_corrected_as_in_memory(tmp_path, prior, make_problem, make_inferer):
    problem, inferer = make_problem(5), make_inferer(rounds=(5,), batch_size=2)
    whole = inferer.reconstruct(problem.measured, prior, **problem.geometry)
    y = on_disk(tmp_path / "y.npy", problem.measured)
    x_mu = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (5, 1, *GRID.shape))
    misfit = correct_volume(inferer, prior, y, x_mu=x_mu, **problem.geometry)
    assert np.array_equal(x_mu, whole.x_mu.numpy())
    assert np.array_equal(misfit, whole.misfit.numpy())


def test_a_wave_is_read_when_its_turn_comes(prior, make_problem, make_inferer):
    problem = make_problem(4)

    class Watched:
        read: list[slice] = []  # noqa: RUF012

        def __len__(self):
            return 4

        def __getitem__(self, which):
            self.read.append(which)
            return problem.measured[which].numpy()

    waves = make_inferer(rounds=(1,), batch_size=2).waves(Watched(), prior, **problem.geometry)
    assert Watched.read == []
    next(waves)
    assert Watched.read == [slice(0, None, 2)]
    assert len(list(waves)) == 1


def test_an_array_of_another_shape_is_refused(prior, make_problem, make_inferer):
    problem = make_problem(3)
    with pytest.raises(ValueError, match="has shape"):
        x_mu = np.zeros((2, 1, *GRID.shape), np.float32)
        correct_volume(make_inferer(), prior, problem.measured, x_mu=x_mu, **problem.geometry)


def test_coherence_draws_slices_to_their_neighbours(prior, make_problem, make_inferer):
    problem = make_problem(2)
    apart, together = (
        make_inferer(batch_size=1, coherence_weight=weight).reconstruct(problem.measured, prior, **problem.geometry).z
        for weight in (0.0, 1e3)
    )
    assert rms(apart[1] - problem.z[1]) < 0.05
    assert torch.equal(apart[0], together[0])  # the first wave has no neighbour
    assert rms(together[1] - together[0]) < 0.01 * rms(apart[1] - apart[0])


def test_misfit_has_a_value_a_slice(prior, make_problem, make_inferer):
    problem = make_problem(3)
    x_mu = np.zeros((3, 1, *GRID.shape), np.float32)
    misfit = correct_volume(make_inferer(), prior, problem.measured, x_mu=x_mu, **problem.geometry)
    assert misfit.shape == (3,)
    assert misfit.max() < 1e-3
    assert np.abs(x_mu).max() < 5 * MU_WATER
