"""The prior of latent space reconstruction: a residual variational autoencoder of axial CT slices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.blocks import Convolution, SpatialAttentionBlock, SubpixelUpsample
from monai.networks.nets.autoencoderkl import AEKLDownsample, AEKLResBlock
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

Posterior = tuple[Tensor, Tensor]  # mean and log-variance


class VariationalAutoencoder(nn.Module):
    """Encode a slice to a Gaussian over a spatial latent of several scales, and decode a latent to a slice.

    Residual blocks at every level and multi-head self-attention at the bottleneck only, as Kabelac et al. describe
    their prior (Medical Physics 2025, doi 10.1002/mp.17910). Latent sizes, widths, the stem and the finer scales are
    ours. The coarse latent at the bottleneck says what is seen; finer ones, added to the decoder's features of their
    level, say where its edges are. Each finer posterior is inferred from the encoder's features of its level and from
    what the coarser latents have decoded to (the ladder of Soenderby et al. 2016, arXiv 1602.02282), all priors being
    N(0, I). The stem works on patches of 2 x 2 pixels (a strided convolution in, a sub-pixel convolution out), which
    keeps the costly full-resolution level off a CPU. No layer depends on the size, so any slice whose sides are
    multiples of `stride` goes in.

    All scales travel as one tensor `z` at the bottleneck's resolution: a latent of C channels and twice the resolution
    takes 4 C of its channels (space to depth), coarse before fine.

    Args:
        in_channels: image channels, 1 for CT.
        channels: widths of the levels, from half resolution down to the bottleneck; each level halves the one before.
        latent_channels: channels of the latent at each level; 0 for none, the last, the bottleneck's, at least 1.
        num_res_blocks: residual blocks of each level, in the encoder and in the decoder alike.
        num_attention_blocks: pairs of self-attention and residual block at the bottleneck of each half.
        num_head_channels: channels of one attention head.
        norm_num_groups: groups of every group normalisation; divides every width.

    Example:
        >>> vae = VariationalAutoencoder(1, (8, 16), (0, 2), (1, 1), num_head_channels=8, norm_num_groups=4)
        >>> vae.stride, vae.eval()(torch.zeros(1, 1, 16, 24)).shape
        (4, torch.Size([1, 1, 16, 24]))
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256),
        latent_channels: Sequence[int] = (0, 2, 4, 8),
        num_res_blocks: Sequence[int] = (1, 1, 2, 2),
        num_attention_blocks: int = 2,
        num_head_channels: int = 32,
        norm_num_groups: int = 16,
    ) -> None:
        super().__init__()
        self.channels, self.latent_channels = tuple(channels), tuple(latent_channels)
        self.stride = 2 ** len(self.channels)
        width, groups = self.channels[-1], norm_num_groups
        bottleneck = (num_attention_blocks, width, num_head_channels, groups)
        widths = list(pairwise(self.channels))
        self.stem = nn.Sequential(
            _conv(in_channels, self.channels[0], kernel_size=4, stride=2),
            *_res_blocks(num_res_blocks[0], self.channels[0], self.channels[0], groups),
        )
        self.down = nn.ModuleList(
            nn.Sequential(AEKLDownsample(2, fine), *_res_blocks(n, fine, coarse, groups))
            for (fine, coarse), n in zip(widths, num_res_blocks[1:], strict=True)
        )
        self.attend = nn.Sequential(*_attention(*bottleneck))
        self.posterior = _head(width, self.latent_channels[-1], groups)
        self.from_latent = nn.Sequential(
            _conv(self.latent_channels[-1], width),
            *_attention(*bottleneck),
            *_res_blocks(num_res_blocks[-1], width, width, groups),
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode="nearest"),
                _conv(coarse, fine),
                # features grow from level to level, and a latent added to large ones would not be seen
                _norm(fine, groups) if latents else nn.Identity(),
            )
            for (fine, coarse), latents in zip(widths, self.latent_channels[:-1], strict=True)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(*_res_blocks(n, fine, fine, groups))
            for (fine, _), n in zip(widths, num_res_blocks[:-1], strict=True)
        )
        scales = [(str(i), c) for i, c in enumerate(self.latent_channels[:-1]) if c]
        self.finer_posterior = nn.ModuleDict({i: _finer_head(self.channels[int(i)], c, groups) for i, c in scales})
        self.add_latent = nn.ModuleDict({i: _conv(c, self.channels[int(i)]) for i, c in scales})
        self.to_image = nn.Sequential(
            *_norm_act(self.channels[0], groups),
            SubpixelUpsample(2, self.channels[0], in_channels, scale_factor=2, apply_pad_pool=False),
        )

    def encode(self, x: Tensor) -> Posterior:
        """Return mean and log-variance of q(z | x); those of a finer scale are inferred at the mean of the coarser.

        Args:
            x: slices (B, C, H, W) in the network range [0, 1]; H and W multiples of `stride`.

        Returns:
            `z_mean` and `z_logvar`, both (B, *latent_shape).
        """
        _, z_mean, z_logvar = self._infer(x, sample=False)
        return z_mean, z_logvar

    def decode(self, z: Tensor) -> Tensor:
        """Return the slices (B, C, H, W) of latents `z` (B, *latent_shape) in the network range."""
        scales = self._unpack(z)
        h = self.from_latent(scales[-1])
        for i in reversed(range(len(self.up))):
            h = self.up[i](h)
            if self.latent_channels[i]:
                h = h + self.add_latent[str(i)](scales[i])
            h = self.refine[i](h)
        x_hat: Tensor = self.to_image(h)
        return x_hat

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor] | Tensor:
        """Return `(recon, z_mean, z_logvar)` of one posterior sample when training, else the decoded mean alone."""
        recon, z_mean, z_logvar = self._infer(x, sample=self.training)
        return (recon, z_mean, z_logvar) if self.training else recon

    def latent_shape(self, image_shape: Sequence[int]) -> tuple[int, int, int]:
        """Return (channels, h, w) of the latent of an image of (H, W) pixels, all scales together.

        Raises:
            ValueError: a side is no multiple of `stride`.
        """
        if any(n % self.stride for n in image_shape):
            raise ValueError(f"image shape {tuple(image_shape)} is not divisible by the network's stride {self.stride}")
        h, w = (n // self.stride for n in image_shape)
        return sum(self._packed_channels()), h, w

    def _infer(self, x: Tensor, sample: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Go up and down once: features of all levels, then latents from coarse to fine while decoding."""
        features = [self.stem(x)]
        for down in self.down:
            features.append(down(features[-1]))
        found = [_chunk(self.posterior(self.attend(features[-1])))]
        h = self.from_latent(_draw(found[-1], sample))
        for i in reversed(range(len(self.up))):
            h = self.up[i](h)
            if self.latent_channels[i]:
                found.append(_chunk(self.finer_posterior[str(i)](torch.cat([features[i], h], dim=1))))
                h = h + self.add_latent[str(i)](_draw(found[-1], sample))
            h = self.refine[i](h)
        z_mean, z_logvar = (self._pack(parts) for parts in zip(*found, strict=True))
        return self.to_image(h), z_mean, z_logvar

    def _packed_channels(self) -> list[int]:
        """Return the channels that each level's latent takes at the bottleneck's resolution, finest level first."""
        return [c * 4 ** (len(self.up) - i) for i, c in enumerate(self.latent_channels)]

    def _pack(self, scales: Sequence[Tensor]) -> Tensor:
        """Join latents, coarse to fine, at the resolution of the first."""
        return torch.cat([pixel_unshuffle(s, s.shape[-1] // scales[0].shape[-1]) for s in scales], dim=1)

    def _unpack(self, z: Tensor) -> list[Tensor]:
        """Return the latent of each level, finest level first; empty where a level has none."""
        parts = z.split(self._packed_channels()[::-1], dim=1)[::-1]
        return [pixel_shuffle(part, 2 ** (len(self.up) - i)) for i, part in enumerate(parts)]


def _chunk(statistics: Tensor) -> Posterior:
    z_mean, z_logvar = statistics.chunk(2, dim=1)
    # beyond this range the exponential of half precision overflows, and no useful posterior lies there
    return z_mean, z_logvar.clamp(-20.0, 5.0)


def _draw(posterior: Posterior, sample: bool) -> Tensor:
    z_mean, z_logvar = posterior
    return z_mean + torch.randn_like(z_mean) * (0.5 * z_logvar).exp() if sample else z_mean


def _head(width: int, latent_channels: int, groups: int) -> nn.Module:
    return nn.Sequential(*_norm_act(width, groups), _conv(width, 2 * latent_channels))


def _finer_head(width: int, latent_channels: int, groups: int) -> nn.Module:
    to_statistics: Any = _conv(width, 2 * latent_channels)
    with torch.no_grad():
        # sampled at the prior's variance, a new scale is noise that the decoder would first learn to ignore
        to_statistics.conv.bias[latent_channels:] = -3.0
    residual = _res_blocks(1, 2 * width, width, groups)
    return nn.Sequential(_norm(2 * width, groups), *residual, *_norm_act(width, groups), to_statistics)


def _res_blocks(n: int, in_channels: int, out_channels: int, groups: int) -> list[nn.Module]:
    widths = [in_channels] + [out_channels] * n
    return [AEKLResBlock(2, a, groups, 1e-6, b) for a, b in pairwise(widths)]


def _attention(n: int, width: int, num_head_channels: int, groups: int) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for _ in range(n):
        attention = SpatialAttentionBlock(2, width, num_head_channels, groups, use_flash_attention=True)
        blocks += [attention, *_res_blocks(1, width, width, groups)]
    return blocks


def _conv(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Module:
    return Convolution(2, in_channels, out_channels, strides=stride, kernel_size=kernel_size, padding=1, conv_only=True)


def _norm_act(channels: int, groups: int) -> list[nn.Module]:
    return [_norm(channels, groups), nn.SiLU()]


def _norm(channels: int, groups: int) -> nn.Module:
    return nn.GroupNorm(groups, channels, eps=1e-6)
