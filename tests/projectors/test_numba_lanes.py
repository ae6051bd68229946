"""Batches of every length through the kernels for cone beams, which are compiled for a few lengths only."""

import numba
import pytest
import torch
from tests.projectors.cases import TOLERANCE, build, relative_error

from latentct.projectors.numba_lanes import LANES, lanes_for


def test_every_batch_fits_and_wastes_little():
    assert [lanes_for(n) for n in (1, 2, 4, 5, 8, 9, 100)] == [1, 4, 4, 8, 8, 8, 8]


@pytest.mark.parametrize("batch", [*LANES, 2, 2 * LANES[-1] + 1])
def test_a_batch_of_any_length_agrees_with_the_reference(batch):
    reference, compiled = build("torch", "cone_tumbling"), build("numba", "cone_tumbling")
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, 1, *compiled.grid.shape, generator=generator)
    y = torch.randn(batch, 1, *compiled.scan.sinogram_shape, generator=generator)
    forward, adjoint = compiled(x), compiled.T(y)
    assert relative_error(forward, reference(x.double())) < TOLERANCE["backends"]
    assert relative_error(adjoint, reference.T(y.double())) < TOLERANCE["backends"]
    mismatch = torch.sum(forward.double() * y) - torch.sum(x.double() * adjoint)
    assert abs(mismatch) < TOLERANCE["adjoint float32"] * forward.norm() * y.norm()


def test_the_number_of_threads_changes_nothing():
    projector = build("numba", "cone_tumbling")
    y = torch.rand(2, 1, *projector.scan.sinogram_shape, generator=torch.Generator().manual_seed(0))
    n_threads = numba.get_num_threads()
    expected = projector.T(y)
    numba.set_num_threads(1)
    try:
        assert torch.equal(projector.T(y), expected)
    finally:
        numba.set_num_threads(n_threads)
