"""Blocks of the conditioner, for volumes and for maps of depth 1."""

import pytest
import torch

from latentct.networks.residual import Down, ResidualBlock, Up, convolution


@pytest.mark.parametrize("flat", [True, False])
def test_an_untrained_block_hardly_changes_its_input(flat):
    torch.manual_seed(0)
    x = torch.randn(2, 8, 1 if flat else 6, 6, 6)
    y = ResidualBlock(8, 4, flat)(x)
    assert y.shape == x.shape
    assert 1e-4 < (y - x).abs().mean() < 0.1


@pytest.mark.parametrize(("flat", "depth"), [(True, 1), (False, 4)])
def test_down_and_up_change_the_resolution(flat, depth):
    x, beside = torch.randn(2, 3, depth, 4, 6), torch.randn(2, 5, max(depth // 2, 1), 2, 3)
    down, up = Down(3, 4, more_channels=5, flat=flat), Up(4, 6, flat=flat)
    half = down(x, beside)
    assert half.shape == (2, 4, max(depth // 2, 1), 2, 3)
    assert up(half).shape == (2, 6, depth, 4, 6)


@pytest.mark.parametrize("flat", [True, False])
def test_up_shows_no_checkerboard_at_the_start(flat):
    torch.manual_seed(0)
    x = torch.randn(1, 4, 1 if flat else 3, 3, 3)
    y = Up(4, 2, flat)(x)
    blocks = y[..., ::2, ::2], y[..., 1::2, ::2], y[..., 1::2, 1::2]
    assert torch.equal(blocks[0], blocks[1])
    assert torch.equal(blocks[0], blocks[2])
    assert flat or torch.equal(y[:, :, ::2], y[:, :, 1::2])
    assert y.std() > 0.1


def test_maps_do_not_mix_along_the_depth():
    assert convolution(2, 3, flat=True).weight.shape == (3, 2, 1, 3, 3)
    assert convolution(2, 3).weight.shape == (3, 2, 3, 3, 3)
