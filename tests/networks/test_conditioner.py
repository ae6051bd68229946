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


def test_panels_of_other_pixels_show_the_same():
    x = MU_WATER_70KEV * (blob(GRID, (10.0, -40.0, 30.0), 40.0) + blob(GRID, (-30.0, 50.0, -60.0), 30.0))
    fine = replace(SCAN, detector_shape=(72, 96), pixel_mm=(22.0 / 3, 8.0))
    network = conditioner()
    coarse_panels = network._panels(make_projector(GRID, SCAN)(x), SCAN)
    fine_panels = network._panels(make_projector(GRID, fine)(x), fine)
    assert coarse_panels.shape == fine_panels.shape == (4, 1, 2, 24, 32)
    assert (coarse_panels - fine_panels).abs().max() < 0.08 * coarse_panels.abs().max()


def test_filtered_panels_lift_to_the_density_of_water():
    scan = ConeBeam.equally_spaced(60, math.pi, (24, 96), (22.0, 8.0), sod_mm=800.0, sdd_mm=1200.0)
    x = blob(GRID, (0.0, 10.0, -20.0), 60.0)
    network = conditioner(pixel_mm=(44 / 3, 16 / 3))
    y = make_projector(GRID, scan)(MU_WATER_70KEV * x)
    panels = network._panels(y, scan)
    assert panels[:, 0, 0].max() * 100 * MU_WATER_70KEV == pytest.approx(y.max().item(), rel=1e-5)
    seen = network._seen(panels, latentct.networks.conditioner.cast_shadow(GRID, scan))
    filtered = latentct.networks.conditioner.depth_to_space(seen[:, 8:16], 2)
    inside = x > 0.5
    assert (filtered - x)[inside].abs().mean() < 0.1
    assert filtered[inside].mean() == pytest.approx(x[inside].mean().item(), rel=0.1)


def test_the_smallest_line_integral_is_nothing_where_a_ray_met_air_only():
    x = blob(GRID, (0.0, 0.0, 0.0), 30.0) * MU_WATER_70KEV
    network = conditioner()
    panels = network._panels(make_projector(GRID, SCAN)(x), SCAN)
    seen = network._seen(panels, latentct.networks.conditioner.cast_shadow(GRID, SCAN))
    mean, smallest = (latentct.networks.conditioner.depth_to_space(seen[:, i : i + 8], 2) for i in (0, 16))
    assert (smallest <= mean + 1e-6).all()
    assert smallest[x > 0.5 * x.max()].min() > 0.2 * smallest.max()
    assert (smallest < 0.02 * smallest.max()).float().mean() > 0.7


def test_the_first_look_explains_the_views():
    scan = ConeBeam.equally_spaced(16, math.pi, (24, 32), (22.0, 24.0), sod_mm=800.0, sdd_mm=1200.0)
    x = blob(GRID, (0.0, 10.0, -20.0), 60.0) + 0.5 * blob(GRID, (30.0, -60.0, 70.0), 40.0)
    y = make_projector(GRID, scan)(MU_WATER_70KEV * x)
    look = latentct.networks.conditioner.depth_to_space(conditioner()._first_look(y, scan), 2)
    assert (look - x).norm() < 0.2 * x.norm()
    shorter = latentct.networks.conditioner.depth_to_space(conditioner(first_look_steps=2)._first_look(y, scan), 2)
    assert (look - x).norm() < 0.7 * (shorter - x).norm()


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
