"""Methods that build on others run those once; inferers with a network are methods."""

import math
from types import SimpleNamespace

import torch
from torch import nn

from latentct.engines import FoundBySearch, Remembered, WithNetwork
from latentct.geometry import Grid, ParallelBeam
from latentct.projectors import make_projector

SCAN = ParallelBeam.equally_spaced(4, math.pi, 6, 2.0)
PROJECTOR = make_projector(Grid((4, 4), (2.0, 2.0)), SCAN)
Y, RAY_MASK = torch.rand(1, 1, 4, 6), torch.ones(4, 6, dtype=torch.bool)


def test_what_the_search_found_is_returned_as_a_copy():
    inferer = SimpleNamespace(last=SimpleNamespace(x_mu=torch.ones(1, 1, 4, 4)))
    FoundBySearch(inferer)(Y, PROJECTOR, RAY_MASK).zero_()
    assert torch.equal(FoundBySearch(inferer)(Y, PROJECTOR, RAY_MASK), torch.ones(1, 1, 4, 4))


def test_a_scan_is_reconstructed_once():
    calls = []

    def method(y, projector, ray_mask):
        calls.append(y)
        return projector.adjoint(y * ray_mask)

    remembered = Remembered(method)
    first = remembered(Y, PROJECTOR, RAY_MASK)
    first.zero_()
    assert torch.equal(remembered(Y.clone(), PROJECTOR, RAY_MASK.clone()), PROJECTOR.adjoint(Y))
    assert len(calls) == 1
    other_mask = RAY_MASK.clone()
    other_mask[0] = False
    assert torch.equal(remembered(Y, PROJECTOR, other_mask), PROJECTOR.adjoint(Y * other_mask))
    remembered(Y + 1, PROJECTOR, other_mask)
    remembered(Y + 1, make_projector(PROJECTOR.grid, SCAN), other_mask)
    assert len(calls) == 4


def test_an_inferer_with_its_network_is_a_reconstructor():
    def inferer(y, network, *, projector, ray_mask):
        return network(projector.adjoint(y * ray_mask))

    found = WithNetwork(inferer, nn.Identity())(Y, PROJECTOR, RAY_MASK)
    assert torch.equal(found, PROJECTOR.adjoint(Y))
