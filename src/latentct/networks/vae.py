"""The prior of latent space reconstruction: a residual variational autoencoder of axial CT slices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import Convolution, SpatialAttentionBlock, SubpixelUpsample
from monai.networks.nets.autoencoderkl import AEKLDownsample, AEKLResBlock
from torch import Tensor, nn


class VariationalAutoencoder(nn.Module):
    """Encode a slice to a Gaussian over a small spatial latent, and decode a latent to a slice.

    Residual blocks at every level and multi-head self-attention at the bottleneck only, as Kabelac et al. describe
    their prior (Medical Physics 2025, doi 10.1002/mp.17910); latent size, widths and the stem are ours. The stem works
    on patches of 2 x 2 pixels (a strided convolution in, a sub-pixel convolution out), which keeps the costly
    full-resolution level off a CPU. No layer depends on the size, so any slice whose sides are multiples of `stride`
    goes in.

    Args:
        in_channels: image channels, 1 for CT.
        channels: widths of the levels, from half resolution down to the bottleneck; each level halves the one before.
        latent_channels: channels of `z`.
        num_res_blocks: residual blocks of each level, in the encoder and in the decoder alike.
        num_attention_blocks: pairs of self-attention and residual block at the bottleneck of each half.
        num_head_channels: channels of one attention head.
        norm_num_groups: groups of every group normalisation; divides every width.

    Example:
        >>> vae = VariationalAutoencoder(1, (8, 16), 2, num_res_blocks=(1, 1), num_head_channels=8, norm_num_groups=4)
        >>> vae.stride, vae.eval()(torch.zeros(1, 1, 16, 24)).shape
        (4, torch.Size([1, 1, 16, 24]))
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256),
        latent_channels: int = 8,
        num_res_blocks: Sequence[int] = (1, 1, 2, 2),
        num_attention_blocks: int = 2,
        num_head_channels: int = 32,
        norm_num_groups: int = 16,
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.latent_channels = latent_channels
        self.stride = 2 ** len(self.channels)
        width, groups = self.channels[-1], norm_num_groups
        self.encoder = nn.Sequential(
            _conv(in_channels, self.channels[0], kernel_size=4, stride=2),
            *_down(self.channels, num_res_blocks, groups),
            *_attention(num_attention_blocks, width, num_head_channels, groups),
            *_norm_act(width, groups),
            _conv(width, 2 * latent_channels),
        )
        self.decoder = nn.Sequential(
            _conv(latent_channels, width),
            *_attention(num_attention_blocks, width, num_head_channels, groups),
            *_up(self.channels, num_res_blocks, groups),
            *_norm_act(self.channels[0], groups),
            SubpixelUpsample(2, self.channels[0], in_channels, scale_factor=2, apply_pad_pool=False),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of q(z | x).

        Args:
            x: slices (B, C, H, W) in the network range [0, 1]; H and W multiples of `stride`.

        Returns:
            `z_mean` and `z_logvar`, both (B, latent_channels, H / stride, W / stride).
        """
        z_mean, z_logvar = self.encoder(x).chunk(2, dim=1)
        # beyond this range the exponential of half precision overflows, and no useful posterior lies there
        return z_mean, z_logvar.clamp(-20.0, 5.0)

    def decode(self, z: Tensor) -> Tensor:
        """Return the slices (B, C, H, W) of latents `z` (B, latent_channels, H / stride, W / stride), network range."""
        x_hat: Tensor = self.decoder(z)
        return x_hat

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor] | Tensor:
        """Return `(recon, z_mean, z_logvar)` of one posterior sample when training, else the decoded mean alone."""
        z_mean, z_logvar = self.encode(x)
        if not self.training:
            return self.decode(z_mean)
        z = z_mean + torch.randn_like(z_mean) * (0.5 * z_logvar).exp()
        return self.decode(z), z_mean, z_logvar

    def latent_shape(self, image_shape: Sequence[int]) -> tuple[int, int, int]:
        """Return (channels, h, w) of the latent of an image of (H, W) pixels.

        Raises:
            ValueError: a side is no multiple of `stride`.
        """
        if any(n % self.stride for n in image_shape):
            raise ValueError(f"image shape {tuple(image_shape)} is not divisible by the network's stride {self.stride}")
        h, w = (n // self.stride for n in image_shape)
        return self.latent_channels, h, w


def _res_blocks(n: int, in_channels: int, out_channels: int, groups: int) -> list[nn.Module]:
    widths = [in_channels] + [out_channels] * n
    return [AEKLResBlock(2, a, groups, 1e-6, b) for a, b in pairwise(widths)]


def _down(channels: Sequence[int], num_res_blocks: Sequence[int], groups: int) -> list[nn.Module]:
    blocks = _res_blocks(num_res_blocks[0], channels[0], channels[0], groups)
    for (previous, width), n in zip(pairwise(channels), num_res_blocks[1:], strict=True):
        blocks += [AEKLDownsample(2, previous), *_res_blocks(n, previous, width, groups)]
    return blocks


def _up(channels: Sequence[int], num_res_blocks: Sequence[int], groups: int) -> list[nn.Module]:
    blocks = _res_blocks(num_res_blocks[-1], channels[-1], channels[-1], groups)
    for (previous, width), n in zip(pairwise(channels[::-1]), num_res_blocks[-2::-1], strict=True):
        upsample = nn.Upsample(scale_factor=2, mode="nearest")
        blocks += [upsample, _conv(previous, width), *_res_blocks(n, width, width, groups)]
    return blocks


def _attention(n: int, width: int, num_head_channels: int, groups: int) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for _ in range(n):
        attention = SpatialAttentionBlock(2, width, num_head_channels, groups, use_flash_attention=True)
        blocks += [attention, *_res_blocks(1, width, width, groups)]
    return blocks


def _conv(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Module:
    return Convolution(2, in_channels, out_channels, strides=stride, kernel_size=kernel_size, padding=1, conv_only=True)


def _norm_act(channels: int, groups: int) -> list[nn.Module]:
    return [nn.GroupNorm(groups, channels, eps=1e-6), nn.SiLU()]
