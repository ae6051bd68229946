"""Residual blocks and changes of resolution, for volumes and for maps, which are volumes of depth 1.

Maps are handled by 3-D convolutions of depth 1, so that a network of both has one memory format.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from latentct.networks.blocks import depth_to_space, space_to_depth


class ResidualBlock(nn.Module):
    """``x + conv(act(norm(conv(act(norm(x))))))``; the second convolution starts a tenth as large as usual.

    With normalisation first and a small last layer (He et al. 2016, arXiv 1603.05027) an untrained block hardly changes
    its input, so gradients reach the first layers from the first step on.

    Args:
        channels: channels of input and output.
        norm_num_groups: groups of the group normalisation; divides ``channels``.
        flat: whether the input are maps.
    """

    def __init__(self, channels: int, norm_num_groups: int, flat: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *norm_act(channels, norm_num_groups),
            convolution(channels, channels, flat=flat),
            *norm_act(channels, norm_num_groups),
            shrunk(convolution(channels, channels, flat=flat), 0.1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor like ``x``, (B, C, D, H, W)."""
        changed: Tensor = x + self.layers(x)
        return changed


class Down(nn.Module):
    """Halve the resolution: blocks of two along each axis become channels, which a convolution of size 1 mixes.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        more_channels: channels of what is given beside the input at the lower resolution.
        flat: whether the input are maps, whose depth stays 1.
    """

    def __init__(self, in_channels: int, out_channels: int, more_channels: int = 0, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat
        self.mix = convolution(in_channels * _block(flat) + more_channels, out_channels, 1)

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        """Return (B, C, D, H, W) of half the resolution, from ``x`` and ``more`` at half the resolution."""
        folded = pixel_unshuffle(x[:, :, 0], 2)[:, :, None] if self.flat else space_to_depth(x, 2)
        mixed: Tensor = self.mix(torch.cat([folded, *more], dim=1))
        return mixed


class Up(nn.Module):
    """Double the resolution: a convolution of size 1 gives each voxel of a block of two along each axis its channels.

    At the start all voxels of a block are equal, so that an untrained layer shows no checkerboard (Aitken et al. 2017,
    arXiv 1707.02937).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        flat: whether the input are maps, whose depth stays 1.
    """

    def __init__(self, in_channels: int, out_channels: int, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat
        self.spread = convolution(in_channels, out_channels * _block(flat), 1)
        with torch.no_grad():
            weight = self.spread.weight
            weight.copy_(weight[:out_channels].repeat_interleave(_block(flat), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, D, H, W) of twice the resolution."""
        spread: Tensor = self.spread(x)
        return pixel_shuffle(spread[:, :, 0], 2)[:, :, None] if self.flat else depth_to_space(spread, 2)


def convolution(in_channels: int, out_channels: int, kernel_size: int = 3, flat: bool = False) -> nn.Conv3d:
    """Return a convolution that keeps the size, of depth 1 for maps, its bias zero."""
    size = (1 if flat else kernel_size, kernel_size, kernel_size)
    layer = nn.Conv3d(in_channels, out_channels, size, padding="same")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def norm_act(channels: int, norm_num_groups: int) -> tuple[nn.Module, nn.Module]:
    """Return group normalisation and SiLU."""
    return nn.GroupNorm(norm_num_groups, channels), nn.SiLU()


def shrunk(layer: nn.Conv3d, factor: float) -> nn.Conv3d:
    """Return a layer whose initial weights are multiplied by a factor."""
    with torch.no_grad():
        layer.weight.mul_(factor)
    return layer


def _block(flat: bool) -> int:
    """Return the number of voxels of a block of two along each axis."""
    return 4 if flat else 8
