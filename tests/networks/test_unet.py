"""The U-Net that mends slices."""

import doctest
from pathlib import Path

import pytest
import torch

import latentct.networks.unet
from latentct.networks import CompletionUNet, ResidualUNet, with_known


@pytest.fixture
def unet() -> ResidualUNet:
    """A small U-Net whose last convolution no longer is zero."""
    torch.manual_seed(0)
    network = ResidualUNet(1, (8, 8, 8, 8, 16, 8), norm_num_groups=4)
    torch.nn.init.normal_(network.unet.final_conv.weight, std=0.5)
    return network.eval()


def test_untrained_it_returns_its_input():
    x = torch.rand(2, 1, 32, 64)
    assert torch.equal(ResidualUNet(1, (8, 8, 8, 8, 16, 8), norm_num_groups=4)(x), x)


def test_every_pixel_may_change_and_slices_do_not_see_each_other(unet):
    x = torch.rand(3, 1, 64, 32)
    out = unet(x)
    assert out.shape == x.shape
    assert ((out - x).abs() > 0).float().mean() > 0.99
    assert torch.allclose(out[1:2], unet(x[1:2]), atol=1e-5)


def test_patches_return_where_they_came_from(unet):
    """Of a network that passes its input on, the change is the slice itself, pixel for pixel."""
    unet.unet = torch.nn.Identity()
    x = torch.rand(1, 1, 32, 32)
    assert torch.allclose(unet(x), 2 * x)


def test_gradient_reaches_every_weight(unet):
    unet.train()(torch.rand(1, 1, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in unet.parameters() if p.ndim > 1)


def test_a_completion_changes_unknown_pixels_alone():
    torch.manual_seed(0)
    network = CompletionUNet((8, 8, 8, 8, 16, 8), norm_num_groups=4).eval()
    torch.nn.init.normal_(network.unet.final_conv.weight, std=0.5)
    known = torch.zeros(64, 64, dtype=torch.bool)
    known[20:40, 10:50] = True
    x = torch.rand(2, 1, 64, 64)
    out = network(with_known(x, known))
    assert out.shape == x.shape
    assert torch.equal(out[..., known], x[..., known])
    assert (out[..., ~known] != 0).float().mean() > 0.99
    unseen = torch.where(known, x, torch.nan)
    assert torch.equal(network(with_known(unseen, known)), out)


def test_a_completion_knows_air_from_what_is_not_known():
    torch.manual_seed(0)
    network = CompletionUNet((8, 8, 8, 8, 16, 8), norm_num_groups=4).eval()
    torch.nn.init.normal_(network.unet.final_conv.weight, std=0.5)
    known = torch.arange(64)[:, None].expand(64, 64) < 32
    fewer = known & (torch.arange(64) < 16)
    air = torch.zeros(1, 1, 64, 64)
    out, of_fewer = (network(with_known(air, mask))[..., 40:, :] for mask in (known, fewer))
    assert not torch.allclose(out, of_fewer)


def test_size_is_checked(unet):
    with pytest.raises(ValueError, match=r"\(48, 64\) pixels are not divisible by the stride 32"):
        unet(torch.zeros(1, 1, 48, 64))


def test_default_weights_are_small_to_ship(tmp_path: Path):
    network = ResidualUNet().half()
    torch.save(network.state_dict(), tmp_path / "unet.pt")
    assert (tmp_path / "unet.pt").stat().st_size < 5e6


def test_doctest():
    assert doctest.testmod(latentct.networks.unet) == (0, 8)
