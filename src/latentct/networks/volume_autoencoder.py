"""The autoencoder that compresses volumes to the latent space of few-view reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from latentct.networks.blocks import depth_to_space, principal_blocks, set_linear, space_to_depth
from latentct.networks.residual import Down, ResidualBlock, Up, convolution, norm_act, shrunk

_FIRST_LOGVAR = -6.0
"""Log-variance of the latents before training: noise as large as they are would teach the decoder to ignore them."""


class VolumeAutoencoder(nn.Module):
    """A KL-regularised 3-D autoencoder: a linear code of blocks of voxels, and networks that improve on it.

    A block of ``compression`` voxels along each axis is one voxel of the latent. Encoder and decoder are each the sum
    of a linear map of blocks, which `initialise` sets to their principal components, and of a convolutional network
    that starts near zero. On coarse volumes, where neighbouring voxels say much that is new, principal components are
    hard to reach by descent from random weights and easy to improve on.

    Args:
        channels: feature channels of each level, from 1/2 of the resolution down to the latent's.
        latent_channels: channels of z.
        num_res_blocks: residual blocks of each level.
        norm_num_groups: groups of the group normalisation; divides every number of channels.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        latent_channels: int = 4,
        num_res_blocks: Sequence[int] = (1, 2),
        norm_num_groups: int = 8,
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.compression = 2 ** len(channels)
        n_voxels, groups = self.compression**3, norm_num_groups
        self.block_encoder = convolution(n_voxels, latent_channels, 1)
        self.block_decoder = convolution(latent_channels, n_voxels, 1)
        levels = list(zip(channels, num_res_blocks, strict=True))
        down: list[nn.Module] = [convolution(8, channels[0])]
        up: list[nn.Module] = [convolution(latent_channels, channels[-1])]
        for (width, n_blocks), (wider, _) in pairwise([*levels, (0, 0)]):
            down += [ResidualBlock(width, groups) for _ in range(n_blocks)]
            down += [Down(width, wider)] if wider else []
        for (width, n_blocks), (narrower, _) in pairwise([*reversed(levels), (0, 0)]):
            up += [ResidualBlock(width, groups) for _ in range(n_blocks)]
            up += [Up(width, narrower)] if narrower else []
        self.encoder = nn.Sequential(*down, *norm_act(channels[-1], groups))
        self.to_mean = shrunk(convolution(channels[-1], latent_channels), 0.01)
        self.to_logvar = shrunk(convolution(channels[-1], latent_channels), 0.01)
        self.decoder = nn.Sequential(*up, *norm_act(channels[0], groups), shrunk(convolution(channels[0], 8), 0.01))
        nn.init.constant_(self.to_logvar.bias, _FIRST_LOGVAR)  # type: ignore[arg-type]

    def latent_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of z for volumes of (D, H, W) voxels.

        Raises:
            ValueError: an axis is not a multiple of the compression.
        """
        if any(n % self.compression for n in shape):
            raise ValueError(f"volumes must be multiples of {self.compression} voxels along each axis, not {shape}")
        return (self.latent_channels, *(n // self.compression for n in shape))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z_mean`` and ``z_logvar`` (B, C, d, h, w) of volumes (B, 1, D, H, W) in the network range."""
        features = self.encoder(space_to_depth(x, 2))
        z_mean = self.block_encoder(space_to_depth(x, self.compression)) + self.to_mean(features)
        return z_mean, self.to_logvar(features)

    def decode(self, z: Tensor) -> Tensor:
        """Return the volumes (B, 1, D, H, W) in the network range of latents (B, C, d, h, w)."""
        return depth_to_space(self.block_decoder(z), self.compression) + depth_to_space(self.decoder(z), 2)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Return ``(x_hat, z_mean, z_logvar)`` of a drawn latent in training, ``x_hat`` of the mean otherwise."""
        z_mean, z_logvar = self.encode(x)
        if not self.training:
            return self.decode(z_mean)
        z = z_mean + torch.randn_like(z_mean) * torch.exp(0.5 * z_logvar)
        return self.decode(z), z_mean, z_logvar

    @torch.no_grad()
    def initialise(self, x: Tensor, empty_below: float = 0.05) -> Self:
        """Set the linear maps to the principal components of blocks of volumes, with latents of unit variance.

        Args:
            x: volumes (N, 1, D, H, W) in the network range.
            empty_below: blocks that nowhere reach this value are air and tell nothing.

        Returns:
            The autoencoder itself.
        """
        code = principal_blocks(x, self.compression, self.latent_channels, empty_below)
        set_linear(self.block_encoder, code.to_code, -code.to_code @ code.mean)
        set_linear(self.block_decoder, code.from_code, code.mean)
        return self
