"""From views to condition, latent and volume."""

import doctest
import math
from dataclasses import replace

import pytest
import torch
from tests.projectors.cases import blob

import latentct.networks.conditioner
from latentct.geometry import ConeBeam, Grid
from latentct.networks import ViewConditioner
from latentct.projectors import make_projector
from latentct.units import MU_WATER_70KEV

GRID = Grid((16, 16, 16), (16.0, 24.0, 24.0))
SCAN = ConeBeam((0.1, 0.9, 1.7, 3.9), (24, 32), (22.0, 24.0), sod_mm=800.0, sdd_mm=1200.0)
TINY = {
    "channels": (8, 8, 16),
    "decoder_channels": (8, 8, 16),
    "view_channels": (8, 8, 16),
    "lifted_channels": (4, 8),
    "norm_num_groups": 4,
    "pixel_mm": (44 / 3, 16.0),
    "first_look_steps": (4, 2),
}


def conditioner(**settings: object) -> ViewConditioner:
    torch.manual_seed(0)
    return ViewConditioner(GRID, **{**TINY, **settings}).eval()


def views(batch: int = 2, scan: ConeBeam = SCAN) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 5 * torch.rand(batch, 1, *scan.sinogram_shape, generator=generator)


@pytest.mark.parametrize(("compression", "size"), [(8, 2), (4, 4)])
def test_shapes(compression, size):
    out = conditioner(compression=compression)(views(), SCAN)
    assert out.cond.shape == (2, 16, size, size, size)
    assert out.z_hat.shape == (2, 4, size, size, size)
    assert out.x_hat.shape == (2, 1, 16, 16, 16)


def test_the_condition_alone_is_the_same_and_all_that_the_estimates_are_made_of():
    network, y = conditioner(), views()
    out = network(y, SCAN)
    assert torch.equal(network.condition(y, SCAN), out.cond)
    network.condition = lambda y, scan: torch.zeros_like(out.cond)
    blind = network(y, SCAN)
    assert torch.equal(blind.x_hat[0], blind.x_hat[1])
    assert torch.equal(blind.z_hat[0], blind.z_hat[1])


@pytest.mark.parametrize("n_views", [2, 5, 16])
def test_the_order_of_the_views_does_not_matter(n_views):
    network = conditioner()
    scan = replace(SCAN, angles_rad=tuple(torch.linspace(0.1, 5.0, n_views).square().tolist()))
    order = [*range(1, n_views, 2), *range(0, n_views, 2)]
    y, permuted = views(scan=scan), replace(scan, angles_rad=tuple(scan.angles_rad[i] for i in order))
    shuffled = y[:, :, order]
    a, b, wrong = network(y, scan).cond, network(shuffled, permuted).cond, network(shuffled, scan).cond
    assert torch.allclose(a, b, atol=1e-5)  # sums over the views are rounded differently
    assert (a - wrong).abs().max() > 1e-3


def test_scans_may_be_given_as_vectors():
    network, y = conditioner(), views()
    assert torch.allclose(network.condition(y, SCAN), network.condition(y, SCAN.vectors()), atol=1e-5)


def test_initialised_the_condition_carries_the_first_look():
    generator = torch.Generator().manual_seed(3)
    centers = 150 * torch.rand(12, 2, generator=generator) - 75
    volumes = torch.cat([0.5 * blob(GRID, (10.0, float(y), float(x)), 70.0) for y, x in centers])

    def encode(x: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.avg_pool3d(x, 4)
        return torch.cat([pooled, -3 * pooled, pooled + 1, 0 * pooled + 2], dim=1)

    network = conditioner(compression=4, first_look_steps=(60, 20)).initialise(volumes, encode)
    scan = ConeBeam.equally_spaced(16, math.pi, (24, 32), (22.0, 24.0), sod_mm=800.0, sdd_mm=1200.0)
    y = make_projector(GRID, scan)(2 * MU_WATER_70KEV * volumes[:2])
    out, look = network(y, scan), 0.5 * network.first_look(y, scan)
    assert (look - volumes[:2]).norm() < 0.1 * volumes[:2].norm()
    tissue = volumes[:2] > 0.1
    assert (out.x_hat - look)[tissue].abs().mean() < 0.02
    assert (out.z_hat - encode(volumes[:2])).abs().mean() < 0.05
    assert out.cond.std() < 3
    x_more, z_more = conditioner(compression=4)(y, scan).x_hat, conditioner(compression=4)(y, scan).z_hat
    assert (x_more - look)[tissue].abs().mean() > 0.1  # the maps do it, not chance
    assert (z_more - encode(volumes[:2])).abs().mean() > 0.5


@pytest.mark.parametrize("settings", [{}, {"compression": 4}, {"compression": 4, "channels": (8, 8)}])
def test_everything_learns(settings):
    network, y = conditioner(**settings).train(), views()
    out = network(y, SCAN)
    (out.x_hat.square().mean() + out.z_hat.square().mean()).backward()
    assert [n for n, w in network.named_parameters() if w.grad is None or not w.grad.abs().sum() > 0] == []


def test_one_memory_format_suits_the_whole_network():
    network, y = conditioner(), views()
    expected = network(y, SCAN).x_hat
    found = network.to(memory_format=torch.channels_last_3d)(y, SCAN).x_hat
    assert torch.allclose(expected, found, atol=1e-5)


def test_the_shipped_size():
    network = ViewConditioner(Grid((64, 64, 64), (4.0, 7.0, 7.0)))
    assert sum(w.numel() for w in network.parameters()) < 1.8e6


@pytest.mark.parametrize(("shape", "compression"), [((16, 16, 16), 2), ((16, 16, 20), 8)])
def test_a_compression_that_does_not_fit_is_refused(shape, compression):
    with pytest.raises(ValueError, match="compression"):
        ViewConditioner(Grid(shape, (4.0, 4.0, 4.0)), compression=compression)


def test_doctest():
    assert doctest.testmod(latentct.networks.conditioner).failed == 0
