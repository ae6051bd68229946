"""The autoencoder that compresses volumes to the latent space of few-view reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import AutoencoderKL
from torch import Tensor, nn


class VolumeAutoencoder(nn.Module):
    """A KL-regularised 3-D autoencoder whose convolutions start at half the resolution.

    Blocks of ``fold`` voxels along each axis become channels (space to depth) before MONAI's `AutoencoderKL` and voxels
    again behind it (depth to space), because convolutions of few channels at full resolution cost a CPU most of its
    time and buy least. Each further level of `channels` halves the resolution.

    Args:
        channels: feature channels of each level, the first at 1 / ``fold`` of the resolution.
        latent_channels: channels of z.
        num_res_blocks: residual blocks of each level.
        norm_num_groups: groups of the group normalisation; divides every number of channels.
        fold: voxels of a block along each axis.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 96),
        latent_channels: int = 4,
        num_res_blocks: Sequence[int] = (1, 1, 1),
        norm_num_groups: int = 8,
        fold: int = 2,
    ) -> None:
        super().__init__()
        self.fold = fold
        self.latent_channels = latent_channels
        self.compression = fold * 2 ** (len(channels) - 1)
        self.kl = AutoencoderKL(
            spatial_dims=3,
            in_channels=fold**3,
            out_channels=fold**3,
            channels=tuple(channels),
            latent_channels=latent_channels,
            num_res_blocks=tuple(num_res_blocks),
            norm_num_groups=norm_num_groups,
            attention_levels=(False,) * len(channels),
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )

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
        z_mean, z_std = self.kl.encode(space_to_depth(x, self.fold))
        return z_mean, 2 * torch.log(z_std)

    def decode(self, z: Tensor) -> Tensor:
        """Return the volumes (B, 1, D, H, W) in the network range of latents (B, C, d, h, w)."""
        return depth_to_space(self.kl.decode(z), self.fold)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Return ``(x_hat, z_mean, z_logvar)`` of a drawn latent in training, ``x_hat`` of the mean otherwise."""
        z_mean, z_logvar = self.encode(x)
        if not self.training:
            return self.decode(z_mean)
        z = z_mean + torch.randn_like(z_mean) * torch.exp(0.5 * z_logvar)
        return self.decode(z), z_mean, z_logvar


def space_to_depth(x: Tensor, fold: int) -> Tensor:
    """Move blocks of ``fold`` voxels along each axis to the channels, (B, C, D, H, W) to (B, C fold^3, D / fold, ...).

    >>> space_to_depth(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    b, c, d, h, w = x.shape
    blocks = x.reshape(b, c, d // fold, fold, h // fold, fold, w // fold, fold)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * fold**3, d // fold, h // fold, w // fold)


def depth_to_space(x: Tensor, fold: int) -> Tensor:
    """Undo `space_to_depth`."""
    b, c, d, h, w = x.shape
    blocks = x.reshape(b, c // fold**3, fold, fold, fold, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(b, c // fold**3, d * fold, h * fold, w * fold)
